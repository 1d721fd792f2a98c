//! Whether the provider is asked for the usage of a stream that the client does not ask for.
//!
//! Must not know: how a request is patched, what becomes of the answer.

use crate::call::Call;
use crate::meter::Meter;
use crate::price::{Lookup, Terms};

/// Only providers that are known to understand the question are asked: others refuse fields they do not know.
const UNDERSTAND: [&str; 4] = ["openai", "azure.ai.openai", "azure.ai.inference", "x_ai"];

impl Meter {
    /// Whether the request may have to be changed so that its stream states usage.
    #[must_use]
    pub fn may_ask_for_usage(&self, call: &Call) -> bool {
        let is_wanted = call.route.include_usage.unwrap_or_else(|| {
            let may_understand = |provider| UNDERSTAND.contains(&provider);
            self.config.include_usage && call.route.provider.as_deref().is_none_or(may_understand)
        });
        is_wanted && call.route.dialect.must_ask_for_usage() && call.is_changeable()
    }

    /// Only where the gateway can take the answer out of the client's stream.
    pub(crate) fn must_ask_for_usage(&self, call: &Call) -> bool {
        let is_understood = || call.route.include_usage.unwrap_or_else(|| self.is_openais(call));
        call.may_change_answer && call.asked.stream && self.may_ask_for_usage(call) && is_understood()
    }

    /// Whether whoever answers is known to understand all of OpenAI's fields.
    pub(crate) fn is_openais(&self, call: &Call) -> bool {
        /// By the price list's names, where the host does not tell: whose model it is.
        const MAKERS: [&str; 2] = ["openai", "x-ai"];
        match (&call.route.provider, &call.asked.model) {
            (Some(provider), _) => UNDERSTAND.contains(&provider.as_ref()),
            (None, Some(model)) => {
                let lookup = Lookup { provider: None, model, alias: None, at: call.opened, terms: Terms::default() };
                let quote = self.config.prices.quote(&lookup);
                quote.is_ok_and(|quote| quote.provider().is_some_and(|maker| MAKERS.contains(&maker)))
            }
            (None, None) => false,
        }
    }
}
