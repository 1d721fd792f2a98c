//! OpenAI Responses.
//!
//! A stream states the response several times: early events carry it unfinished (tier `auto`, no usage), the
//! terminal one (`response.completed`, `.incomplete`, `.failed`) carries tier and usage, so the last one wins.
//! `previous_response_id`, `conversation`, `prompt` and item references add to the prompt what the request does not
//! show. Web searches are billed per call: newer responses state how many (`tool_usage`), in older ones the finished
//! `web_search_call` items whose action is a search are counted; opening or searching in a page is free.
//! Must not know: prices; how other dialects count.

use super::object::{Form, count, fields, is_on, member, members, string, strings};
use super::openai::{CostField, Stated, read_content};
use super::{Answer, Request, UsagePart, Wire, gather, note, object, path, text, value};
use crate::frame::json::{Node, Value, Visit};
use crate::frame::raw::{Cursor, Raw};
use crate::money::Usd;
use crate::prompt::{Component, Element, Kind, Piece};
use std::borrow::Cow;

pub(super) fn read_request<'a>(json: &'a str, request: &mut Request<'a>) -> Form {
    let (mut instructions, mut tools, mut input, mut schema) = (None, None, None, None);
    let form = fields(json, |key, value| match &*key {
        "instructions" => instructions = value.raw(),
        "text" => {
            let format = value.raw().and_then(|text| member(text.get(), "format"));
            schema = format.filter(|format| member(format.get(), "schema").is_some());
        }
        "tools" => tools = read_tools(value),
        // One message given as a string, or a list of items.
        "input" => {
            input = gather(value, read_item);
            if input.is_none() {
                input = value.raw().map(|raw| vec![message(Component::User, raw)]);
            }
        }
        _ => value.raw().into_iter().for_each(|value| read_field(&key, value, request)),
    });
    let instructions = instructions.filter(|raw| raw.get() != "null");
    request.extend(instructions.map(|raw| message(Component::System, raw)));
    request.extend(schema.map(Element::of_schema));
    request.extend(tools.unwrap_or_default());
    let mut conversation = input.unwrap_or_default();
    Element::mark_user(&mut conversation);
    request.extend(conversation);
    form
}

fn read_field<'a>(key: &str, value: Raw<'a>, request: &mut Request<'a>) {
    match key {
        "model" => request.model = string(value),
        "stream" => request.stream = is_on(value),
        "max_output_tokens" => request.max_output_tokens = count(value),
        "metadata" => request.metadata = Some(value),
        "user" => request.end_user = string(value),
        "safety_identifier" => request.end_user = request.end_user.take().or(string(value)),
        "service_tier" => request.service_tier = string(value),
        "previous_response_id" | "conversation" | "prompt" => request.has_unseen |= value.get() != "null",
        _ => {}
    }
}

const fn message(component: Component, raw: Raw<'_>) -> Element<'_> {
    Element { component, kind: Kind::Message, name: None, raw }
}

fn read_tools<'a>(tools: &mut Cursor<'a>) -> Option<Vec<Element<'a>>> {
    gather(tools, |tool, elements| {
        if let Some((raw, [name, kind])) = strings(tool, ["name", "type"]) {
            // Tools of the provider's own (`{"type":"web_search"}`) have no name but their type.
            let name = name.or(kind);
            elements.push(Element { component: Component::Tools, kind: Kind::Tool, name, raw });
        }
    })
}

fn read_item<'a>(item: &mut Cursor<'a>, elements: &mut Vec<Element<'a>>) {
    let Some((raw, [role, kind])) = strings(item, ["role", "type"]) else { return };
    // What an MCP server offers is listed once, where it was asked for it.
    if kind.as_deref() == Some("mcp_list_tools") {
        let tools = member(raw.get(), "tools").and_then(|tools| read_tools(&mut tools.cursor()));
        return elements.extend(tools.unwrap_or_default());
    }
    let is_output = kind.as_deref().is_some_and(|kind| kind.ends_with("_output"));
    let (component, kind) = match role.as_deref() {
        Some("system" | "developer") => (Component::System, Kind::Message),
        Some("user") => (Component::User, Kind::Message),
        _ if is_output => (Component::History, Kind::ToolResult),
        _ => (Component::History, Kind::Message),
    };
    elements.push(Element { component, kind, name: None, raw });
}

