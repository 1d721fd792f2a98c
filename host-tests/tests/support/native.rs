//! An exchange in the native core: the event that every gateway must give.
//!
//! Must not know: gateways.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it")]

use serde_json::Value;
use tollgate_core::config::Config;
use tollgate_core::head::{Headers, RequestHead, ResponseHead};
use tollgate_core::ledger::Bucket;
use tollgate_core::meter::{Body, Ending, Meter, Verdict};
use tollgate_core::retrieval::Standing;
use tollgate_core::time::Timestamp;

/// A whole exchange, as the gateway saw it.
pub struct Exchange<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub host: &'a str,
    pub request_headers: &'a [(String, String)],
    pub request: &'a [u8],
    pub status: u16,
    pub response_headers: &'a [(String, String)],
    pub response: &'a [u8],
}

/// The event of an exchange that passes, on a clock that stands still at `now`.
pub fn event(exchange: &Exchange<'_>, config: &str, now: Timestamp) -> Value {
    event_if_any(exchange, config, now).unwrap()
}

/// The same; `None` where it is no LLM call, or is told nothing that is billed.
pub fn event_if_any(exchange: &Exchange<'_>, config: &str, now: Timestamp) -> Option<Value> {
    let mut meter = Meter::new(Config::parse(config.as_bytes()).unwrap(), [1, 2]);
    let (asked, answered) = (pairs(exchange.request_headers), pairs(exchange.response_headers));
    let Exchange { method, path, host, .. } = *exchange;
    let head = RequestHead { method, path, host, headers: Headers::new(&asked), ..RequestHead::default() };
    let mut call = meter.open(&head, String::new(), now)?;
    assert_eq!(meter.admit(&mut call, Body::Whole(exchange.request)), Verdict::Forward);
    meter.respond(&mut call, &ResponseHead { status: exchange.status, headers: Headers::new(&answered) });
    meter.read(&mut call, exchange.response, now);
    // As a gateway does that remembers nothing yet.
    match call.standing() {
        Standing::Own => {}
        Standing::Told(claim) if claim.is_anyones => {
            call.charge(claim.charge(&mut Bucket::default(), &claim.keys.own, None, now).unwrap()?);
        }
        Standing::Told(_) | Standing::Batch(..) | Standing::Nothing => return None,
    }
    Some(serde_json::to_value(meter.end(call, Ending::Complete, now)).unwrap())
}

fn pairs(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
