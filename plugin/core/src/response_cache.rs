//! Answers that no model made: those that a cache in the gateway served, and those that one could have served.
//!
//! A gateway's cache (of the same requests, or of similar ones) says so in a header of the response. Such a call consumed
//! nothing at the provider, whatever usage the kept answer states. Where there is no such cache, a request that was
//! answered before shows what one would be worth.
//! Invariants: no text is kept; an answer that failed is not one that a cache could have served.
//! Must not know: prices; how records are stored.
#![deny(clippy::arithmetic_side_effects)]

use crate::head::Headers;
use crate::ledger::Bytes;
use crate::money::Usd;
use crate::ordered;
use crate::time::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// For how long a response cache is taken to keep an answer.
pub(crate) const LIFETIME_MS: u64 = 60 * 60 * 1_000;

/// Headers that say that a cache served the response, as gateways write them: Kong, Higress and proxies of any kind,
/// APISIX, Portkey (`SEMANTIC HIT` too), LiteLLM, Helicone, Cloudflare.
pub(crate) fn default_headers() -> BTreeMap<String, String> {
    const KNOWN: [(&str, &str); 6] = [
        ("x-cache-status", "hit"),
        ("x-ai-cache-status", "hit"),
        ("x-portkey-cache-status", "hit"),
        ("x-litellm-cache-hit", "true"),
        ("helicone-cache", "hit"),
        ("cf-aig-cache-status", "hit"),
    ];
    ordered::map(KNOWN.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

/// The header that says that a cache served the response.
pub(crate) fn served_by(known: &BTreeMap<String, String>, headers: &Headers<'_>) -> Option<String> {
    let says_hit = |name: &str, ending: &str| {
        let found = headers.get(name).map(|value| value.trim().as_bytes());
        let end = found.and_then(|found| found.get(found.len().checked_sub(ending.len())?..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(ending.as_bytes()))
    };
    known.iter().find(|(name, ending)| says_hit(name, ending)).map(|(name, _)| name.clone())
}

/// What a response cache did for a call, or could have done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResponseCacheEffect {
    /// The response's header that says that a cache served it; `null` where none did.
    pub served_by: Option<String>,
    /// What the call would have cost without that cache.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub avoided_usd: Option<Usd>,
    /// What the call cost although the same prompt was answered within the hour before: a response cache would have
    /// avoided it.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub avoidable_usd: Option<Usd>,
}

/// What is remembered of a prompt that was answered now.
#[must_use]
pub fn answered(now: Timestamp) -> Bytes {
    Bytes(now.millis().to_le_bytes().to_vec())
}

/// Whether a request that was sent then could have had an answer that is remembered so.
#[must_use]
pub fn could_serve(answered: &Bytes, opened: Timestamp) -> bool {
    <[u8; 8]>::try_from(answered.0.as_slice()).is_ok_and(|at| u64::from_le_bytes(at) <= opened.millis())
}

/// When an answer that was given now is no longer kept.
#[must_use]
pub fn expires(now: Timestamp) -> Timestamp {
    now.plus_millis(LIFETIME_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_that_a_cache_served_in_the_words_of_its_gateway() {
        let known = default_headers();
        for (name, value, is_hit) in [
            ("x-cache-status", "Hit", true),
            ("x-cache-status", "Miss", false),
            ("x-portkey-cache-status", "SEMANTIC HIT", true),
            ("x-litellm-cache-hit", "True", true),
            ("cf-aig-cache-status", "HIT", true),
            ("age", "hit", false),
        ] {
            let pairs = [(name, value)];
            let found = served_by(&known, &Headers::new(&pairs));
            assert_eq!(found.as_deref(), Some(name).filter(|_| is_hit), "{name}: {value}");
        }
    }
}
