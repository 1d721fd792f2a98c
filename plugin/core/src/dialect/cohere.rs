//! Cohere Chat, versions 1 and 2.
//!
//! The counts that are billed are fewer than the tokens the model saw, and they are what is charged. Cached tokens
//! are counted among those seen, so they may exceed what is billed; thinking is a part of the billed output. A
//! stream is server-sent events, or one JSON document a line in version 1; its last event states usage and, in
//! version 1, repeats the whole answer.
//! Must not know: prices; how other dialects count.

use super::object::{Form, count, is_on, member, string, whole_fields};
use super::openai::Stated;
use super::{Answer, Request, UsagePart, Wire, collect, note, object, openai_chat, path, text, value};
use crate::frame::json::{Node, Value, Visit};
use crate::frame::raw::Raw;
use crate::prompt::{Component, Element, Kind, Piece};

/// Version 2 asks as OpenAI does; documents lie beside the messages.
pub(super) fn read_request<'a>(json: &'a str, request: &mut Request<'a>) -> Form {
    let (mut documents, mut tools, mut messages) = (None, None, None);
    let form = whole_fields(json, |key, value| match &*key {
        "documents" => documents = Some(value),
        "tools" => tools = Some(value),
        "messages" => messages = Some(value),
        _ => read_common(&key, value, request),
    });
    push_documents(documents, request);
    openai_chat::read_prompt(tools, messages, request);
    form
}

/// Version 1 asks with a message of its own, what came before it, and instructions.
pub(super) fn read_request_v1<'a>(json: &'a str, request: &mut Request<'a>) -> Form {
    let (mut preamble, mut documents, mut tools) = (None, None, None);
    let (mut history, mut results, mut message) = (None, None, None);
    let form = whole_fields(json, |key, value| match &*key {
        "preamble" => preamble = Some(value),
        "documents" => documents = Some(value),
        "tools" => tools = Some(value),
        "chat_history" => history = Some(value),
        "tool_results" => results = Some(value),
        "message" => message = Some(value),
        "conversation_id" => request.has_unseen = string(value).is_some(),
        _ => read_common(&key, value, request),
    });
    let element = |component, kind, raw| Element { component, kind, name: None, raw };
    let text = |raw: &Raw<'_>| string(*raw).is_some_and(|text| !text.is_empty());
    request.extend(preamble.filter(text).map(|raw| element(Component::System, Kind::Message, raw)));
    push_documents(documents, request);
    openai_chat::read_prompt(tools, None, request);
    let turns = collect(history, |turn, elements| {
        let role = member(turn.get(), "role").and_then(string).unwrap_or_default().to_ascii_uppercase();
        elements.push(match role.as_str() {
            "SYSTEM" => element(Component::System, Kind::Message, turn),
            "TOOL" => element(Component::History, Kind::ToolResult, turn),
            _ => element(Component::History, Kind::Message, turn),
        });
    });
    request.extend(turns.unwrap_or_default());
    request.extend(message.filter(text).map(|raw| element(Component::User, Kind::Message, raw)));
    let results = collect(results, |raw, elements| elements.push(element(Component::History, Kind::ToolResult, raw)));
    request.extend(results.unwrap_or_default());
    form
}

fn read_common<'a>(key: &str, value: Raw<'a>, request: &mut Request<'a>) {
    match key {
        "model" => request.model = string(value),
        "stream" => request.stream = is_on(value),
        "max_tokens" => request.max_output_tokens = count(value),
        _ => {}
    }
}

fn push_documents<'a>(documents: Option<Raw<'a>>, request: &mut Request<'a>) {
    let documents = collect(documents, |raw, elements| {
        elements.push(Element { component: Component::History, kind: Kind::Message, name: None, raw });
    });
    request.extend(documents.unwrap_or_default());
}

pub(super) fn read_element<'a>(element: &Element<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    let raw = element.raw.get();
    let message = member(raw, "message").and_then(string);
    // Version 1 writes what tools are called with, and what they returned, into the turns before the message.
    let steps = ["tool_calls", "tool_results"].map(|key| member(raw, key).filter(|_| is_turn(raw)));
    match message {
        None if steps.iter().all(Option::is_none) => match raw.starts_with('{') && member(raw, "role").is_none() {
            // Documents and what tools returned are rendered as the JSON they are.
            true => piece(Piece::Text(raw.into())),
            false => openai_chat::read_element(element, piece),
        },
        message => {
            piece(Piece::Message);
            message.into_iter().for_each(|text| piece(Piece::Text(text)));
            steps.into_iter().flatten().for_each(|step| piece(Piece::Text(step.get().into())));
        }
    }
}