pub(super) fn read_element<'a>(element: &Element<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    piece(Piece::Message);
    // `instructions`, or an `input` that is one string.
    if let Some(text) = string(element.raw) {
        return piece(Piece::Text(text));
    }
    members(element.raw.get(), |key, value| match &*key {
        "content" | "output" | "summary" => read_content(value, piece),
        "name" | "arguments" | "input" | "code" => {
            string(value).into_iter().for_each(|text| piece(Piece::Text(text)));
        }
        // What code put out, or a search of files found: rendered by no rule that is known.
        "outputs" | "results" if value.get() != "null" => piece(Piece::Text(Cow::Borrowed(value.get()))),
        // Reasoning that only the provider can read, or an item that only it has.
        "encrypted_content" => string(value).into_iter().for_each(|_| piece(Piece::Unseen)),
        "type" if string(value).as_deref() == Some("item_reference") => piece(Piece::Unseen),
        _ => {}
    });
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Other,
    Type,
    Id,
    Model,
    ServiceTier,
    Status,
    Background,
    Usage,
    Input,
    Output,
    Cached,
    CacheWrite,
    Reasoning,
    Total,
    Cost(CostField),
    Delivered,
    ToolName,
    IncompleteReason,
    WebSearches,
    ToolSearches,
    Item,
    ItemType,
    ItemStatus,
    ActionType,
    Error,
    ErrorType,
    ErrorCode,
    /// `code` beside `message` in an `error` event, which has no object of its own.
    EventErrorCode,
}

const USAGE: Node<Field> = object(
    "usage",
    Field::Usage,
    &[
        value("input_tokens", Field::Input),
        value("output_tokens", Field::Output),
        value("total_tokens", Field::Total),
        Node {
            key: "cost",
            field: Field::Cost(CostField::Amount),
            take: crate::frame::json::Take::Value,
            fields: &[value("total_cost", Field::Cost(CostField::Amount))],
        },
        value("cost_in_usd_ticks", Field::Cost(CostField::Ticks)),
        value("is_byok", Field::Cost(CostField::Byok)),
        value("market_cost", Field::Cost(CostField::Market)),
        path("cost_details", Field::Other, &[value("upstream_inference_cost", Field::Cost(CostField::Upstream))]),
        path(
            "input_tokens_details",
            Field::Other,
            &[value("cached_tokens", Field::Cached), value("cache_write_tokens", Field::CacheWrite)],
        ),
        path("output_tokens_details", Field::Other, &[value("reasoning_tokens", Field::Reasoning)]),
        // xAI counts what it bills; its searches of X cost what those of the web do.
        path(
            "server_side_tool_usage_details",
            Field::Other,
            &[value("web_search_calls", Field::ToolSearches), value("x_search_calls", Field::ToolSearches)],
        ),
    ],
);

const ERROR: Node<Field> =
    object("error", Field::Error, &[value("type", Field::ErrorType), value("code", Field::ErrorCode)]);
const BACKGROUND: Node<Field> = value("background", Field::Background);
const INCOMPLETE: Node<Field> = path("incomplete_details", Field::Other, &[value("reason", Field::IncompleteReason)]);
const TOOL_USAGE: Node<Field> =
    path("tool_usage", Field::Other, &[path("web_search", Field::Other, &[value("num_requests", Field::WebSearches)])]);
const ITEM_TYPE: Node<Field> = value("type", Field::ItemType);
const ITEM_STATUS: Node<Field> = value("status", Field::ItemStatus);
const ACTION: Node<Field> = path("action", Field::Other, &[value("type", Field::ActionType)]);

/// Collects what a response says, whole or streamed.
#[derive(Debug, Default)]
pub(super) struct Response {
    answer: Answer,
    usage: Stated,
    /// The `type` of the document being read, in a stream.
    event: String,
    /// Why the response is incomplete, which says more than that it is.
    incomplete: Option<String>,
    item: Item,
    /// Finished searches in the document being read.
    searches_here: u64,
    /// Finished searches seen.
    searches: u64,
    /// Searches as the provider counts them.
    searches_stated: Option<u64>,
}

/// What is known of an output item.
#[derive(Debug, Default)]
struct Item {
    is_search_call: bool,
    is_finished: bool,
    is_search: bool,
}

