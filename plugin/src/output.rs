//! Where an event goes: access log and span values, metrics, the log.
//!
//! Span values are written as soon as they are known: a span does not see what is set after the response ended.
//! Invariants: an output that fails is counted, and never stops a call.
//! Must not know: how events come about.

use crate::abi::{self, LogLevel, MetricKind, Status};
use crate::host::Host;
use crate::store::StoreError;
use std::borrow::Cow;
use std::collections::HashMap;
use tollgate_core::event::{Event, Progress};
use tollgate_core::limit::Finding;
use tollgate_core::log_line;
use tollgate_core::metrics::{Kind, Measurement, Metric, named};
use tollgate_core::names::{EVENT_LOG_PREFIX, THRESHOLD_LOG_PREFIX, label, metric, state};

/// The metrics defined so far, by name.
#[derive(Default)]
pub(crate) struct Metrics {
    ids: HashMap<String, u32>,
}

impl Metrics {
    /// Adds to a counter.
    pub(crate) fn count(&mut self, name: &str, labels: &[(&str, &str)], amount: u64) {
        self.apply(&Measurement { metric: Metric::new(named(name, labels)), kind: Kind::Counter, amount });
    }

    /// Sets a gauge.
    pub(crate) fn set(&mut self, name: &str, labels: &[(&str, &str)], amount: u64) {
        self.apply(&Measurement { metric: Metric::new(named(name, labels)), kind: Kind::Gauge, amount });
    }

    /// Applies measurements.
    pub(crate) fn apply_all(&mut self, measured: &[Measurement]) {
        measured.iter().for_each(|measured| self.apply(measured));
    }

    /// Counts a host call that failed, so that an operator sees what is missing.
    pub(crate) fn note<T>(&mut self, function: &str, result: Result<T, Status>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(Status(status)) => {
                let labels = [(label::FUNCTION, function), (label::STATUS, &*status.to_string())];
                self.count(metric::HOST_ERRORS, &labels, 1);
                None
            }
        }
    }

    /// Counts what the store could not do.
    pub(crate) fn note_store<T>(&mut self, result: Result<T, StoreError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(StoreError::Host(status)) => self.note("shared_data", Err(status)),
            Err(StoreError::Ledger(error)) => {
                self.count(metric::LEDGER_ERRORS, &[(label::REASON, &error.to_string())], 1);
                None
            }
        }
    }

    fn apply(&mut self, measured: &Measurement) {
        let (kind, amount) = (measured.kind, measured.amount);
        // A gateway without metrics refuses every definition; there is nowhere to count that.
        let Some(id) = measured.metric.id.get().or_else(|| self.id(&measured.metric.name, kind)) else { return };
        measured.metric.id.set(Some(id));
        _ = match kind {
            Kind::Counter => abi::increment_metric(id, amount),
            Kind::Gauge | Kind::Histogram => abi::record_metric(id, amount),
        };
    }

    /// The gateway's number for a metric, which it is told of once.
    fn id(&mut self, name: &str, kind: Kind) -> Option<u32> {
        if let Some(id) = self.ids.get(name) {
            return Some(*id);
        }
        let kind = match kind {
            Kind::Counter => MetricKind::Counter,
            Kind::Gauge => MetricKind::Gauge,
            Kind::Histogram => MetricKind::Histogram,
        };
        let id = abi::define_metric(kind, name).ok()?;
        self.ids.insert(name.to_owned(), id);
        Some(id)
    }
}

/// What was published of a call so far, so that only changes go out.
#[derive(Default)]
pub(crate) struct Published(Vec<(&'static str, String)>);

impl Published {
    /// Takes note of a value; `false` when it is published already.
    fn changes(&mut self, name: &'static str, value: &str) -> bool {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) if known == value => false,
            Some((_, known)) => {
                value.clone_into(known);
                true
            }
            None => {
                self.0.push((name, value.to_owned()));
                true
            }
        }
    }
}

/// Publishes the event of a call as it stands, for gateways that show nothing later.
pub(crate) fn publish_so_far(host: Host, metrics: &mut Metrics, event: &Event) {
    publish_event(host, metrics, &event.json());
}

/// Publishes an event, as JSON.
pub(crate) fn publish_event(host: Host, metrics: &mut Metrics, json: &str) {
    metrics.note("set_property", host.publish(state::EVENT, json));
}

/// Publishes what access logs and spans show of a call, ended or not.
#[inline(never)]
pub(crate) fn publish(host: Host, metrics: &mut Metrics, published: &mut Published, progress: &Progress<'_>) {
    let number = |tokens: Option<u64>| tokens.map(|tokens| Cow::Owned(tokens.to_string()));
    let values: [(&'static str, Option<Cow<'_, str>>); 10] = [
        (state::OUTCOME, Some(progress.outcome.name().into())),
        (state::OPERATION, Some(progress.operation.into())),
        (state::PROVIDER, Some(progress.provider.into())),
        (state::REQUEST_MODEL, progress.request_model.map(Cow::Borrowed)),
        (state::RESPONSE_MODEL, progress.response_model.map(Cow::Borrowed)),
        (state::INPUT_TOKENS, number(progress.input_tokens)),
        (state::OUTPUT_TOKENS, number(progress.output_tokens)),
        (state::CACHE_READ_TOKENS, number(progress.cache_read_tokens)),
        (state::COST, progress.cost_usd.map(|cost| cost.to_string().into())),
        (state::APPLICATION, progress.app.map(Cow::Borrowed)),
    ];
    for (name, value) in values {
        if let Some(value) = value.filter(|value| published.changes(name, value)) {
            metrics.note("set_property", host.publish(name, &value));
        }
    }
}

/// Sends the event of a call that is over everywhere, with its JSON.
#[inline(never)]
pub(crate) fn emit(
    host: Host,
    metrics: &mut Metrics,
    published: &mut Published,
    (event, json): (&Event, &str),
    measured: &[Measurement],
    to_log: bool,
) {
    publish(host, metrics, published, &event.into());
    publish_event(host, metrics, json);
    metrics.apply_all(measured);
    for crossing in event.limits.iter().flat_map(Finding::crossings) {
        abi::log(LogLevel::Warn, &format!("{THRESHOLD_LOG_PREFIX}{crossing}"));
    }
    if to_log {
        let room = host.log_line_max().saturating_sub(EVENT_LOG_PREFIX.len());
        abi::log(LogLevel::Info, &format!("{EVENT_LOG_PREFIX}{}", log_line::fit(json, room)));
    }
}
