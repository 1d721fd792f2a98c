//! OpenAI Responses.
//!
//! A stream states the response several times: early events carry it unfinished (tier `auto`, no usage), the
//! terminal one (`response.completed`, `.incomplete`, `.failed`) carries tier and usage, so the last one wins.
//! `previous_response_id` and `conversation` add history that the request does not show.
//! Must not know: prices; how other dialects count.

use super::object::{boolean, count, items, member, members, string};
use super::openai::{InclusiveUsage, MESSAGE_FRAMING, read_content};
use super::{Answer, ProviderError, Request, UsagePart, Wire, note, object, path, text, value};
use crate::frame::json::{Node, Value, Visit};
use crate::prompt::{Component, Element, Kind, Piece};
use serde_json::value::RawValue;
use std::borrow::Cow;

pub(super) fn read_request<'a>(json: &'a str, request: &mut Request<'a>) -> bool {
    let (mut instructions, mut tools, mut input) = (None, None, None);
    let is_object = members(json, |key, value| match &*key {
        "model" => request.model = string(value),
        "stream" => request.stream = boolean(value).unwrap_or(false),
        "max_output_tokens" => request.max_output_tokens = count(value),
        "user" => request.end_user = string(value),
        "safety_identifier" => request.end_user = request.end_user.take().or(string(value)),
        "instructions" => instructions = Some(value),
        "tools" => tools = Some(value),
        "input" => input = Some(value),
        _ => {}
    });
    let message = |component, raw| Element { component, kind: Kind::Message, name: None, raw };
    request.elements.extend(instructions.map(|raw| message(Component::System, raw)));
    if let Some(tools) = tools {
        items(tools.get(), |tool| {
            // Tools of the provider's own (`{"type":"web_search"}`) have no name but their type.
            let name = member(tool.get(), "name").or_else(|| member(tool.get(), "type")).and_then(string);
            request.elements.push(Element { component: Component::Tools, kind: Kind::Tool, name, raw: tool });
        });
    }
    if let Some(input) = input {
        let mut conversation = Vec::new();
        // One message given as a string, or a list of items.
        if !items(input.get(), |item| conversation.push(classify(item))) {
            conversation.push(message(Component::User, input));
        }
        Element::mark_user(&mut conversation);
        request.elements.append(&mut conversation);
    }
    is_object
}

fn classify(item: &RawValue) -> Element<'_> {
    let (mut role, mut kind) = (None, None);
    members(item.get(), |key, value| match &*key {
        "role" => role = string(value),
        "type" => kind = string(value),
        _ => {}
    });
    let is_output = kind.as_deref().is_some_and(|kind| kind.ends_with("_output"));
    let (component, kind) = match role.as_deref() {
        Some("system" | "developer") => (Component::System, Kind::Message),
        Some("user") => (Component::User, Kind::Message),
        _ if is_output => (Component::History, Kind::ToolResult),
        _ => (Component::History, Kind::Message),
    };
    Element { component, kind, name: None, raw: item }
}

pub(super) fn read_element<'a>(element: &Element<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    if element.kind == Kind::Tool {
        return piece(Piece::Text(Cow::Borrowed(element.raw.get())));
    }
    piece(MESSAGE_FRAMING);
    // `instructions`, or an `input` that is one string.
    if let Some(text) = string(element.raw) {
        return piece(Piece::Text(text));
    }
    members(element.raw.get(), |key, value| match &*key {
        "content" | "output" | "summary" => read_content(value, piece),
        "name" | "arguments" | "input" => string(value).into_iter().for_each(|text| piece(Piece::Text(text))),
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
    Usage,
    Input,
    Output,
    Cached,
    CacheWrite,
    Reasoning,
    Delivered,
    ToolName,
    Error,
    ErrorKind,
    /// `code` beside `message` in an `error` event, which has no object of its own.
    EventErrorKind,
}

const USAGE: Node<Field> = object(
    "usage",
    Field::Usage,
    &[
        value("input_tokens", Field::Input),
        value("output_tokens", Field::Output),
        path(
            "input_tokens_details",
            Field::Other,
            &[value("cached_tokens", Field::Cached), value("cache_write_tokens", Field::CacheWrite)],
        ),
        path("output_tokens_details", Field::Other, &[value("reasoning_tokens", Field::Reasoning)]),
    ],
);

const ERROR: Node<Field> =
    object("error", Field::Error, &[value("type", Field::ErrorKind), value("code", Field::ErrorKind)]);

/// Collects what a response says, whole or streamed.
#[derive(Debug, Default)]
pub(super) struct Response {
    answer: Answer,
    usage: InclusiveUsage,
    /// The `type` of the document being read.
    event: String,
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
            USAGE,
            ERROR,
            value("code", Field::EventErrorKind),
            path(
                "output",
                Field::Other,
                &[
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
                    USAGE,
                    ERROR,
                ],
            ),
            text("delta", Field::Delivered),
            path("item", Field::Other, &[value("name", Field::ToolName)]),
        ],
    );

    fn answer(&self) -> &Answer {
        &self.answer
    }

    fn usage(&self) -> Option<Vec<UsagePart>> {
        Some(vec![UsagePart { model: None, usage: self.usage.buckets()? }])
    }
}

impl Visit<Field> for Response {
    fn open(&mut self, field: Field) {
        match field {
            Field::Usage => self.usage = InclusiveUsage::default(),
            Field::Error => self.answer.error = Some(ProviderError::default()),
            _ => {}
        }
    }

    fn value(&mut self, field: Field, value: Value<'_>) {
        let (answer, usage) = (&mut self.answer, &mut self.usage);
        match field {
            Field::Type => {
                self.event.clear();
                self.event.push_str(value.text().unwrap_or_default());
                if self.event == "error" {
                    answer.error = Some(ProviderError::default());
                }
            }
            Field::Id => note(&mut answer.id, value),
            Field::Model => note(&mut answer.model, value),
            Field::ServiceTier => note(&mut answer.service_tier, value),
            Field::Status => {
                let status = value.text().filter(|status| !matches!(*status, "in_progress" | "queued"));
                answer.terminal |= status.is_some();
                answer.finish_reason = status.map(str::to_owned).or(answer.finish_reason.take());
            }
            Field::Input => usage.input = value.count(),
            Field::Output => usage.output = value.count(),
            Field::Cached => usage.cached = value.count(),
            Field::CacheWrite => usage.cache_write = value.count(),
            Field::Reasoning => usage.reasoning = value.count(),
            Field::ToolName => value.text().into_iter().for_each(|name| answer.called(name)),
            Field::ErrorKind => {
                if let Some(error) = &mut answer.error {
                    note(&mut error.kind, value);
                }
            }
            Field::EventErrorKind => {
                if let Some(error) = answer.error.as_mut().filter(|_| self.event == "error") {
                    note(&mut error.kind, value);
                }
            }
            Field::Other | Field::Usage | Field::Delivered | Field::Error => {}
        }
    }

    fn text(&mut self, _field: Field, fragment: &[u8]) {
        // Sound arrives as base64, which is no text.
        if !self.event.starts_with("response.audio.") {
            self.answer.delivered.push(fragment);
        }
    }
}
