//! Downgrades: a cheaper model that answers in the place of the one that is asked for.
//!
//! What a model can do is no part of any price list, so the configuration declares it, and a call is downgraded only to a
//! model that is declared to do all that the call asks for. Only the model's name changes, so it stays at the same provider,
//! in the same wire format.
//! Invariants: a call is downgraded once; what prevents it is said.
//! Must not know: when limits want it, how a request is patched.

use crate::call::{Body, Call};
use crate::change::{Changes, Fixed, NewModel};
use crate::config::raw::Capability;
use crate::limit::Pattern;
use crate::media::Modality;
use crate::meter::Meter;
use std::collections::BTreeSet;

/// A model that may answer in the place of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downgrade {
    /// The models asked for.
    pub model: Pattern,
    /// The provider that both are at; any where absent.
    pub provider: Option<String>,
    /// The model that answers.
    pub to: String,
    /// The most output tokens that it puts out.
    pub max_output_tokens: u64,
    /// The most input tokens that it reads.
    pub max_input_tokens: Option<u64>,
    /// What it can do.
    pub capabilities: BTreeSet<Capability>,
}

impl Downgrade {
    fn matches(&self, call: &Call, model: &str) -> bool {
        let is_at = |provider: &String| provider == call.provider();
        self.to != model && self.model.matches(model) && self.provider.as_ref().is_none_or(is_at)
    }

    /// Why it cannot answer a call that needs all this; `None` where it can.
    fn lacks(&self, call: &Call, needs: &BTreeSet<Capability>) -> Option<Fixed> {
        let is_too_long = self.max_input_tokens.is_some_and(|most| call.prompt.tokens() > most);
        let is_too_short = self.max_output_tokens < call.asked.least_output_tokens;
        if is_too_long || is_too_short {
            return Some(Fixed::DowngradeTooSmall);
        }
        needs.difference(&self.capabilities).next().map(|needed| Fixed::DowngradeLacks(*needed))
    }
}

impl Meter {
    /// Whether a call is to be judged once more, as one of a cheaper model: a limit says so, and a model is declared that can
    /// do what it asks for. What budgets hold for it is then to be let go first, as the next changes.
    pub fn downgrade(&self, call: &mut Call, body: Body<'_>) -> bool {
        let is_first = call.changes.model.is_none();
        let Some(limit) = call.findings.iter().find(|found| found.downgrades && is_first) else { return false };
        let limit = limit.id.clone();
        let model = call.asked.model.clone().unwrap_or_default();
        match self.target(call, &model, body) {
            Ok(target) => {
                let (to, most) = (target.to.clone(), target.max_output_tokens);
                let model = NewModel { from: model, to, max_output_tokens: most, limit };
                call.changes = Changes { model: Some(model), ..Changes::default() };
                call.claims.withdraw();
                true
            }
            Err(fixed) => {
                call.changes.not_changed = Some(fixed.name());
                false
            }
        }
    }

    /// The first model of the configuration that can answer instead.
    fn target(&self, call: &Call, model: &str, body: Body<'_>) -> Result<&Downgrade, Fixed> {
        let Some(bytes) = body.whole().filter(|_| call.fixed.is_none()) else {
            return Err(call.fixed.unwrap_or(Fixed::TooLarge));
        };
        if call.is_model_in_path {
            return Err(Fixed::ModelInPath);
        }
        if !call.route.dialect.names_model(bytes) {
            return Err(Fixed::ModelElsewhere);
        }
        let needs = needs(call, bytes);
        let mut why = Fixed::NoDowngrade;
        for downgrade in self.config.downgrades.iter().filter(|downgrade| downgrade.matches(call, model)) {
            match downgrade.lacks(call, &needs) {
                None => return Ok(downgrade),
                Some(lacking) => why = lacking,
            }
        }
        Err(why)
    }
}

/// What a call needs of its model.
fn needs(call: &Call, body: &[u8]) -> BTreeSet<Capability> {
    let mut needs = call.route.dialect.needs(body);
    let modality = |(modality, ..): (Modality, u64, u64)| match modality {
        Modality::Image => Capability::Vision,
        Modality::Audio => Capability::Audio,
        Modality::Video => Capability::Video,
        Modality::Document => Capability::Documents,
    };
    needs.extend(call.prompt.media.iter().map(modality));
    let is_search = |name: &str| name.starts_with("web_search") || name.starts_with("google_search");
    let searches = call.prompt.tools().any(|tool| tool.name.as_deref().is_some_and(is_search));
    for (capability, is_needed) in [
        (Capability::Streaming, call.asked.stream),
        (Capability::Tools, call.prompt.has_tools()),
        (Capability::WebSearch, searches),
    ] {
        needs.extend(is_needed.then_some(capability));
    }
    needs
}
