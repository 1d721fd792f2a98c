//! Amazon Bedrock's Converse and ConverseStream, one format for every vendor's models.
//!
//! The path names the model and says whether the answer is streamed. `inputTokens` excludes what the cache served and
//! took. A field may be stated twice under two names (`cacheReadInputTokens`, `cacheReadInputTokenCount`); that is one
//! count. A stream states its usage once, in the `metadata` event behind the end of the answer. What a document states
//! counts once the document is complete.
//! Must not know: prices; how other dialects count.
#![deny(clippy::arithmetic_side_effects)]

use super::blocks::{Sections, Style};
use super::object::{Form, count, fields, items, member, members, string};
use super::{Answer, Request, UsagePart, Wire, anthropic, medium, note, object, path, text, value};
use crate::frame::json::{Node, Value, Visit};
use crate::frame::raw::{Cursor, Raw};
use crate::head::ResponseHead;
use crate::prompt::{Element, Piece};
use crate::usage::{Bucket, Usage};
use std::borrow::Cow;

/// Headers of a response that Bedrock sets whatever the format.
mod header {
    pub(super) const INPUT_TOKENS: &str = "x-amzn-bedrock-input-token-count";
    pub(super) const OUTPUT_TOKENS: &str = "x-amzn-bedrock-output-token-count";
    pub(super) const CACHE_READ_TOKENS: &str = "x-amzn-bedrock-cache-read-input-token-count";
    pub(super) const CACHE_WRITE_TOKENS: &str = "x-amzn-bedrock-cache-write-input-token-count";
    pub(super) const SERVICE_TIER: &str = "x-amzn-bedrock-service-tier";
    pub(super) const ERROR_TYPE: &str = "x-amzn-errortype";
}

pub(super) const STYLE: Style = Style {
    tool_name: |tool| {
        let mut spec = None;
        tool.members(|key, value| {
            if key == "toolSpec" {
                spec = value.raw();
            }
        });
        member(spec?.get(), "name").and_then(string)
    },
    says_result: |key, _| key == "toolResult",
};

pub(super) fn read_request<'a>(json: &'a str, request: &mut Request<'a>) -> Form {
    let mut sections = Sections::default();
    let form = fields(json, |key, value| match &*key {
        "system" => sections.system = value.raw(),
        "toolConfig" => read_tools(value, &mut sections),
        "messages" => sections.read_messages(value, STYLE),
        _ => value.raw().into_iter().for_each(|value| read_field(&key, value, request)),
    });
    sections.arrange(request);
    form
}

/// The tools in the `toolConfig` that is next.
pub(super) fn read_tools<'a>(config: &mut Cursor<'a>, sections: &mut Sections<'a>) {
    config.members(|key, value| {
        if key == "tools" {
            sections.read_tools(value, STYLE);
        }
    });
}

fn read_field<'a>(key: &str, value: Raw<'a>, request: &mut Request<'a>) {
    match key {
        "inferenceConfig" => request.max_output_tokens = member(value.get(), "maxTokens").and_then(count),
        "additionalModelRequestFields" => {
            let thinking = member(value.get(), "thinking").or_else(|| member(value.get(), "reasoning_config"));
            request.least_output_tokens = thinking.and_then(anthropic::least_beside_thinking);
        }
        "requestMetadata" => request.metadata = Some(value),
        "serviceTier" => request.service_tier = member(value.get(), "type").and_then(string),
        "performanceConfig" => request.speed = member(value.get(), "latency").and_then(string),
        "promptVariables" => request.has_unseen = true,
        _ => {}
    }
}

pub(super) fn read_element<'a>(element: &Element<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    match member(element.raw.get(), "content") {
        Some(content) => {
            piece(Piece::Message);
            items(content.get(), |block| read_block(block, piece));
        }
        None => read_block(element.raw, piece),
    }
}

/// A block has one member that says what it is. Tool use, tool results, reasoning and guarded content hold the text
/// one or two levels further down; a point in the cache holds none; the rest is media.
fn read_block<'a>(block: Raw<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    members(block.get(), |key, value| match &*key {
        "text" => string(value).into_iter().for_each(|text| piece(Piece::Text(text))),
        "toolUse" => {
            _ = members(value.get(), |key, value| match &*key {
                "name" => string(value).into_iter().for_each(|text| piece(Piece::Text(text))),
                "input" => piece(Piece::Text(Cow::Borrowed(value.get()))),
                _ => {}
            })
        }
        "toolResult" => {
            let content = member(value.get(), "content");
            content.into_iter().for_each(|content| _ = items(content.get(), |block| read_result(block, piece)));
        }
        "reasoningContent" => read_nested(value, "reasoningText", piece),
        "guardContent" => read_nested(value, "text", piece),
        "cachePoint" => {}
        "document" => read_document(value, piece),
        key => piece(Piece::Media(medium::read_member(key, value))),
    });
}

