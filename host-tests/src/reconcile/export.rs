//! What providers export of usage and costs, as lines by day and model.
//!
//! Sources: OpenAI, administration API, `organization/usage/completions`, `.../embeddings` and `organization/costs`; Anthropic, Admin
//! API, `usage_report/messages` and `cost_report`. A file holds one page or several, one after the other.
//! Invariants: every page of an export is there; nothing of it counts twice; amounts are dollars, cut off below 1e-15.
//! Must not know: events.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_core::money::{MoneyError, Usd};
use tollgate_core::time::Timestamp;
use tollgate_core::usage::{Bucket, Usage};

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// One result of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The provider, by OpenTelemetry's name.
    pub provider: String,
    /// Its day in UTC.
    pub day: String,
    /// The model; `None` where the export does not tell models apart.
    pub model: Option<String>,
    /// Calls, where they are counted.
    pub calls: Option<u64>,
    /// Tokens, reasoning as output.
    pub usage: Option<Usage>,
    /// Dollars.
    pub cost: Option<Usd>,
}

/// All exports together.
#[derive(Debug, Default)]
pub struct Export {
    /// What they say.
    pub lines: Vec<Line>,
    /// Providers and days that they cover, also those without a line.
    pub days: BTreeSet<(String, String)>,
    /// By whose it is and whether it is of costs: pages, and how many of them say that there is another.
    pages: BTreeMap<(Provider, bool), (u64, u64)>,
    seen: HashSet<String>,
}

/// Whose export it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Provider {
    OpenAi,
    Anthropic,
}

/// What is wrong with an export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It is no JSON, or not in the form that the provider documents.
    #[error(
        "{file}: no page of an export that this program knows (OpenAI's usage and costs, Anthropic's usage and cost reports): {why}"
    )]
    Unknown {
        /// The file.
        file: String,
        /// What the reader says.
        why: serde_json::Error,
    },
    /// Pages are missing.
    #[error(
        "{provider}: {missing} pages say that there is another one, which is not here; fetch it with `page` set to `next_page`"
    )]
    NotWhole {
        /// The provider.
        provider: &'static str,
        /// How many.
        missing: u64,
    },
    /// The same results stand in it twice.
    #[error("{file}: the results of {day} are there twice")]
    Twice {
        /// The file.
        file: String,
        /// The day.
        day: String,
    },
    /// An amount is no decimal.
    #[error("{file}: an amount of {day}: {why}")]
    Money {
        /// The file.
        file: String,
        /// The day.
        day: String,
        /// What is wrong with it.
        why: MoneyError,
    },
    /// An amount is in another currency.
    #[error("{file}: an amount of {day} is in {currency}, and events are in dollars")]
    Currency {
        /// The file.
        file: String,
        /// The day.
        day: String,
        /// Which.
        currency: String,
    },
    /// A time is no time.
    #[error("{file}: `{time}` is no time")]
    Time {
        /// The file.
        file: String,
        /// The text.
        time: String,
    },
    /// A bucket covers several days.
    #[error(
        "{file}: the results from {day} on cover more than a day; export them with a `bucket_width` of a day or less"
    )]
    TooLong {
        /// The file.
        file: String,
        /// The first day.
        day: String,
    },
}

/// A page of either provider; OpenAI's says so.
#[derive(Deserialize)]
struct Page<'a> {
    object: Option<String>,
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    has_more: bool,
}

#[derive(Deserialize)]
struct OpenAiBucket<'a> {
    start_time: u64,
    end_time: u64,
    #[serde(borrow)]
    results: Vec<OpenAiResult<'a>>,
}

/// What OpenAI says of a group of calls, or of its costs: `object` tells which.
#[derive(Deserialize)]
struct OpenAiResult<'a> {
    object: String,
    model: Option<String>,
    num_model_requests: Option<u64>,
    /// Cached input and cache writes included, as are audio and images.
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_cached_tokens: Option<u64>,
    input_cache_write_tokens: Option<u64>,
    /// Uncached.
    input_audio_tokens: Option<u64>,
    output_audio_tokens: Option<u64>,
    #[serde(borrow)]
    amount: Option<OpenAiAmount<'a>>,
    line_item: Option<String>,
}

/// Dollars, as a number with more digits than a float holds, or as a text.
#[derive(Deserialize)]
struct OpenAiAmount<'a> {
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    currency: Option<String>,
}

