//! OpenAI Chat Completions, and the many servers that speak it.
//!
//! A stream reports usage only when asked to (`stream_options.include_usage`), in a chunk of its own whose
//! `choices` are empty; earlier chunks may say `usage: null`, and chunks may follow it (moderation). So every
//! chunk is read to the end and the last usage stated wins. Where several models work on a call, Groq breaks the usage
//! down by model; a breakdown counts only where it adds up to the usage.
//! Must not know: prices; how other dialects count.

use super::object::{Form, bound, count, fields, is_on, items, member, members, string, strings};
use super::openai::{CostField, InclusiveUsage, Stated, read_content};
use super::{Answer, Request, UsagePart, Wire, gather, medium, note, object, path, text, value};
use crate::frame::json::{Node, Value, Visit};
use crate::frame::raw::{Cursor, Raw};
use crate::money::Usd;
use crate::prompt::{Component, Element, Kind, Piece};
use crate::usage::Usage;
use std::borrow::Cow;

pub(super) fn read_request<'a>(json: &'a str, request: &mut Request<'a>) -> Form {
    let (mut tools, mut messages, mut schema) = (None, None, None);
    let (mut newer, mut older) = (None, None);
    let form = fields(json, |key, value| match &*key {
        // `functions` is the older spelling of `tools`.
        "tools" | "functions" => tools = read_tools(value),
        "messages" => messages = read_messages(value),
        "max_completion_tokens" => newer = value.raw(),
        "max_tokens" => older = value.raw(),
        "response_format" => schema = value.raw().and_then(|format| member(format.get(), "json_schema")),
        _ => value.raw().into_iter().for_each(|value| read_field(&key, value, request)),
    });
    request.max_output_tokens = bound([newer, older]);
    request.extend(schema.map(Element::of_schema));
    arrange(tools, messages, request);
    form
}

fn read_field<'a>(key: &str, value: Raw<'a>, request: &mut Request<'a>) {
    match key {
        "model" => request.model = string(value),
        "stream" => request.stream = is_on(value),
        "n" => request.choices = count(value),
        "metadata" => request.metadata = Some(value),
        "user" => request.end_user = string(value),
        "safety_identifier" => request.end_user = request.end_user.take().or(string(value)),
        "service_tier" => request.service_tier = string(value),
        // xAI's live search and OpenRouter's plugins search as well.
        "search_parameters" | "plugins" => request.may_search |= value.get() != "null",
        "web_search_options" => {
            request.may_search |= value.get() != "null";
            request.search_context_size = member(value.get(), "search_context_size").and_then(string);
        }
        _ => {}
    }
}

/// Adds tools and messages, as this dialect's kin write them, to the prompt.
pub(super) fn read_prompt<'a>(tools: Option<Raw<'a>>, messages: Option<Raw<'a>>, request: &mut Request<'a>) {
    let tools = tools.and_then(|tools| read_tools(&mut tools.cursor()));
    let messages = messages.and_then(|messages| read_messages(&mut messages.cursor()));
    arrange(tools, messages, request);
}

/// Instructions lead, tools follow them, the conversation comes last.
fn arrange<'a>(tools: Option<Vec<Element<'a>>>, messages: Option<Vec<Element<'a>>>, request: &mut Request<'a>) {
    let (instructions, mut conversation): (Vec<_>, Vec<_>) =
        messages.unwrap_or_default().into_iter().partition(|element| element.component == Component::System);
    Element::mark_user(&mut conversation);
    request.extend(instructions);
    request.extend(tools.unwrap_or_default());
    request.extend(conversation);
}

fn read_tools<'a>(tools: &mut Cursor<'a>) -> Option<Vec<Element<'a>>> {
    gather(tools, |tool, elements| {
        let (mut bare, mut within) = (None, None);
        let raw = tool.raw_after(|tool| {
            tool.members(|key, value| match &*key {
                "name" => bare = value.raw().and_then(string),
                "function" => within = strings(value, ["name"]).and_then(|(_, [name])| name),
                _ => {}
            });
        });
        let name = within.or(bare);
        elements.extend(raw.map(|raw| Element { component: Component::Tools, kind: Kind::Tool, name, raw }));
    })
}

fn read_messages<'a>(messages: &mut Cursor<'a>) -> Option<Vec<Element<'a>>> {
    gather(messages, |message, elements| {
        if let Some((raw, [role, name])) = strings(message, ["role", "name"]) {
            let (component, kind) = classify(role.as_deref(), name.as_deref());
            elements.push(Element { component, kind, name: None, raw });
        }
    })
}

/// The component of a message; every message of the user counts as [`Component::User`] until the last is known.
fn classify(role: Option<&str>, name: Option<&str>) -> (Component, Kind) {
    if name.is_some_and(|name| name.starts_with("example")) {
        return (Component::FewShot, Kind::Message);
    }
    match role {
        Some("system" | "developer") => (Component::System, Kind::Message),
        Some("tool" | "function") => (Component::History, Kind::ToolResult),
        Some("user") => (Component::User, Kind::Message),
        _ => (Component::History, Kind::Message),
    }
}

