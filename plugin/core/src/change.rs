//! What is changed in a request before it is forwarded, and why what was to be changed was not.
//!
//! A change is made to the text of the request, so that everything else goes on as it was written, byte for byte. A request
//! that is signed (AWS Signature Version 4) is never changed: its signature would no longer hold.
//! Must not know: how a request is patched, what limits decide.

use crate::call::{Body, Call};
use crate::config::raw::{Action, Capability};
use crate::dialect::Route;
use crate::frame::withhold::Withhold;
use crate::head::RequestHead;
use crate::limit::{Capping, Estimate, Finding, Limit, OUTPUT_LEAST};
use crate::meter::Meter;
use serde::Serialize;

/// What was changed in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Changes {
    /// The model, which is a cheaper one.
    pub model: Option<NewModel>,
    /// The maximum of output tokens for each answer, which was lowered or added.
    pub max_output_tokens: Option<NewMaximum>,
    /// Why a limit's change was not made: `signed`, `request_encoded`, `gateway` (it cannot change bodies),
    /// `request_too_large`, `no_maximum` (the wire format has no place for one); `model_in_path`, `model_elsewhere` (the body
    /// names none, or several), `no_downgrade` (none is configured for the model), `downgrade_too_small`, or `lacks_` and a
    /// capability.
    pub not_changed: Option<&'static str>,
}

/// A model in the place of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NewModel {
    /// The model that the request asked for.
    pub from: String,
    /// The model that it asks for now.
    pub to: String,
    /// The most output tokens that this puts out.
    #[serde(skip)]
    pub max_output_tokens: u64,
    /// The limit that says so.
    pub limit: String,
}

/// A maximum of output tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NewMaximum {
    /// What the request said; `null` where it said nothing.
    pub from: Option<u64>,
    /// What it says now.
    pub to: u64,
    /// The limit that leaves no more.
    pub limit: String,
}

/// Why a request is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fixed {
    Signed,
    Encoded,
    Gateway,
    TooLarge,
    NoMaximum,
    ModelInPath,
    ModelElsewhere,
    NoDowngrade,
    DowngradeTooSmall,
    DowngradeLacks(Capability),
}

impl Fixed {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Encoded => "request_encoded",
            Self::Gateway => "gateway",
            Self::TooLarge => "request_too_large",
            Self::NoMaximum => "no_maximum",
            Self::ModelInPath => "model_in_path",
            Self::ModelElsewhere => "model_elsewhere",
            Self::NoDowngrade => "no_downgrade",
            Self::DowngradeTooSmall => "downgrade_too_small",
            Self::DowngradeLacks(capability) => capability.lacking(),
        }
    }
}

impl Changes {
    /// Nothing was changed, nor to be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What the caller is told of it, as a header's value; `None` where nothing was changed.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        let model = self.model.as_ref().map(|model| format!("model={}", model.to));
        let maximum = self.max_output_tokens.as_ref().map(|maximum| format!("max_output_tokens={}", maximum.to));
        let told: Vec<_> = model.into_iter().chain(maximum).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}

/// Whether the model is named by the path: what the body says of it is not looked at there.
pub(crate) fn is_model_in_path(head: &RequestHead<'_>, route: &Route) -> bool {
    route.model.is_some() || head.path.contains("/deployments/")
}

/// Whether a request carries an AWS signature of its own bytes.
pub(crate) fn is_signed(head: &RequestHead<'_>) -> bool {
    let authorization = head.headers.get("authorization").unwrap_or_default();
    authorization.starts_with("AWS4-") || head.path.contains("X-Amz-Signature=")
}

impl Meter {
    /// Whether the request may have to be changed before it is forwarded. Then the gateway must be ready for a body of
    /// another length.
    #[must_use]
    pub fn may_change(&self, call: &Call) -> bool {
        let limits = call.is_changeable() && self.config.limits.iter().any(Limit::changes);
        limits || self.may_ask_for_usage(call)
    }

    /// Why the request cannot be changed; `None` where it can.
    pub(crate) fn fixed(call: &Call, body: Body<'_>) -> Option<Fixed> {
        match body {
            _ if call.is_signed => Some(Fixed::Signed),
            _ if call.is_encoded() => Some(Fixed::Encoded),
            _ if !call.may_change_request => Some(Fixed::Gateway),
            Body::Whole(_) => None,
            Body::Reduced(_) | Body::TooLarge(_) | Body::Unreadable(_) | Body::Upgraded(_) => Some(Fixed::TooLarge),
        }
    }