#[derive(Deserialize)]
struct AnthropicBucket {
    starting_at: String,
    ending_at: String,
    results: Vec<AnthropicResult>,
}

/// What Anthropic says of a group of calls, or of its costs: those have an `amount`.
#[derive(Deserialize)]
struct AnthropicResult {
    model: Option<String>,
    uncached_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation: Option<AnthropicWrites>,
    output_tokens: Option<u64>,
    server_tool_use: Option<AnthropicTools>,
    /// What a cost is for that belongs to no model: searches, code that was run.
    description: Option<String>,
    /// Cents, as a decimal.
    amount: Option<String>,
    currency: Option<String>,
}

#[derive(Deserialize)]
struct AnthropicWrites {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct AnthropicTools {
    web_search_requests: Option<u64>,
}

impl Export {
    /// Takes the pages of a file; `file` is its name.
    ///
    /// # Errors
    /// [`ExportError`] when something of it cannot be read, or is there twice.
    pub fn read(&mut self, file: &str, text: &str) -> Result<(), ExportError> {
        let unknown = |why| ExportError::Unknown { file: file.to_owned(), why };
        for page in serde_json::Deserializer::from_str(text).into_iter::<Page<'_>>() {
            let page = page.map_err(unknown)?;
            let provider = if page.object.as_deref() == Some("page") { Provider::OpenAi } else { Provider::Anthropic };
            let mut is_of_costs = None;
            for bucket in page.data {
                let (day, lines) = provider.lines(bucket.get(), file)?;
                if !lines.is_empty() && !self.seen.insert(bucket.get().to_owned()) {
                    return Err(ExportError::Twice { file: file.to_owned(), day });
                }
                is_of_costs = is_of_costs.or(lines.first().map(|line| line.cost.is_some()));
                self.days.insert((provider.name().to_owned(), day));
                self.lines.extend(lines);
            }
            // A page without results may be the last one of either.
            for of_costs in [false, true].into_iter().filter(|of_costs| is_of_costs.is_none_or(|is| is == *of_costs)) {
                let (pages, unfinished) = self.pages.entry((provider, of_costs)).or_default();
                *pages = pages.saturating_add(1);
                *unfinished = unfinished.saturating_add(u64::from(page.has_more));
            }
        }
        Ok(())
    }

    /// Whether every page is there: each export ends with one that has no next.
    ///
    /// # Errors
    /// [`ExportError::NotWhole`] where all pages of an export say that there is another.
    pub fn check_whole(&self) -> Result<(), ExportError> {
        match self.pages.iter().find(|(_, (pages, unfinished))| pages == unfinished) {
            Some(((provider, _), (_, missing))) => {
                Err(ExportError::NotWhole { provider: provider.name(), missing: *missing })
            }
            None => Ok(()),
        }
    }
}

impl Provider {
    const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// The day of a bucket, and what it says.
    fn lines(self, bucket: &str, file: &str) -> Result<(String, Vec<Line>), ExportError> {
        let unknown = |why| ExportError::Unknown { file: file.to_owned(), why };
        match self {
            Self::OpenAi => {
                let bucket: OpenAiBucket<'_> = serde_json::from_str(bucket).map_err(unknown)?;
                let (start, end) =
                    (Timestamp::from_seconds(bucket.start_time), Timestamp::from_seconds(bucket.end_time));
                let day = day_of(start, end, file)?;
                let lines = bucket.results.into_iter().filter_map(|result| result.line(&day, file).transpose());
                Ok((day.clone(), lines.collect::<Result<_, _>>()?))
            }
            Self::Anthropic => {
                let bucket: AnthropicBucket = serde_json::from_str(bucket).map_err(unknown)?;
                let time = |text: &str| {
                    let wrong = || ExportError::Time { file: file.to_owned(), time: text.to_owned() };
                    Timestamp::parse(text).ok_or_else(wrong)
                };
                let day = day_of(time(&bucket.starting_at)?, time(&bucket.ending_at)?, file)?;
                let lines = bucket.results.into_iter().map(|result| result.line(&day, file));
                Ok((day.clone(), lines.collect::<Result<_, _>>()?))
            }
        }
    }
}

/// The day that a bucket lies in.
fn day_of(start: Timestamp, end: Timestamp, file: &str) -> Result<String, ExportError> {
    let (year, month, day) = start.date();
    let text = format!("{year:04}-{month:02}-{day:02}");
    let is_within = end.millis_since(start) <= DAY_SECONDS * 1_000;
    if is_within { Ok(text) } else { Err(ExportError::TooLong { file: file.to_owned(), day: text }) }
}

