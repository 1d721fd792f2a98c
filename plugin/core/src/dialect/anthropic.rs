//! Anthropic Messages.
//!
//! `input_tokens` excludes what the cache served and took. A stream states usage in `message_start` and again,
//! cumulatively, in `message_delta`: a field that is present replaces the earlier value, one that is absent keeps
//! it, nothing is ever added up. Only `message_start` splits cache writes by lifetime. `iterations` lists every
//! pass over the model, among them compactions and advisors that the totals leave out, each with its own model:
//! where it is present, the call is the sum of its iterations.
//! Must not know: prices; how other dialects count.
#![deny(clippy::arithmetic_side_effects)]

use super::blocks::{Sections, Style};
use super::nested::{NESTING_MAX, read_block, read_content};
use super::object::{Form, count, fields, is_on, member, string, strings};
use super::{Answer, Request, UsagePart, Wire, note, object, path, text, value};
use crate::frame::json::{Node, Value, Visit};
use crate::frame::raw::Raw;
use crate::prompt::{Element, Piece};
use crate::usage::{Bucket, Usage};

const STYLE: Style = Style {
    tool_name: |tool| strings(tool, ["name"]).and_then(|(_, [name])| name),
    says_result: |key, value| key == "type" && value.raw().and_then(string).as_deref() == Some("tool_result"),
};

pub(super) fn read_request<'a>(json: &'a str, request: &mut Request<'a>) -> Form {
    let mut sections = Sections::default();
    let form = fields(json, |key, value| match &*key {
        "system" => sections.system = value.raw(),
        "tools" => sections.read_tools(value, STYLE),
        "messages" => sections.read_messages(value, STYLE),
        _ => value.raw().into_iter().for_each(|value| read_field(&key, value, request)),
    });
    sections.arrange(request);
    form
}

fn read_field<'a>(key: &str, value: Raw<'a>, request: &mut Request<'a>) {
    match key {
        "model" => request.model = string(value),
        "stream" => request.stream = is_on(value),
        "max_tokens" => request.max_output_tokens = count(value),
        "metadata" => {
            request.end_user = member(value.get(), "user_id").and_then(string);
            request.metadata = Some(value);
        }
        "cache_control" => request.asks_for_cache = value.get() != "null",
        "speed" => request.speed = string(value),
        "service_tier" => request.service_tier = string(value),
        "thinking" => {
            request.asks_to_think = member(value.get(), "type").and_then(string).is_some_and(|kind| kind == "enabled");
            request.least_output_tokens = least_beside_thinking(value);
        }
        "tool_choice" => {
            let choice = member(value.get(), "type").and_then(string);
            request.must_call_tool = choice.is_some_and(|choice| matches!(&*choice, "any" | "tool"));
        }
        _ => {}
    }
}

/// The smallest maximum of output tokens beside a budget to think with, which it must exceed.
pub(super) fn least_beside_thinking(thinking: Raw<'_>) -> Option<u64> {
    member(thinking.get(), "budget_tokens").and_then(count)?.checked_add(1)
}

pub(super) fn read_element<'a>(element: &Element<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    // A system prompt is a string or a block; a message has content.
    match member(element.raw.get(), "content") {
        Some(content) => {
            piece(Piece::Message);
            read_content(content, NESTING_MAX, piece);
        }
        None => match string(element.raw) {
            Some(text) => piece(Piece::Text(text)),
            None => read_block(element.raw, NESTING_MAX, piece),
        },
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Other,
    Type,
    Id,
    Model,
    StopReason,
    Delivered,
    ToolName,
    Usage,
    Input,
    CacheRead,
    CacheWrite,
    CacheWrite5m,
    CacheWrite1h,
    Output,
    Thinking,
    WebSearches,
    ServiceTier,
    Speed,
    InferenceGeo,
    Iteration,
    IterationType,
    IterationModel,
    Error,
    ErrorType,
}

const CACHE_CREATION: Node<Field> = path(
    "cache_creation",
    Field::Other,
    &[value("ephemeral_5m_input_tokens", Field::CacheWrite5m), value("ephemeral_1h_input_tokens", Field::CacheWrite1h)],
);
const OUTPUT_DETAILS: Node<Field> =
    path("output_tokens_details", Field::Other, &[value("thinking_tokens", Field::Thinking)]);

const USAGE: Node<Field> = object(
    "usage",
    Field::Usage,
    &[
        value("input_tokens", Field::Input),
        value("cache_read_input_tokens", Field::CacheRead),
        value("cache_creation_input_tokens", Field::CacheWrite),
        CACHE_CREATION,
        value("output_tokens", Field::Output),
        OUTPUT_DETAILS,
        path("server_tool_use", Field::Other, &[value("web_search_requests", Field::WebSearches)]),
        value("service_tier", Field::ServiceTier),
        value("speed", Field::Speed),
        value("inference_geo", Field::InferenceGeo),
        object(
            "iterations",
            Field::Iteration,
            &[
                value("type", Field::IterationType),
                value("model", Field::IterationModel),
                value("input_tokens", Field::Input),
                value("cache_read_input_tokens", Field::CacheRead),
                value("cache_creation_input_tokens", Field::CacheWrite),
                CACHE_CREATION,
                value("output_tokens", Field::Output),
                OUTPUT_DETAILS,
            ],
        ),
    ],
);

