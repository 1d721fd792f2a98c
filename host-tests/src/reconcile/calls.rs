//! Event logs as calls: one per event, whether a line is the event or holds it in `tollgate_event`.
//!
//! Invariants: an event that stands in the logs twice, to the last byte, is one call; calls that never reached a provider are
//! none. Must not know: exports.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tollgate_core::money::{MoneyError, Usd};
use tollgate_core::names::EVENT_SCHEMA;
use tollgate_core::time::Timestamp;
use tollgate_core::usage::{Bucket, Usage};

/// What an event says of a call that a provider bills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it was made.
    pub time: Timestamp,
    /// The provider.
    pub provider: String,
    /// The model that answered, else the one that was asked for.
    pub model: String,
    /// The one that was asked for.
    pub alias: Option<String>,
    /// The tier that it was processed in.
    pub service_tier: Option<String>,
    /// Its tokens; `None` where they are not known.
    pub usage: Option<Usage>,
    /// The provider reported all of them.
    pub is_reported: bool,
    /// The event tells the kind of each token.
    pub is_exact: bool,
    /// Dollars; `None` where they are not known.
    pub cost: Option<Usd>,
    /// It was told what an earlier call consumed.
    pub is_later: bool,
}

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A line is no JSON.
    #[error("{file}, line {line}: not JSON: {why}")]
    NotJson {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What the reader says.
        why: serde_json::Error,
    },
    /// An event lacks what every event has, or has it in another form.
    #[error("{file}, line {line}: no event of Tollgate: {why}")]
    NotAnEvent {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What the reader says.
        why: serde_json::Error,
    },
    /// An amount is no decimal.
    #[error("{file}, line {line}: {why}")]
    Money {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: MoneyError,
    },
    /// A time is no time.
    #[error("{file}, line {line}: `{time}` is no time")]
    Time {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The text.
        time: String,
    },
}

/// A line of a log; other members of it do not matter.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    tollgate_event: Option<&'a RawValue>,
    schema: Option<String>,
}

/// The fields of an event that are asked about.
#[derive(Deserialize)]
struct Event {
    time: String,
    provider: String,
    operation: String,
    outcome: String,
    request_model: Option<String>,
    response_model: Option<String>,
    service_tier: Option<String>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    input_uncached_tokens: Option<u64>,
    cache_read_tokens: Option<u64>,
    cache_write_5m_tokens: Option<u64>,
    cache_write_1h_tokens: Option<u64>,
    audio_input_tokens: Option<u64>,
    audio_output_tokens: Option<u64>,
    web_searches: Option<u64>,
    citation_tokens: Option<u64>,
    usage_source: String,
    cost_usd: Option<String>,
    #[serde(default)]
    cost: BTreeMap<String, Value>,
}

/// Calls of several logs.
#[derive(Default)]
pub struct Calls {
    /// In the order of the logs.
    pub calls: Vec<Call>,
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl Calls {
    /// Takes the calls of a log; `file` is its name.
    ///
    /// # Errors
    /// [`LogError`] with the line that cannot be read.
    pub fn read(&mut self, file: &str, log: &str) -> Result<(), LogError> {
        for (number, line) in log.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            self.read_line(line, file, number.saturating_add(1))?;
        }
        Ok(())
    }

