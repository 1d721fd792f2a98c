//! Gemini Interactions: one resource that models and agents answer with, whole or as named events.
//!
//! A stream tells the resource's state in `interaction` and what is added to it in `delta`; usage comes with the
//! last state. A call may continue an earlier interaction that the request only names.
//! Must not know: prices; how other dialects count.

use super::google::{Count, Place, Stated};
use super::nested::{NESTING_MAX, read_block, read_content};
use super::object::{Form, count, is_on, member, members, string, whole_fields};
use super::{Answer, Request, UsagePart, Wire, collect, note, object, path, text, value};
use crate::frame::json::{Node, Value, Visit};
use crate::frame::raw::Raw;
use crate::prompt::{Component, Element, Kind, Piece};

pub(super) fn read_request<'a>(json: &'a str, request: &mut Request<'a>) -> Form {
    let (mut system, mut tools, mut input) = (None, None, None);
    let form = whole_fields(json, |key, value| match &*key {
        "model" => request.model = string(value),
        // An agent stands where a model stands, and is priced by its name.
        "agent" => request.model = request.model.take().or(string(value)),
        "stream" => request.stream = is_on(value),
        "service_tier" => request.service_tier = string(value),
        "previous_interaction_id" => request.has_unseen = string(value).is_some(),
        "generation_config" => request.max_output_tokens = member(value.get(), "max_output_tokens").and_then(count),
        "system_instruction" => system = Some(value),
        "tools" => tools = Some(value),
        "input" => input = Some(value),
        _ => {}
    });
    let element = |component, kind, raw| Element { component, kind, name: None, raw };
    let system = system.filter(|raw| raw.get() != "null");
    request.extend(system.map(|raw| element(Component::System, Kind::Message, raw)));
    let tools = collect(tools, |tool, elements| {
        let name = member(tool.get(), "name").or_else(|| member(tool.get(), "type")).and_then(string);
        elements.push(Element { name, ..element(Component::Tools, Kind::Tool, tool) });
    });
    request.extend(tools.unwrap_or_default());
    let list = collect(input, |item, elements| {
        let (component, kind) = classify(item);
        elements.push(element(component, kind, item));
    });
    let single = || input.map(|input| element(Component::User, Kind::Message, input));
    let mut conversation = list.unwrap_or_else(|| single().into_iter().collect());
    Element::mark_user(&mut conversation);
    request.extend(conversation);
    form
}

/// The input is a list of contents, of steps (`type`), or of turns (`role`).
fn classify(item: Raw<'_>) -> (Component, Kind) {
    let (mut role, mut kind) = (None, None);
    members(item.get(), |key, value| match &*key {
        "role" => role = string(value),
        "type" => kind = string(value),
        _ => {}
    });
    match (role.as_deref(), kind.as_deref()) {
        (Some("model"), _) => (Component::History, Kind::Message),
        (_, Some(kind)) if kind.ends_with("_result") => (Component::History, Kind::ToolResult),
        (_, Some(kind)) if kind.ends_with("_call") || matches!(kind, "thought" | "model_output") => {
            (Component::History, Kind::Message)
        }
        _ => (Component::User, Kind::Message),
    }
}

pub(super) fn read_element<'a>(element: &Element<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    match string(element.raw) {
        Some(text) => piece(Piece::Text(text)),
        None => match member(element.raw.get(), "parts") {
            Some(parts) => read_content(parts, NESTING_MAX, piece),
            None => read_block(element.raw, NESTING_MAX, piece),
        },
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Other,
    Id,
    Model,
    Status,
    Background,
    ServiceTier,
    Delivered,
    ToolName,
    Usage(Place),
    Error,
    ErrorType,
    ErrorCode,
}

const SHARE: &[Node<Field>] =
    &[value("modality", Field::Usage(Place::Modality)), value("tokens", Field::Usage(Place::Tokens))];

const fn stated(key: &'static str, count: Count) -> Node<Field> {
    value(key, Field::Usage(Place::Count(count)))
}

const fn shares(key: &'static str, count: Count) -> Node<Field> {
    object(key, Field::Usage(Place::Share(count)), SHARE)
}