const MESSAGE: &[Node<Field>] =
    &[value("id", Field::Id), value("model", Field::Model), value("stop_reason", Field::StopReason), USAGE];

/// Counts as Anthropic states them; `None` where a field was never present.
#[derive(Clone, Debug, Default)]
struct Counts {
    /// The kind of an iteration (`message`, `compaction`, `advisor_message`).
    kind: String,
    model: Option<String>,
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
}

impl Counts {
    fn set(&mut self, field: Field, value: Value<'_>) {
        let place = match field {
            Field::Input => &mut self.input,
            Field::CacheRead => &mut self.cache_read,
            Field::CacheWrite => &mut self.cache_write,
            Field::CacheWrite5m => &mut self.cache_write_5m,
            Field::CacheWrite1h => &mut self.cache_write_1h,
            Field::Output => &mut self.output,
            Field::Thinking => &mut self.thinking,
            _ => return,
        };
        *place = value.count().or(*place);
    }

    fn add(&mut self, other: &Self) {
        for (place, value) in [
            (&mut self.input, other.input),
            (&mut self.cache_read, other.cache_read),
            (&mut self.cache_write, other.cache_write),
            (&mut self.cache_write_5m, other.cache_write_5m),
            (&mut self.cache_write_1h, other.cache_write_1h),
            (&mut self.output, other.output),
            (&mut self.thinking, other.thinking),
        ] {
            *place = Some(place.unwrap_or(0).saturating_add(value.unwrap_or(0)));
        }
    }

    fn buckets(&self) -> Usage {
        let mut usage = Usage::default();
        usage.set(Bucket::InputUncached, self.input.unwrap_or(0));
        usage.set(Bucket::CacheRead, self.cache_read.unwrap_or(0));
        let (short, long) = self.cache_writes();
        usage.set(Bucket::CacheWrite5m, short);
        usage.set(Bucket::CacheWrite1h, long);
        let output = self.output.unwrap_or(0);
        let thinking = self.thinking.unwrap_or(0).min(output);
        usage.set(Bucket::Reasoning, thinking);
        usage.set(Bucket::Output, output.saturating_sub(thinking));
        usage
    }

    /// Cache writes for five minutes and for one hour. The total may have grown since it was split: what the
    /// split does not cover was written as long as the rest, or for five minutes where the split holds both.
    fn cache_writes(&self) -> (u64, u64) {
        let (short, long) = (self.cache_write_5m.unwrap_or(0), self.cache_write_1h.unwrap_or(0));
        let total = self.cache_write.unwrap_or_else(|| short.saturating_add(long));
        let long = if short == 0 && long > 0 { total } else { long.min(total) };
        (total.saturating_sub(long), long)
    }
}

/// What a message consumed: what was stated last of every field.
#[derive(Clone, Debug, Default)]
struct Consumed {
    totals: Counts,
    iterations: Vec<Counts>,
    web_searches: u64,
}

/// Collects what a message says, whole or streamed.
#[derive(Debug, Default)]
pub(super) struct Response {
    answer: Answer,
    consumed: Consumed,
    /// The usage object being read, on top of what is known; it counts once it is complete.
    reading: Consumed,
    /// It states some count.
    is_stated: bool,
    /// It lists an iteration, so those of an earlier object are gone.
    is_listed: bool,
    /// The item of `iterations` being read.
    iteration: Option<Counts>,
    statements: u64,
}

/// More passes than one call makes; further ones are added to the last.
const ITERATIONS_MAX: usize = 256;

impl Wire for Response {
    type Field = Field;
    const SHAPE: &'static Node<Field> = &path(
        "",
        Field::Other,
        &[
            value("type", Field::Type),
            // A message that is not streamed stands at the top.
            value("id", Field::Id),
            value("model", Field::Model),
            value("stop_reason", Field::StopReason),
            USAGE,
            path(
                "content",
                Field::Other,
                &[value("name", Field::ToolName), text("text", Field::Delivered), text("thinking", Field::Delivered)],
            ),
            path("message", Field::Other, MESSAGE),
            path("content_block", Field::Other, &[value("name", Field::ToolName), text("text", Field::Delivered)]),
            path(
                "delta",
                Field::Other,
                &[
                    value("stop_reason", Field::StopReason),
                    text("text", Field::Delivered),
                    text("thinking", Field::Delivered),
                    text("partial_json", Field::Delivered),
                ],
            ),
            object("error", Field::Error, &[value("type", Field::ErrorType)]),
        ],
    );

    fn answer(&self) -> &Answer {
        &self.answer
    }

    fn statements(&self) -> u64 {
        self.statements
    }

    fn usage(&self) -> Option<Vec<UsagePart>> {
        (self.statements > 0).then(|| self.consumed.parts())
    }
}