pub(super) fn read_element<'a>(element: &Element<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    // Kin of this dialect also prompt with a bare text.
    if let Some(text) = string(element.raw) {
        return piece(Piece::Text(text));
    }
    piece(Piece::Message);
    members(element.raw.get(), |key, value| match &*key {
        "content" => read_content(value, piece),
        "name" => {
            piece(Piece::Framing(1));
            string(value).into_iter().for_each(|name| piece(Piece::Text(name)));
        }
        "images" => _ = items(value.get(), |image| piece(Piece::Media(medium::read_image(image)))),
        "refusal" | "reasoning_content" | "thinking" | "tool_plan" => {
            string(value).into_iter().for_each(|text| piece(Piece::Text(text)))
        }
        "tool_calls" => _ = items(value.get(), |call| read_tool_call(member(call.get(), "function"), piece)),
        "function_call" => read_tool_call(Some(value), piece),
        _ => {}
    });
}

fn read_tool_call<'a>(function: Option<Raw<'a>>, piece: &mut dyn FnMut(Piece<'a>)) {
    let Some(function) = function else { return };
    members(function.get(), |key, value| {
        if matches!(&*key, "name" | "arguments") {
            // Arguments are JSON in a string; Ollama leaves the string out.
            piece(Piece::Text(string(value).unwrap_or(Cow::Borrowed(value.get()))));
        }
    });
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Other,
    Id,
    Model,
    ServiceTier,
    Usage,
    Share,
    ShareModel,
    ShareUsage,
    Input,
    Output,
    Cached,
    CacheWrite,
    AudioInput,
    Reasoning,
    AudioOutput,
    ImageOutput,
    Total,
    Cost(CostField),
    WebSearches,
    Citations,
    SearchContextSize,
    FinishReason,
    Delivered,
    ToolName,
    Error,
    ErrorType,
    ErrorCode,
}

const FUNCTION: &[Node<Field>] = &[value("name", Field::ToolName), text("arguments", Field::Delivered)];

const MESSAGE: &[Node<Field>] = &[
    Node {
        key: "content",
        field: Field::Delivered,
        take: crate::frame::json::Take::Text,
        fields: &[text("text", Field::Delivered)],
    },
    text("refusal", Field::Delivered),
    text("reasoning_content", Field::Delivered),
    text("reasoning", Field::Delivered),
    path("tool_calls", Field::Other, &[path("function", Field::Other, FUNCTION)]),
    path("function_call", Field::Other, FUNCTION),
];

const USAGE: &[Node<Field>] = &[
    value("prompt_tokens", Field::Input),
    value("completion_tokens", Field::Output),
    value("total_tokens", Field::Total),
    // Other spellings: Mistral, DeepSeek, Together and Moonshot, gateways in front of Anthropic.
    value("cached_tokens", Field::Cached),
    value("num_cached_tokens", Field::Cached),
    value("prompt_cache_hit_tokens", Field::Cached),
    value("cache_creation_input_tokens", Field::CacheWrite),
    Node {
        key: "cost",
        field: Field::Cost(CostField::Amount),
        take: crate::frame::json::Take::Value,
        fields: &[value("total_cost", Field::Cost(CostField::Amount))],
    },
    // OpenRouter's searches; Perplexity's, and how wide they are.
    path("server_tool_use", Field::Other, &[value("web_search_requests", Field::WebSearches)]),
    path("server_tool_use_details", Field::Other, &[value("web_search_requests", Field::WebSearches)]),
    value("num_search_queries", Field::WebSearches),
    value("citation_tokens", Field::Citations),
    value("reasoning_tokens", Field::Reasoning),
    value("search_context_size", Field::SearchContextSize),
    value("cost_in_usd_ticks", Field::Cost(CostField::Ticks)),
    value("is_byok", Field::Cost(CostField::Byok)),
    value("market_cost", Field::Cost(CostField::Market)),
    path("cost_details", Field::Other, &[value("upstream_inference_cost", Field::Cost(CostField::Upstream))]),
    path(
        "prompt_tokens_details",
        Field::Other,
        &[
            value("cached_tokens", Field::Cached),
            value("cache_write_tokens", Field::CacheWrite),
            value("audio_tokens", Field::AudioInput),
        ],
    ),
    path(
        "completion_tokens_details",
        Field::Other,
        &[
            value("reasoning_tokens", Field::Reasoning),
            value("audio_tokens", Field::AudioOutput),
            value("image_tokens", Field::ImageOutput),
        ],
    ),
];

const BREAKDOWN: Node<Field> = path(
    "usage_breakdown",
    Field::Other,
    &[object("models", Field::Share, &[value("model", Field::ShareModel), object("usage", Field::ShareUsage, USAGE)])],
);

