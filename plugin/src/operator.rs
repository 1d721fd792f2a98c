//! What operators ask: reads the ledger or changes it, and answers in the gateway's place.
//!
//! Invariants: every grant is logged, and is an event of its own; every report is logged.
//! Must not know: what budgets are, who may ask.

use crate::abi::{self, LogLevel};
use crate::brake;
use crate::outcome;
use crate::output::{self, Metrics};
use crate::root::Root;
use crate::store::Store;
use tollgate_core::head::RequestHead;
use tollgate_core::json_text;
use tollgate_core::meter::Done;
use tollgate_core::metrics::Counted;
use tollgate_core::names::{GRANT_LOG_PREFIX, OUTCOME_LOG_PREFIX};
use tollgate_core::operator::{Command, Grant, List};
use tollgate_core::time::Timestamp;

/// Answers a request of an operator; `None` where it is none.
#[inline(never)]
pub(crate) fn answer(root: &mut Root, head: &RequestHead<'_>, now: Timestamp) -> Option<()> {
    let host = root.host();
    let config = root.meter.config();
    let (status, body) = match config.operator.as_ref()?.command(head, &config.limits, now)? {
        Command::List => {
            let mut list = List::default();
            let read = root.store.read_all(now, |bucket| list.add(bucket, &config.limits, now));
            root.metrics.note_store(read);
            (200, list.end().to_string())
        }
        Command::Grant(grant) => match make(&grant, &mut root.store, &mut root.metrics, now) {
            Some(granted) => {
                output::publish_event(host, &mut root.metrics, &granted);
                if let Some(exporter) = &mut root.exporter {
                    exporter.queue_grant(&granted, now, &mut root.metrics);
                }
                (200, granted)
            }
            None => (503, r#"{"error":"the ledger cannot be changed at the moment"}"#.to_owned()),
        },
        Command::Outcome(mut outcome) => {
            outcome::tell(&mut outcome, &mut root.store, &mut root.metrics, now);
            root.admit_series(Counted::Outcome(&outcome), now);
            let measured = root.meter.measure_outcome(&outcome);
            root.metrics.apply_all(&measured);
            let told = json_text::of(&outcome).unwrap_or_default();
            abi::log(LogLevel::Info, &format!("{OUTCOME_LOG_PREFIX}{told}"));
            (200, told)
        }
        Command::Mistaken(why) => (400, serde_json::json!({"error": why}).to_string()),
    };
    let headers = [("content-type", "application/json"), ("cache-control", "no-store")];
    let sent = abi::send_local_response(status, "tollgate_operator", &headers, &body);
    root.metrics.note("send_local_response", sent)
}

/// Makes a grant, and says so in the log.
fn make(grant: &Grant<'_>, store: &mut Store, metrics: &mut Metrics, now: Timestamp) -> Option<String> {
    let Some(Done::Settled(balance, _)) = brake::make(&grant.change()?, store, metrics, now) else { return None };
    let granted = grant.granted(&balance, now).to_string();
    abi::log(LogLevel::Warn, &format!("{GRANT_LOG_PREFIX}{granted}"));
    Some(granted)
}