impl OpenAiResult<'_> {
    /// What it says; `None` of what has neither tokens nor a price.
    fn line(self, day: &str, file: &str) -> Result<Option<Line>, ExportError> {
        let line = Line {
            provider: "openai".to_owned(),
            day: day.to_owned(),
            model: None,
            calls: None,
            usage: None,
            cost: None,
        };
        if self.object == "organization.costs.result" {
            let Some(amount) = self.amount else { return Ok(None) };
            let currency = amount.currency.as_deref().unwrap_or("usd");
            let cost = match amount.value {
                Some(value) => dollars(value.get().trim_matches('"'), currency, day, file)?,
                None => Usd::ZERO,
            };
            // `gpt-5-mini-2025-08-07, cached input`
            let model = self.line_item.map(|item| item.split(", ").next().unwrap_or(&item).to_owned());
            return Ok(Some(Line { model, cost: Some(cost), ..line }));
        }
        let Some(input) = self.input_tokens else { return Ok(None) };
        let or_none = |tokens: Option<u64>| tokens.unwrap_or(0);
        let mut usage = Usage::default();
        let audio = or_none(self.input_audio_tokens);
        let output_audio = or_none(self.output_audio_tokens);
        let (cached, written) = (or_none(self.input_cached_tokens), or_none(self.input_cache_write_tokens));
        for (bucket, tokens) in [
            (Bucket::InputUncached, input.saturating_sub(cached).saturating_sub(written).saturating_sub(audio)),
            (Bucket::InputAudio, audio),
            (Bucket::CacheRead, cached),
            (Bucket::CacheWrite5m, written),
            (Bucket::Output, or_none(self.output_tokens).saturating_sub(output_audio)),
            (Bucket::OutputAudio, output_audio),
        ] {
            usage.set(bucket, tokens);
        }
        Ok(Some(Line { model: self.model, calls: self.num_model_requests, usage: Some(usage), ..line }))
    }
}

impl AnthropicResult {
    fn line(self, day: &str, file: &str) -> Result<Line, ExportError> {
        let line = Line {
            provider: "anthropic".to_owned(),
            day: day.to_owned(),
            model: self.model,
            calls: None,
            usage: None,
            cost: None,
        };
        if let Some(amount) = self.amount {
            let model = line.model.or(self.description);
            let cents = dollars(&amount, self.currency.as_deref().unwrap_or("USD"), day, file)?;
            return Ok(Line { model, cost: Some(Usd::from_femto(cents.femto() / 100)), ..line });
        }
        let or_none = |tokens: Option<u64>| tokens.unwrap_or(0);
        let writes = self.cache_creation.as_ref();
        let web_searches = or_none(self.server_tool_use.and_then(|tools| tools.web_search_requests));
        let mut usage = Usage { web_searches, ..Usage::default() };
        for (bucket, tokens) in [
            (Bucket::InputUncached, self.uncached_input_tokens),
            (Bucket::CacheRead, self.cache_read_input_tokens),
            (Bucket::CacheWrite5m, writes.and_then(|writes| writes.ephemeral_5m_input_tokens)),
            (Bucket::CacheWrite1h, writes.and_then(|writes| writes.ephemeral_1h_input_tokens)),
            (Bucket::Output, self.output_tokens),
        ] {
            usage.set(bucket, or_none(tokens));
        }
        Ok(Line { usage: Some(usage), ..line })
    }
}

/// An amount in units of a currency, which must be the dollar.
fn dollars(text: &str, currency: &str, day: &str, file: &str) -> Result<Usd, ExportError> {
    let (file, day) = (file.to_owned(), day.to_owned());
    if !currency.eq_ignore_ascii_case("usd") {
        return Err(ExportError::Currency { file, day, currency: currency.to_owned() });
    }
    // Providers print sums of floats with up to forty digits, of which the last say nothing.
    let text = match text.split_once('.') {
        Some((whole, fraction)) if fraction.len() > 18 && !fraction.contains(['e', 'E']) => {
            format!("{whole}.{}", fraction.chars().take(18).collect::<String>())
        }
        _ => text.to_owned(),
    };
    Usd::parse_computed(&text).map_err(|why| ExportError::Money { file, day, why })
}