/// A block of what a tool returned: text, JSON, or media.
fn read_result<'a>(block: Raw<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    members(block.get(), |key, value| match &*key {
        "text" => string(value).into_iter().for_each(|text| piece(Piece::Text(text))),
        "json" => piece(Piece::Text(Cow::Borrowed(value.get()))),
        "document" => read_document(value, piece),
        key => piece(Piece::Media(medium::read_member(key, value))),
    });
}

/// A document is a file, or the text of one.
fn read_document<'a>(document: Raw<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    let text = member(document.get(), "source").and_then(|source| member(source.get(), "text")).and_then(string);
    piece(text.map_or_else(|| Piece::Media(medium::read_member("document", document)), Piece::Text));
}

/// `{"<key>": {"text": "..."}}`.
fn read_nested<'a>(value: Raw<'a>, key: &str, piece: &mut dyn FnMut(Piece<'a>)) {
    let text = member(value.get(), key).and_then(|of| member(of.get(), "text")).and_then(string);
    piece(text.map_or(Piece::Unseen, Piece::Text));
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Other,
    Model,
    StopReason,
    Delivered,
    ToolName,
    ServiceTier,
    Latency,
    Usage,
    Input,
    Output,
    CacheRead,
    CacheWrite,
    Lifetime,
    LifetimeName,
    LifetimeTokens,
    /// Output of one of several results.
    ResultOutput,
    /// The metrics that Bedrock puts behind a vendor's own format.
    Metrics,
    MetricInput,
    MetricOutput,
    MetricCacheRead,
    MetricCacheWrite,
}

pub(super) const COUNTS: &[Node<Field>] = &[
    // Makers that write as OpenAI does.
    value("prompt_tokens", Field::Input),
    value("completion_tokens", Field::Output),
    value("inputTokens", Field::Input),
    value("outputTokens", Field::Output),
    value("cacheReadInputTokens", Field::CacheRead),
    value("cacheReadInputTokenCount", Field::CacheRead),
    value("cacheWriteInputTokens", Field::CacheWrite),
    value("cacheWriteInputTokenCount", Field::CacheWrite),
    object(
        "cacheDetails",
        Field::Lifetime,
        &[value("ttl", Field::LifetimeName), value("inputTokens", Field::LifetimeTokens)],
    ),
];

const REASONING: Node<Field> = path(
    "reasoningContent",
    Field::Other,
    &[text("text", Field::Delivered), path("reasoningText", Field::Other, &[text("text", Field::Delivered)])],
);

pub(super) const OUTPUT: Node<Field> = path(
    "output",
    Field::Other,
    &[path(
        "message",
        Field::Other,
        &[path(
            "content",
            Field::Other,
            &[
                text("text", Field::Delivered),
                path("toolUse", Field::Other, &[value("name", Field::ToolName)]),
                REASONING,
            ],
        )],
    )],
);

pub(super) const START: Node<Field> =
    path("start", Field::Other, &[path("toolUse", Field::Other, &[value("name", Field::ToolName)])]);

pub(super) const DELTA: Node<Field> = path(
    "delta",
    Field::Other,
    &[text("text", Field::Delivered), path("toolUse", Field::Other, &[text("input", Field::Delivered)]), REASONING],
);

const SHAPE: Node<Field> = path(
    "",
    Field::Other,
    &[
        OUTPUT,
        // A stream's events, each a document of its own.
        START,
        DELTA,
        value("stopReason", Field::StopReason),
        object("usage", Field::Usage, COUNTS),
        path("serviceTier", Field::Other, &[value("type", Field::ServiceTier)]),
        path("performanceConfig", Field::Other, &[value("latency", Field::Latency)]),
        path("trace", Field::Other, &[path("promptRouter", Field::Other, &[value("invokedModelId", Field::Model)])]),
    ],
);

/// Counts as Bedrock states them; `None` where a field was never present.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    /// Written for five minutes, and for an hour.
    lifetimes: (u64, u64),
}

impl Counts {
    /// These counts, and those of `other` where there are none.
    fn or(self, other: Self) -> Self {
        Self {
            input: self.input.or(other.input),
            output: self.output.or(other.output),
            cache_read: self.cache_read.or(other.cache_read),
            cache_write: self.cache_write.or(other.cache_write),
            lifetimes: self.lifetimes,
        }
    }

    /// The disjoint buckets; `None` when neither input nor output was stated.
    fn buckets(&self) -> Option<Usage> {
        self.input.or(self.output)?;
        let (short, long) = self.lifetimes;
        let written = self.cache_write.unwrap_or_else(|| short.saturating_add(long));
        let long = long.min(written);
        let mut usage = Usage::default();
        usage.set(Bucket::InputUncached, self.input.unwrap_or(0));
        usage.set(Bucket::CacheRead, self.cache_read.unwrap_or(0));
        usage.set(Bucket::CacheWrite5m, written.saturating_sub(long));
        usage.set(Bucket::CacheWrite1h, long);
        usage.set(Bucket::Output, self.output.unwrap_or(0));
        Some(usage)
    }
}