/// Whether it is a turn of version 1's history, whose roles are written in capitals.
fn is_turn(raw: &str) -> bool {
    let role = member(raw, "role").and_then(string);
    role.is_some_and(|role| matches!(&*role, "USER" | "CHATBOT" | "SYSTEM" | "TOOL"))
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Other,
    Id,
    FinishReason,
    Delivered,
    ToolName,
    Usage,
    BilledInput,
    BilledOutput,
    SeenInput,
    SeenOutput,
    Reasoning,
    Cached,
    ErrorType,
}

const COUNTS: &[Node<Field>] = &[
    path(
        "billed_units",
        Field::Other,
        &[value("input_tokens", Field::BilledInput), value("output_tokens", Field::BilledOutput)],
    ),
    path(
        "tokens",
        Field::Other,
        &[
            value("input_tokens", Field::SeenInput),
            value("output_tokens", Field::SeenOutput),
            value("reasoning_tokens", Field::Reasoning),
        ],
    ),
    value("cached_tokens", Field::Cached),
];

const FINISH: Node<Field> = value("finish_reason", Field::FinishReason);
const USAGE: Node<Field> = object("usage", Field::Usage, COUNTS);
const META: Node<Field> = object("meta", Field::Usage, COUNTS);
const GENERATION: Node<Field> = value("generation_id", Field::Id);

const MESSAGE: Node<Field> = path(
    "message",
    Field::Other,
    &[
        path("content", Field::Other, &[text("text", Field::Delivered), text("thinking", Field::Delivered)]),
        text("tool_plan", Field::Delivered),
        path(
            "tool_calls",
            Field::Other,
            &[path("function", Field::Other, &[value("name", Field::ToolName), text("arguments", Field::Delivered)])],
        ),
    ],
);

/// Collects what an answer of either version says, whole or streamed.
#[derive(Debug, Default)]
pub(super) struct Response {
    answer: Answer,
    usage: Stated,
    /// Input and output as the model saw them, for an answer that states nothing billed.
    seen: (Option<u64>, Option<u64>),
}

impl Wire for Response {
    type Field = Field;
    const SHAPE: &'static Node<Field> = &path(
        "",
        Field::Other,
        &[
            value("id", Field::Id),
            MESSAGE,
            FINISH,
            USAGE,
            path("delta", Field::Other, &[MESSAGE, FINISH, USAGE]),
            GENERATION,
            text("text", Field::Delivered),
            path("tool_calls", Field::Other, &[value("name", Field::ToolName)]),
            META,
            path("response", Field::Other, &[GENERATION, FINISH, META]),
            value("error_type", Field::ErrorType),
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
        if matches!(field, Field::Usage) {
            self.usage.opens();
            self.seen = (None, None);
        }
    }

    fn close(&mut self, field: Field) {
        if matches!(field, Field::Usage) {
            let reading = &mut self.usage.reading;
            reading.input = reading.input.or(self.seen.0);
            reading.output = reading.output.or(self.seen.1);
            self.usage.closes();
        }
    }

    fn value(&mut self, field: Field, value: Value<'_>) {
        let (answer, usage) = (&mut self.answer, &mut self.usage.reading);
        match field {
            Field::Id => note(&mut answer.id, value),
            Field::FinishReason => {
                note(&mut answer.finish_reason, value);
                answer.terminal |= answer.finish_reason.is_some();
                if value.text().is_some_and(|reason| reason.starts_with("ERROR")) {
                    answer.fails();
                }
            }
            Field::ToolName => {
                if let Some(name) = value.text() {
                    answer.called(name);
                    answer.delivered.push(name.as_bytes());
                }
            }
            Field::BilledInput => usage.input = value.count(),
            Field::BilledOutput => usage.output = value.count(),
            Field::SeenInput => self.seen.0 = value.count(),
            Field::SeenOutput => self.seen.1 = value.count(),
            Field::Reasoning => usage.reasoning = value.count(),
            Field::Cached => usage.cached = value.count(),
            Field::ErrorType => {
                answer.fails();
                answer.error_type(value);
            }
            Field::Other | Field::Delivered | Field::Usage => {}
        }
    }

    fn text(&mut self, _field: Field, fragment: &[u8]) {
        self.answer.delivered.push(fragment);
    }
}
