//! Asking the provider for the usage of a stream that the client does not ask for.
//!
//! Must not know: how a request is patched, what becomes of the answer.

use crate::call::{Call, Verdict};
use crate::frame::withhold::Withhold;
use crate::meter::Meter;
use crate::price::{Lookup, Terms};

/// Only providers that are known to understand the question are asked: others refuse fields they do not know.
const UNDERSTAND: [&str; 4] = ["openai", "azure.ai.openai", "azure.ai.inference", "x_ai"];

impl Meter {
    /// Whether the request may have to be changed so that its stream states usage. Then the gateway must be ready for
    /// a body of another length. One that is compressed is not changed: its coding would have to be, too.
    #[must_use]
    pub fn may_ask_for_usage(&self, call: &Call) -> bool {
        self.config.include_usage
            && call.route.dialect.must_ask_for_usage()
            && !call.is_encoded()
            && call.route.provider.as_deref().is_none_or(|provider| UNDERSTAND.contains(&provider))
    }

    pub(crate) fn must_ask_for_usage(&self, call: &Call) -> bool {
        /// By the price list's names, where the host does not tell: whose model it is.
        const MAKERS: [&str; 2] = ["openai", "x-ai"];
        if !call.may_rewrite || !call.asked.stream || !self.may_ask_for_usage(call) {
            return false;
        }
        match (&call.route.provider, &call.asked.model) {
            (Some(_), _) => true,
            (None, Some(model)) => {
                let lookup = Lookup { provider: None, model, alias: None, at: call.opened, terms: Terms::default() };
                let quote = self.config.prices.quote(&lookup);
                quote.is_ok_and(|quote| quote.provider().is_some_and(|maker| MAKERS.contains(&maker)))
            }
            (None, None) => false,
        }
    }

    pub(crate) fn ask_for_usage(&self, call: &mut Call, body: &[u8]) -> Verdict {
        match call.route.dialect.asking_for_usage(body) {
            Some(body) => {
                call.withhold = Some(Withhold::default());
                Verdict::Rewrite(body)
            }
            None => Verdict::Forward,
        }
    }
}