/// Collects what a response says, whole or streamed.
#[derive(Debug, Default)]
pub(super) struct Response {
    answer: Answer,
    stated: Counts,
    /// The document being read, on top of what is known; it counts once it is complete.
    reading: Counts,
    is_stated: bool,
    /// The item of `cacheDetails` being read: whether it is for an hour, and how much.
    lifetime: (bool, u64),
    metrics: Counts,
    headers: Counts,
    statements: u64,
}

impl Wire for Response {
    type Field = Field;
    const SHAPE: &'static Node<Field> = &SHAPE;

    fn head(&mut self, head: &ResponseHead<'_>) {
        let count = |name| head.headers.get(name).and_then(|count| count.trim().parse().ok());
        self.headers = Counts {
            input: count(header::INPUT_TOKENS),
            output: count(header::OUTPUT_TOKENS),
            cache_read: count(header::CACHE_READ_TOKENS),
            cache_write: count(header::CACHE_WRITE_TOKENS),
            lifetimes: (0, 0),
        };
        self.statements = u64::from(self.headers.buckets().is_some());
        if let Some(tier) = head.headers.get(header::SERVICE_TIER) {
            note(&mut self.answer.service_tier, Value::Text(tier));
        }
        // `ValidationException:http://...`
        if let Some(kind) = head.headers.get(header::ERROR_TYPE).and_then(|kind| kind.split(':').next()) {
            self.answer.fails_with(kind);
        }
    }

    fn answer(&self) -> &Answer {
        &self.answer
    }

    fn statements(&self) -> u64 {
        self.statements
    }

    fn usage(&self) -> Option<Vec<UsagePart>> {
        let usage = self.stated.or(self.metrics).or(self.headers).buckets()?;
        Some(vec![UsagePart { model: None, usage }])
    }
}

impl Visit<Field> for Response {
    fn open(&mut self, field: Field) {
        match field {
            Field::Usage => self.reading = Counts::default(),
            Field::Lifetime => self.lifetime = (false, 0),
            _ => {}
        }
    }

    fn close(&mut self, field: Field) {
        match field {
            Field::Lifetime => {
                let (short, long) = &mut self.reading.lifetimes;
                let (is_hour, tokens) = self.lifetime;
                let place = if is_hour { long } else { short };
                *place = place.saturating_add(tokens);
            }
            // They come last.
            Field::Metrics => self.answer.terminal = true,
            _ => {}
        }
    }

    fn value(&mut self, field: Field, value: Value<'_>) {
        let answer = &mut self.answer;
        let place = match field {
            Field::Model => return note(&mut answer.model, value),
            Field::StopReason => {
                note(&mut answer.finish_reason, value);
                answer.terminal |= answer.finish_reason.is_some();
                return;
            }
            Field::ToolName => return value.text().into_iter().for_each(|name| answer.called(name)),
            Field::ServiceTier => return note(&mut answer.service_tier, value),
            Field::Latency => return note(&mut answer.speed, value),
            Field::LifetimeName => return self.lifetime.0 = value.text() == Some("1h"),
            Field::LifetimeTokens => return self.lifetime.1 = value.count().unwrap_or(0),
            Field::ResultOutput => {
                let output = &mut self.reading.output;
                *output = value.count().map(|tokens| output.unwrap_or(0).saturating_add(tokens)).or(*output);
                self.is_stated |= output.is_some();
                return;
            }
            Field::Input => &mut self.reading.input,
            Field::Output => &mut self.reading.output,
            Field::CacheRead => &mut self.reading.cache_read,
            Field::CacheWrite => &mut self.reading.cache_write,
            Field::MetricInput => &mut self.metrics.input,
            Field::MetricOutput => &mut self.metrics.output,
            Field::MetricCacheRead => &mut self.metrics.cache_read,
            Field::MetricCacheWrite => &mut self.metrics.cache_write,
            Field::Other | Field::Delivered | Field::Usage | Field::Lifetime | Field::Metrics => return,
        };
        *place = value.count().or(*place);
        self.is_stated |= value.count().is_some();
    }

    fn text(&mut self, _field: Field, fragment: &[u8]) {
        self.answer.delivered.push(fragment);
    }

    fn document(&mut self) {
        if std::mem::take(&mut self.is_stated) {
            self.stated = self.reading;
            self.statements = self.statements.saturating_add(1);
        }
    }

    fn exception(&mut self, kind: &str) {
        self.answer.fails_with(kind);
    }
}