/// Collects what a chat completion says.
#[derive(Debug, Default)]
pub(super) struct Response {
    answer: Answer,
    usage: Stated,
    /// The characters that were delivered when usage was last stated.
    stated_behind: Option<u64>,
    /// The share being read.
    share: UsagePart,
    shares: Vec<UsagePart>,
}

/// More steps than one call takes.
const SHARES_MAX: usize = 256;

impl Wire for Response {
    type Field = Field;
    const SHAPE: &'static Node<Field> = &path(
        "",
        Field::Other,
        &[
            value("id", Field::Id),
            value("model", Field::Model),
            value("service_tier", Field::ServiceTier),
            object("usage", Field::Usage, USAGE),
            // Groq's older place.
            path("x_groq", Field::Other, &[object("usage", Field::Usage, USAGE), BREAKDOWN]),
            BREAKDOWN,
            path(
                "choices",
                Field::Other,
                &[
                    value("finish_reason", Field::FinishReason),
                    // Completions have text in the place of a message.
                    text("text", Field::Delivered),
                    path("delta", Field::Other, MESSAGE),
                    path("message", Field::Other, MESSAGE),
                ],
            ),
            object("error", Field::Error, &[value("type", Field::ErrorType), value("code", Field::ErrorCode)]),
        ],
    );

    fn answer(&self) -> &Answer {
        &self.answer
    }

    fn statements(&self) -> u64 {
        self.usage.statements()
    }

    fn usage(&self) -> Option<Vec<UsagePart>> {
        let usage = self.usage.usage()?;
        let mut sum = Usage::default();
        self.shares.iter().for_each(|share| sum.add(&share.usage));
        Some(if sum == usage { self.shares.clone() } else { vec![UsagePart { model: None, usage }] })
    }

    fn cost(&self) -> Option<Usd> {
        self.usage.cost()
    }
}

impl Response {
    /// Usage behind all that was delivered is the last word of a stream that fails, though no finish reason says so: what
    /// the provider does not charge, zero included, is not charged here.
    fn ends_with_error(&mut self) {
        let is_last_word = self.stated_behind == Some(self.answer.delivered.characters());
        self.answer.terminal |= self.answer.error.is_some() && is_last_word;
    }
}

impl Visit<Field> for Response {
    fn open(&mut self, field: Field) {
        match field {
            Field::Usage => self.usage.opens(),
            Field::Share => self.share = UsagePart::default(),
            Field::ShareUsage => self.usage.reading = InclusiveUsage::default(),
            Field::Error => {
                self.answer.fails();
                self.ends_with_error();
            }
            _ => {}
        }
    }

    fn close(&mut self, field: Field) {
        let statements = self.usage.statements();
        match field {
            Field::Usage => {
                self.usage.closes();
                self.shares.clear();
            }
            Field::ShareUsage => self.share.usage = self.usage.reading.buckets().unwrap_or_default(),
            Field::Share if self.shares.len() < SHARES_MAX => self.shares.push(std::mem::take(&mut self.share)),
            _ => {}
        }
        if self.usage.statements() != statements {
            self.stated_behind = Some(self.answer.delivered.characters());
            self.ends_with_error();
        }
    }

    fn value(&mut self, field: Field, value: Value<'_>) {
        let (answer, usage) = (&mut self.answer, &mut self.usage.reading);
        match field {
            Field::Id => note(&mut answer.id, value),
            Field::Model => note(&mut answer.model, value),
            Field::ShareModel => note(&mut self.share.model, value),
            Field::ServiceTier => note(&mut answer.service_tier, value),
            Field::Input => usage.input = value.count(),
            Field::Output => usage.output = value.count(),
            // Several spellings may stand side by side; what one states, another's null does not take back.
            Field::Cached => usage.cached = value.count().or(usage.cached),
            Field::CacheWrite => usage.cache_write = value.count().or(usage.cache_write),
            Field::AudioInput => usage.audio_input = value.count(),
            Field::Reasoning => usage.reasoning = value.count().or(usage.reasoning),
            Field::AudioOutput => usage.audio_output = value.count(),
            Field::ImageOutput => usage.image_output = value.count(),
            Field::Total => usage.total = value.count(),
            Field::Cost(field) => usage.cost.set(field, value),
            Field::WebSearches => usage.web_searches = value.count().or(usage.web_searches),
            Field::Citations => usage.citations = value.count(),
            Field::SearchContextSize => note(&mut answer.search_context_size, value),
            Field::FinishReason => {
                note(&mut answer.finish_reason, value);
                answer.terminal |= answer.finish_reason.is_some();
            }
            Field::ToolName => {
                if let Some(name) = value.text() {
                    answer.called(name);
                    answer.delivered.push(name.as_bytes());
                }
            }
            Field::ErrorType => answer.error_type(value),
            Field::ErrorCode => answer.error_code(value),
            Field::Other | Field::Share | Field::ShareUsage | Field::Usage | Field::Delivered | Field::Error => {}
        }
    }

    fn text(&mut self, _field: Field, fragment: &[u8]) {
        self.answer.delivered.push(fragment);
    }
}