const ID: Node<Field> = value("id", Field::Id);
const MODEL: Node<Field> = value("model", Field::Model);
const STATUS: Node<Field> = value("status", Field::Status);
const BACKGROUND: Node<Field> = value("background", Field::Background);
const TIER: Node<Field> = value("service_tier", Field::ServiceTier);
const USAGE: Node<Field> = object(
    "usage",
    Field::Usage(Place::Usage),
    &[
        stated("total_input_tokens", Count::Prompt),
        stated("total_cached_tokens", Count::Cached),
        stated("total_tool_use_tokens", Count::ToolUse),
        stated("total_output_tokens", Count::Answer),
        stated("total_thought_tokens", Count::Thoughts),
        stated("total_tokens", Count::Total),
        shares("input_tokens_by_modality", Count::Prompt),
        shares("cached_tokens_by_modality", Count::Cached),
        shares("tool_use_tokens_by_modality", Count::ToolUse),
        shares("output_tokens_by_modality", Count::Answer),
    ],
);

const TEXT: Node<Field> = text("text", Field::Delivered);
const STEP: &[Node<Field>] = &[
    TEXT,
    value("name", Field::ToolName),
    text("arguments", Field::Delivered),
    path("content", Field::Other, &[TEXT]),
    path("summary", Field::Other, &[TEXT]),
];

/// Collects what an interaction says, whole or streamed.
#[derive(Debug, Default)]
pub(super) struct Response {
    answer: Answer,
    usage: Stated,
}

impl Wire for Response {
    type Field = Field;
    const SHAPE: &'static Node<Field> = &path(
        "",
        Field::Other,
        &[
            ID,
            MODEL,
            STATUS,
            BACKGROUND,
            TIER,
            USAGE,
            path("outputs", Field::Other, STEP),
            path("steps", Field::Other, STEP),
            path("step", Field::Other, STEP),
            path("delta", Field::Other, STEP),
            // The last state may repeat what was delivered, so its steps are left out.
            path("interaction", Field::Other, &[ID, MODEL, STATUS, BACKGROUND, TIER, USAGE]),
            object("error", Field::Error, &[value("status", Field::ErrorType), value("code", Field::ErrorCode)]),
        ],
    );

    fn answer(&self) -> &Answer {
        &self.answer
    }

    fn statements(&self) -> u64 {
        self.usage.statements()
    }

    fn usage(&self) -> Option<Vec<UsagePart>> {
        Some(vec![UsagePart { model: None, usage: self.usage.usage()? }])
    }
}

impl Visit<Field> for Response {
    fn open(&mut self, field: Field) {
        match field {
            Field::Usage(place) => self.usage.opens(place),
            Field::Error => self.answer.fails(),
            _ => {}
        }
    }

    fn close(&mut self, field: Field) {
        if let Field::Usage(place) = field {
            self.usage.closes(place);
        }
    }

    fn value(&mut self, field: Field, value: Value<'_>) {
        let answer = &mut self.answer;
        match field {
            Field::Id => note(&mut answer.id, value),
            Field::Model => note(&mut answer.model, value),
            Field::Status => match value.text() {
                None | Some("in_progress" | "queued") => {}
                Some(status) => {
                    answer.terminal = true;
                    if status == "failed" {
                        answer.fails();
                    }
                    note(&mut answer.finish_reason, value);
                }
            },
            Field::Background => answer.is_background |= value == Value::Bool(true),
            Field::ServiceTier => note(&mut answer.service_tier, value),
            Field::ToolName => {
                if let Some(name) = value.text() {
                    answer.called(name);
                    answer.delivered.push(name.as_bytes());
                }
            }
            Field::Usage(place) => self.usage.value(place, value),
            Field::ErrorType => answer.error_type(value),
            Field::ErrorCode => answer.error_code(value),
            Field::Other | Field::Delivered | Field::Error => {}
        }
    }

    fn text(&mut self, _field: Field, fragment: &[u8]) {
        self.answer.delivered.push(fragment);
    }
}