    /// How the output of a call can be limited; `None` where it cannot.
    pub(crate) fn capping<'a>(call: &Call, estimate: &'a dyn Fn(u64) -> Estimate) -> Option<Capping<'a>> {
        let asked = &call.asked;
        if call.fixed.is_some() || !call.route.dialect.can_cap_output(asked.max_output_tokens.is_some()) {
            return None;
        }
        let least = asked.least_output_tokens.max(OUTPUT_LEAST).saturating_mul(asked.choices);
        Some(Capping { asked: asked.max_output_tokens, least, choices: asked.choices, estimate })
    }

    /// Takes up what the limits leave a call that is admitted.
    pub(crate) fn cap_output(&self, call: &mut Call) {
        let left = |found: &Finding| Some((found.max_output_tokens?, found.id.clone()));
        if let Some((most, limit)) = call.findings.iter().filter_map(left).min() {
            call.cap(most, limit);
        }
        let caps = |found: &Finding| self.config.limits.iter().any(|limit| limit.id == found.id && limit.caps());
        let is_due = |found: &Finding| found.action == Action::CapOutput || (found.denies() && caps(found));
        let is_uncapped = |found: &Finding| found.max_output_tokens.is_none() && is_due(found);
        if call.findings.iter().any(is_uncapped) {
            let is_stated = call.asked.max_output_tokens.is_some();
            let no_maximum = (!call.route.dialect.can_cap_output(is_stated)).then_some(Fixed::NoMaximum);
            call.changes.not_changed = call.fixed.or(no_maximum).map(Fixed::name);
        }
    }

    /// The request as it is to be forwarded; `None` where it goes on as it is.
    pub fn change(&self, call: &mut Call, body: &[u8]) -> Option<Vec<u8>> {
        let dialect = call.route.dialect;
        let maximum = call.changes.max_output_tokens.as_ref().map(|maximum| maximum.to);
        let model = call.changes.model.as_ref();
        let renamed = model.and_then(|model| dialect.naming_model(body, &model.to));
        let so_far = renamed.as_deref().unwrap_or(body);
        let capped = maximum.and_then(|most| dialect.capping_output(so_far, most, self.is_openais(call)));
        let so_far = capped.as_deref().unwrap_or(so_far);
        let asking = self.must_ask_for_usage(call).then(|| dialect.asking_for_usage(so_far)).flatten();
        if asking.is_some() {
            call.withhold = Some(Withhold::default());
        }
        asking.or(capped).or(renamed)
    }
}

impl Call {
    /// Its request may be changed: it is not signed, and not compressed, since its coding would have to be changed too.
    pub(crate) fn is_changeable(&self) -> bool {
        !self.is_signed && !self.is_encoded()
    }

    /// It is judged as a call of the model that is to answer instead, where there is one.
    pub(crate) fn take_model(&mut self) {
        let Some(NewModel { to, max_output_tokens, limit, .. }) = self.changes.model.clone() else { return };
        self.asked.model = Some(to);
        let most = max_output_tokens.saturating_mul(self.asked.choices);
        if self.asked.max_output_tokens.is_some_and(|asked| asked > most) {
            self.cap(most, limit);
        }
    }

    /// Its answers, all together, are left so much output.
    fn cap(&mut self, most: u64, limit: String) {
        let each = |tokens: u64| tokens.checked_div(self.asked.choices).unwrap_or(tokens);
        let earlier = self.changes.max_output_tokens.take();
        let from = earlier.map_or_else(|| self.asked.max_output_tokens.map(each), |earlier| earlier.from);
        self.changes.max_output_tokens = Some(NewMaximum { from, to: each(most), limit });
        self.asked.max_output_tokens = Some(most);
    }

    /// The gateway did not take the changed request. `true` where limits wanted it changed: the call is to be judged once
    /// more, as one that cannot be changed, and what budgets hold for it is to be let go first, as the next changes.
    pub fn keep_request(&mut self) -> bool {
        self.withhold = None;
        self.may_change_request = false;
        let was_wanted = self.changes.told().is_some();
        if was_wanted {
            self.changes = Changes::default();
            self.claims.withdraw();
        }
        was_wanted
    }
}