impl Wire for Response {
    type Field = Field;
    const SHAPE: &'static Node<Field> = &path(
        "",
        Field::Other,
        &[
            value("type", Field::Type),
            // A response that is not streamed stands at the top.
            value("id", Field::Id),
            value("model", Field::Model),
            value("service_tier", Field::ServiceTier),
            value("status", Field::Status),
            BACKGROUND,
            USAGE,
            ERROR,
            INCOMPLETE,
            TOOL_USAGE,
            value("code", Field::EventErrorCode),
            object(
                "output",
                Field::Item,
                &[
                    ITEM_TYPE,
                    ITEM_STATUS,
                    ACTION,
                    value("name", Field::ToolName),
                    text("arguments", Field::Delivered),
                    path("content", Field::Other, &[text("text", Field::Delivered), text("refusal", Field::Delivered)]),
                ],
            ),
            // A stream repeats it inside its events, whose own output is the sum of the deltas.
            path(
                "response",
                Field::Other,
                &[
                    value("id", Field::Id),
                    value("model", Field::Model),
                    value("service_tier", Field::ServiceTier),
                    value("status", Field::Status),
                    BACKGROUND,
                    USAGE,
                    ERROR,
                    INCOMPLETE,
                    TOOL_USAGE,
                ],
            ),
            text("delta", Field::Delivered),
            object("item", Field::Item, &[ITEM_TYPE, ITEM_STATUS, ACTION, value("name", Field::ToolName)]),
        ],
    );

    fn answer(&self) -> &Answer {
        &self.answer
    }

    fn statements(&self) -> u64 {
        self.usage.statements()
    }

    fn usage(&self) -> Option<Vec<UsagePart>> {
        let mut usage = self.usage.usage()?;
        let stated = self.searches_stated.or(self.usage.web_searches());
        usage.web_searches = stated.unwrap_or(self.searches);
        Some(vec![UsagePart { model: None, usage }])
    }

    fn cost(&self) -> Option<Usd> {
        self.usage.cost()
    }
}

impl Visit<Field> for Response {
    fn open(&mut self, field: Field) {
        match field {
            Field::Usage => self.usage.opens(),
            Field::Error => self.answer.fails(),
            Field::Item => self.item = Item::default(),
            _ => {}
        }
    }

    fn close(&mut self, field: Field) {
        match field {
            Field::Usage => self.usage.closes(),
            Field::Item => {
                let is_billed = self.item.is_search_call && self.item.is_finished && self.item.is_search;
                self.searches_here = self.searches_here.saturating_add(u64::from(is_billed));
            }
            _ => {}
        }
    }

    fn document(&mut self) {
        // A stream shows an item when it is added and again when it is done.
        let searches = std::mem::take(&mut self.searches_here);
        if matches!(self.event.as_str(), "" | "response.output_item.done") {
            self.searches = self.searches.saturating_add(searches);
        }
        self.event.clear();
    }

    fn value(&mut self, field: Field, value: Value<'_>) {
        let (answer, usage) = (&mut self.answer, &mut self.usage.reading);
        match field {
            Field::Type => {
                self.event.clear();
                self.event.push_str(value.text().unwrap_or_default());
                if self.event == "error" {
                    answer.fails();
                }
            }
            Field::Id => note(&mut answer.id, value),
            Field::Model => note(&mut answer.model, value),
            Field::ServiceTier => note(&mut answer.service_tier, value),
            Field::Status => {
                let status = value.text().filter(|status| !matches!(*status, "in_progress" | "queued"));
                answer.terminal |= status.is_some();
                answer.finish_reason =
                    self.incomplete.clone().or(status.map(str::to_owned)).or(answer.finish_reason.take());
            }
            Field::Background => answer.is_background |= value == Value::Bool(true),
            Field::IncompleteReason => {
                note(&mut self.incomplete, value);
                answer.finish_reason = self.incomplete.clone().or(answer.finish_reason.take());
            }
            Field::WebSearches => self.searches_stated = value.count().or(self.searches_stated),
            Field::ItemType => self.item.is_search_call = value.text() == Some("web_search_call"),
            Field::ItemStatus => self.item.is_finished = value.text() == Some("completed"),
            Field::ActionType => self.item.is_search = value.text() == Some("search"),
            Field::ToolSearches => {
                let searches = usage.web_searches.unwrap_or(0).saturating_add(value.count().unwrap_or(0));
                usage.web_searches = Some(searches);
            }
            Field::Input => usage.input = value.count(),
            Field::Output => usage.output = value.count(),
            Field::Cached => usage.cached = value.count(),
            Field::CacheWrite => usage.cache_write = value.count(),
            Field::Reasoning => usage.reasoning = value.count(),
            Field::Total => usage.total = value.count(),
            Field::Cost(field) => usage.cost.set(field, value),
            Field::ToolName => value.text().into_iter().for_each(|name| answer.called(name)),
            Field::ErrorType => answer.error_type(value),
            Field::ErrorCode => answer.error_code(value),
            Field::EventErrorCode if self.event == "error" => answer.error_code(value),
            Field::Other | Field::Usage | Field::Delivered | Field::Error | Field::Item | Field::EventErrorCode => {}
        }
    }

    fn text(&mut self, _field: Field, fragment: &[u8]) {
        // Sound arrives as base64, which is no text.
        if !self.event.starts_with("response.audio.") {
            self.answer.delivered.push(fragment);
        }
    }
}
