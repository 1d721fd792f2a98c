//! Whether a call may be forwarded: its estimate, put to every limit.
//!
//! Must not know: wire formats, gateways.

use crate::call::{Call, Denial, Verdict};
use crate::limit::{Estimate, Finding};
use crate::meter::Meter;
use crate::money::Usd;
use crate::names::header;
use crate::price::{Lookup, Terms};
use crate::usage::{Bucket, Usage};

impl Meter {
    /// Asks every limit; the first that denies is the answer.
    pub(crate) fn limit(&self, call: &mut Call) -> Verdict {
        if self.config.limits.is_empty() {
            return Verdict::Forward;
        }
        let estimate = Estimate {
            model: call.asked.model.as_deref(),
            provider: Some(call.provider()),
            attribution: &call.attribution,
            input_tokens: call.prompt.tokens(),
            output_tokens: call.asked.max_output_tokens,
            cost: self.most_cost(call),
        };
        let findings: Vec<Finding> = self.config.limits.iter().filter_map(|limit| limit.judge(&estimate)).collect();
        let verdict = findings.iter().find(|found| found.denies()).map_or(Verdict::Forward, |found| {
            Verdict::Deny(Denial {
                status: 429,
                headers: vec![(header::SHOULD_RETRY, "false".to_owned()), (header::LIMIT, found.id.clone())],
                body: call.route.dialect.error_body("rate_limit_error", "limit_exceeded", &found.message()),
            })
        });
        call.findings = findings;
        verdict
    }

    /// What the call may cost at most: its counted input at list price and all the output it allows.
    fn most_cost(&self, call: &Call) -> Option<Usd> {
        let lookup = Lookup {
            provider: call.route.provider.as_deref(),
            model: call.asked.model.as_deref()?,
            at: call.opened,
            terms: Terms {
                service_tier: call.asked.service_tier.as_deref(),
                speed: call.asked.speed.as_deref(),
                inference_geo: call.route.region,
                ..Terms::default()
            },
        };
        let quote = self.config.prices.quote(&lookup).ok()?;
        let mut usage = Usage::default();
        usage.set(Bucket::InputUncached, call.prompt.tokens());
        usage.set(Bucket::Output, call.asked.max_output_tokens?);
        Some(quote.cost(&usage).total)
    }
}
