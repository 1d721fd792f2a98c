//! Sends spans and log records to an OpenTelemetry collector, in batches, beside the traffic.
//!
//! Calls end at their own pace; what they leave is queued, and each tick sends a batch per signal, and the answer to one sends the next. A batch that fails is
//! sent again, later each time; a collector may therefore see a batch twice whose answer was lost, but no item is
//! dropped uncounted.
//! Invariants: at most `QUEUE_BYTES_MAX` are queued per signal, and one batch is under way; no request ever waits.
//! Must not know: what is in an item.

use crate::abi;
use crate::output::Metrics;
use std::collections::VecDeque;
use tollgate_core::config::raw::RawOtlp;
use tollgate_core::event::Event;
use tollgate_core::names::{label, metric};
use tollgate_core::otlp::{Names, Signal, record_of_grant};
use tollgate_core::time::Timestamp;
use tollgate_core::trace::SpanContext;

/// Most that waits for the collector, per signal and worker: a second of five hundred calls of agents, twice.
const QUEUE_BYTES_MAX: usize = 4 << 20;
/// Most items of a batch.
const BATCH_MAX: usize = 512;
/// How long the collector may take.
const TIMEOUT_MS: u32 = 10_000;
/// The first pause after a failure; it doubles up to the last.
const PAUSE_FIRST_MS: u64 = 1_000;
const PAUSE_LAST_MS: u64 = 60_000;

/// The queues for one collector.
pub(crate) struct Exporter {
    collector: RawOtlp,
    lanes: Vec<Lane>,
    /// When the next batches leave.
    due: Timestamp,
}

/// What waits and what is under way, of one signal.
struct Lane {
    signal: Signal,
    queue: VecDeque<Box<str>>,
    bytes: usize,
    sending: Option<Sending>,
    /// In a row.
    failures: u32,
    not_before: Timestamp,
}

struct Sending {
    token: u32,
    items: Vec<Box<str>>,
}

impl Exporter {
    /// An exporter, where the gateway has ticks.
    pub(crate) fn new(collector: &RawOtlp) -> Self {
        let wanted = [(Signal::Traces, collector.traces), (Signal::Logs, collector.logs)];
        let lanes =
            wanted.into_iter().filter(|(_, is_wanted)| *is_wanted).map(|(signal, _)| Lane::new(signal)).collect();
        Self { collector: collector.clone(), lanes, due: Timestamp::default() }
    }

    /// Queues what a call leaves, whose event is written as `json`; `random` becomes the ids of its span.
    #[inline(never)]
    pub(crate) fn queue(&mut self, event: &Event, json: &str, random: [u64; 3], metrics: &mut Metrics) {
        let span = SpanContext::new(event.traceparent.as_deref(), random);
        let names = Names { proposed: self.collector.proposed_names };
        for lane in &mut self.lanes {
            lane.push(lane.signal.item(event, json, &span, names).into_boxed_str(), metrics);
        }
    }

    /// Queues the event of a grant.
    pub(crate) fn queue_grant(&mut self, event: &str, now: Timestamp, metrics: &mut Metrics) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.signal == Signal::Logs) {
            lane.push(record_of_grant(event, now).into_boxed_str(), metrics);
        }
    }

    /// Sends what waits.
    pub(crate) fn on_tick(&mut self, now: Timestamp, metrics: &mut Metrics) {
        if now < self.due {
            return;
        }
        // Ticks may come more often, for others.
        self.due = now.plus_millis(u64::from(self.collector.interval_ms / 2));
        for lane in &mut self.lanes {
            lane.send(&self.collector, now, metrics);
        }
    }

    /// The collector answered, or did not (status 0).
    pub(crate) fn on_answer(&mut self, token: u32, status: u16, now: Timestamp, metrics: &mut Metrics) {
        let is_asked = |lane: &&mut Lane| lane.sending.as_ref().is_some_and(|sent| sent.token == token);
        if let Some(lane) = self.lanes.iter_mut().find(is_asked) {
            lane.on_answer(status, now, metrics);
            lane.send(&self.collector, now, metrics);
        }
    }
}

impl Lane {
    const fn new(signal: Signal) -> Self {
        let not_before = Timestamp::from_millis(0);
        Self { signal, queue: VecDeque::new(), bytes: 0, sending: None, failures: 0, not_before }
    }

    /// Queues an item; the oldest make room.
    fn push(&mut self, item: Box<str>, metrics: &mut Metrics) {
        self.bytes = self.bytes.saturating_add(item.len());
        self.queue.push_back(item);
        let mut dropped = 0;
        while self.bytes > QUEUE_BYTES_MAX {
            let Some(oldest) = self.queue.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.len());
            dropped += 1;
        }
        self.count_dropped("queue_full", dropped, metrics);
    }

    fn send(&mut self, collector: &RawOtlp, now: Timestamp, metrics: &mut Metrics) {
        if self.sending.is_some() || self.queue.is_empty() || now < self.not_before {
            return;
        }
        let items: Vec<Box<str>> = self.queue.drain(..self.queue.len().min(BATCH_MAX)).collect();
        self.bytes = self.queue.iter().map(|item| item.len()).sum();
        let mut headers = vec![
            (":method", "POST"),
            (":path", self.signal.path()),
            (":authority", collector.authority.as_deref().unwrap_or(&collector.target)),
            ("content-type", "application/json"),
        ];
        headers.extend(collector.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let body = self.signal.request(&collector.service, &items);
        match metrics.note("http_call", abi::http_call(&collector.target, &headers, &body, TIMEOUT_MS)) {
            Some(token) => self.sending = Some(Sending { token, items }),
            None => self.fail(items, now, metrics),
        }
    }

    fn on_answer(&mut self, status: u16, now: Timestamp, metrics: &mut Metrics) {
        let Some(Sending { items, .. }) = self.sending.take() else { return };
        match status {
            200..=299 => self.failures = 0,
            // OTLP/HTTP: these may be tried again, as may what was never answered; all else is refused for good.
            0 | 429 | 502..=504 => self.fail(items, now, metrics),
            _ => self.count_dropped("refused", items.len() as u64, metrics),
        }
    }

    /// Puts a batch back to where it was, for later.
    fn fail(&mut self, items: Vec<Box<str>>, now: Timestamp, metrics: &mut Metrics) {
        self.failures = self.failures.saturating_add(1);
        let pause = PAUSE_FIRST_MS.saturating_mul(1 << self.failures.saturating_sub(1).min(16)).min(PAUSE_LAST_MS);
        self.not_before = now.plus_millis(pause);
        let newer = std::mem::take(&mut self.queue);
        self.bytes = 0;
        items.into_iter().chain(newer).for_each(|item| self.push(item, metrics));
    }

    fn count_dropped(&self, reason: &str, dropped: u64, metrics: &mut Metrics) {
        if dropped > 0 {
            let signal = if self.signal == Signal::Traces { "traces" } else { "logs" };
            metrics.count(metric::EXPORT_DROPPED, &[(label::SIGNAL, signal), (label::REASON, reason)], dropped);
        }
    }
}