impl Consumed {
    fn parts(&self) -> Vec<UsagePart> {
        let passes = match self.iterations.as_slice() {
            [] => std::slice::from_ref(&self.totals),
            iterations => iterations,
        };
        let mut parts: Vec<UsagePart> =
            passes.iter().map(|pass| UsagePart { model: pass.model.clone(), usage: pass.buckets() }).collect();
        self.book_thinking(&mut parts);
        if let Some(first) = parts.first_mut() {
            first.usage.web_searches = self.web_searches;
        }
        parts
    }

    /// The totals state how much of the output was thought, of the passes that they cover. Books what the iterations
    /// do not state themselves.
    fn book_thinking(&self, parts: &mut [UsagePart]) {
        let covered = |pass: &&Counts| pass.kind == "message";
        let booked = self.iterations.iter().filter(covered).filter_map(|pass| pass.thinking);
        let booked = booked.fold(0_u64, u64::saturating_add);
        let stated = if self.iterations.is_empty() { 0 } else { self.totals.thinking.unwrap_or(0) };
        let mut thinking = stated.saturating_sub(booked);
        for (part, _) in parts.iter_mut().zip(&self.iterations).filter(|(_, pass)| covered(pass)) {
            let visible = part.usage.get(Bucket::Output);
            let thought = thinking.min(visible);
            part.usage.set(Bucket::Reasoning, part.usage.get(Bucket::Reasoning).saturating_add(thought));
            part.usage.set(Bucket::Output, visible.saturating_sub(thought));
            thinking = thinking.saturating_sub(thought);
        }
    }
}

impl Response {
    /// The counts that a field of `usage` belongs to.
    fn counts(&mut self) -> &mut Counts {
        self.iteration.as_mut().unwrap_or(&mut self.reading.totals)
    }

    fn usage_ends(&mut self) {
        if self.is_stated {
            self.consumed.clone_from(&self.reading);
            self.statements = self.statements.saturating_add(1);
        }
    }

    fn iteration_ends(&mut self) {
        let Some(iteration) = self.iteration.take() else { return };
        let iterations = &mut self.reading.iterations;
        if !std::mem::replace(&mut self.is_listed, true) {
            iterations.clear();
        }
        let is_full = iterations.len() >= ITERATIONS_MAX;
        match iterations.last_mut().filter(|_| is_full) {
            Some(last) => last.add(&iteration),
            None => iterations.push(iteration),
        }
    }
}

impl Visit<Field> for Response {
    fn open(&mut self, field: Field) {
        match field {
            Field::Usage => {
                self.reading.clone_from(&self.consumed);
                (self.is_stated, self.is_listed, self.iteration) = (false, false, None);
            }
            Field::Iteration => self.iteration = Some(Counts::default()),
            Field::Error => self.answer.fails(),
            _ => {}
        }
    }

    fn close(&mut self, field: Field) {
        match field {
            Field::Usage => self.usage_ends(),
            Field::Iteration => self.iteration_ends(),
            _ => {}
        }
    }

    fn value(&mut self, field: Field, value: Value<'_>) {
        let answer = &mut self.answer;
        match field {
            Field::Type => answer.terminal |= value.text() == Some("message_stop"),
            Field::Id => note(&mut answer.id, value),
            Field::Model => note(&mut answer.model, value),
            Field::StopReason => {
                note(&mut answer.finish_reason, value);
                answer.terminal |= answer.finish_reason.is_some();
            }
            Field::ServiceTier => note(&mut answer.service_tier, value),
            Field::Speed => note(&mut answer.speed, value),
            Field::InferenceGeo => note(&mut answer.inference_geo, value),
            Field::WebSearches => {
                let searches = &mut self.reading.web_searches;
                *searches = value.count().unwrap_or(*searches);
            }
            Field::ToolName => value.text().into_iter().for_each(|name| answer.called(name)),
            Field::ErrorType => answer.error_type(value),
            Field::IterationType => self.counts().kind = value.text().unwrap_or_default().to_owned(),
            Field::IterationModel => note(&mut self.counts().model, value),
            Field::Other | Field::Delivered | Field::Usage | Field::Iteration | Field::Error => {}
            counted => {
                self.is_stated |= value.count().is_some();
                self.counts().set(counted, value);
            }
        }
    }

    fn text(&mut self, _field: Field, fragment: &[u8]) {
        self.answer.delivered.push(fragment);
    }

    fn exception(&mut self, kind: &str) {
        self.answer.fails_with(kind);
    }
}
