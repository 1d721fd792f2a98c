//! [`Metrics`]: the registry of counters, gauges and histograms that the filter's metric calls fill.
//!
//! Invariants: one value per name for the whole gateway, so workers add up. Kong finds a metric by the CRC32 of its
//! prefixed name only, so two names with the same CRC32 are one metric.

use std::collections::BTreeMap;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Collects values.
    Histogram,
}

/// One metric and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// What it is.
    pub kind: MetricKind,
    /// The value of a counter or gauge, the count of a histogram.
    pub value: u64,
    /// The values of a histogram, in the order of recording.
    pub recorded: Vec<u64>,
}

/// All metrics of one gateway by the name the filter gave them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    by_name: BTreeMap<String, Metric>,
    names: BTreeMap<u32, String>,
    next_id: u32,
}

impl MetricKind {
    /// From the ABI's number.
    pub(crate) fn from_abi(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Counter),
            1 => Some(Self::Gauge),
            2 => Some(Self::Histogram),
            _ => None,
        }
    }
}

impl Metrics {
    /// The value of a counter or gauge; `None` if it was never defined.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<u64> {
        self.by_name.get(name).map(|metric| metric.value)
    }

    /// A metric by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Metric> {
        self.by_name.get(name)
    }

    /// All metrics, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Metric)> {
        self.by_name.iter().map(|(name, metric)| (name.as_str(), metric))
    }

    /// Defines a metric with an id from a sequence (Envoy), or finds it.
    pub(crate) fn define_in_sequence(&mut self, kind: MetricKind, name: &str) -> u32 {
        if let Some((id, _)) = self.names.iter().find(|(_, known)| known.as_str() == name) {
            return *id;
        }
        self.next_id += 1;
        self.define(self.next_id, kind, name)
    }

    /// Defines a metric under the CRC32 of `prefixed` (Kong), or finds whatever has that CRC32.
    pub(crate) fn define_by_crc(&mut self, kind: MetricKind, prefixed: &str, name: &str) -> u32 {
        let id = crc32fast::hash(prefixed.as_bytes());
        if self.names.contains_key(&id) { id } else { self.define(id, kind, name) }
    }

    /// Adds to a counter or gauge. `None`: no such id; `Some(false)`: not possible with this kind.
    pub(crate) fn increment(&mut self, id: u32, offset: i64) -> Option<bool> {
        let metric = self.by_id(id)?;
        let possible = match metric.kind {
            MetricKind::Counter => offset >= 0,
            MetricKind::Gauge => true,
            MetricKind::Histogram => false,
        };
        if possible {
            metric.value = metric.value.wrapping_add_signed(offset);
        }
        Some(possible)
    }

    /// Records a value: sets a gauge, adds to a counter, collects in a histogram.
    pub(crate) fn record(&mut self, id: u32, value: u64) -> Option<()> {
        let metric = self.by_id(id)?;
        match metric.kind {
            MetricKind::Counter => metric.value = metric.value.wrapping_add(value),
            MetricKind::Gauge => metric.value = value,
            MetricKind::Histogram => {
                metric.value += 1;
                metric.recorded.push(value);
            }
        }
        Some(())
    }

    /// The metric with an id.
    pub(crate) fn by_id(&mut self, id: u32) -> Option<&mut Metric> {
        self.by_name.get_mut(self.names.get(&id)?)
    }

    fn define(&mut self, id: u32, kind: MetricKind, name: &str) -> u32 {
        self.names.insert(id, name.to_owned());
        let metric = Metric { kind, value: 0, recorded: Vec::new() };
        self.by_name.entry(name.to_owned()).or_insert(metric);
        id
    }
}