    fn read_line(&mut self, text: &str, file: &str, line: usize) -> Result<(), LogError> {
        let not_json = |why| LogError::NotJson { file: file.to_owned(), line, why };
        let outer: Line<'_> = serde_json::from_str(text).map_err(not_json)?;
        // An access log has the event as a text that holds JSON, or as an object.
        let inner = match (outer.tollgate_event.map(RawValue::get), outer.schema) {
            (Some("null"), _) | (None, None) => return Ok(()),
            (Some(quoted), _) if quoted.starts_with('"') => serde_json::from_str::<String>(quoted).map_err(not_json)?,
            (Some(object), _) => object.to_owned(),
            (None, Some(_)) => text.to_owned(),
        };
        if !self.seen.insert(self.hasher.hash_one(&inner)) {
            return Ok(());
        }
        let why = |why| LogError::NotAnEvent { file: file.to_owned(), line, why };
        let schema: Line<'_> = serde_json::from_str(&inner).map_err(why)?;
        if schema.schema.as_deref() != Some(EVENT_SCHEMA) {
            return Ok(());
        }
        let event: Event = serde_json::from_str(&inner).map_err(why)?;
        self.calls.extend(event.call(file, line)?);
        Ok(())
    }
}

impl Call {
    /// Its day in UTC.
    #[must_use]
    pub fn day(&self) -> String {
        let (year, month, day) = self.time.date();
        format!("{year:04}-{month:02}-{day:02}")
    }
}

impl Event {
    /// The call, if a provider had any part in it.
    fn call(self, file: &str, line: usize) -> Result<Option<Call>, LogError> {
        if matches!(self.outcome.as_str(), "denied" | "local_reply") {
            return Ok(None);
        }
        let time = || LogError::Time { file: file.to_owned(), line, time: self.time.clone() };
        let money = |why| LogError::Money { file: file.to_owned(), line, why };
        let usage = self.usage();
        // A call that failed and consumed nothing is on nobody's bill.
        if self.input_tokens == Some(0) && self.output_tokens == Some(0) {
            return Ok(None);
        }
        Ok(Some(Call {
            time: Timestamp::parse(&self.time).ok_or_else(time)?,
            cost: self.cost_usd.as_deref().map(Usd::parse).transpose().map_err(money)?,
            is_exact: usage.is_some_and(|usage| self.is_whole(&usage)),
            usage,
            is_reported: self.usage_source == "reported",
            is_later: self.operation == "retrieve",
            model: self.response_model.or_else(|| self.request_model.clone()).unwrap_or_else(|| "unknown".to_owned()),
            alias: self.request_model,
            provider: self.provider,
            service_tier: self.service_tier,
        }))
    }

    /// The buckets, as far as the event tells them apart.
    fn usage(&self) -> Option<Usage> {
        let (web_searches, citation_tokens) = (self.web_searches.unwrap_or(0), self.citation_tokens.unwrap_or(0));
        let mut usage = Usage { web_searches, citation_tokens, ..Usage::default() };
        let (audio, reasoning) = (self.audio_output_tokens.unwrap_or(0), self.reasoning_tokens.unwrap_or(0));
        let visible = if self.cost.contains_key("output_image") { Bucket::OutputImage } else { Bucket::Output };
        for (bucket, tokens) in [
            (Bucket::InputUncached, self.input_uncached_tokens?),
            (Bucket::InputAudio, self.audio_input_tokens?),
            (Bucket::CacheRead, self.cache_read_tokens?),
            (Bucket::CacheWrite5m, self.cache_write_5m_tokens?),
            (Bucket::CacheWrite1h, self.cache_write_1h_tokens?),
            (Bucket::OutputAudio, audio),
            (Bucket::Reasoning, reasoning),
            (visible, self.output_tokens?.saturating_sub(audio).saturating_sub(reasoning)),
        ] {
            usage.set(bucket, tokens);
        }
        // Images are what is left.
        let images = self.input_tokens?.saturating_sub(usage.input_total());
        usage.set(Bucket::InputImage, images);
        Some(usage)
    }

    /// Whether the buckets are all that the event has, each with a kind that is told.
    fn is_whole(&self, usage: &Usage) -> bool {
        let is_ambiguous = ["cache_read_audio", "cache_read_image"].iter().any(|kind| self.cost.contains_key(*kind))
            || (self.cost.contains_key("output_image") && self.cost.contains_key("output"));
        !is_ambiguous && Some(usage.input_total()) == self.input_tokens
    }
}
