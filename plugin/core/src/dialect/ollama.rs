//! Ollama's own API: chat and generate.
//!
//! An answer is streamed unless that is refused, one JSON document a line; the line that is `done` states the
//! counts. The count of the prompt may be missing, so the input is then what was counted before.
//! Must not know: prices; how other dialects count.

use super::object::{Form, count, items, member, string, whole_fields};
use super::openai::Stated;
use super::{Answer, Request, UsagePart, Wire, medium, note, openai_chat, path, text, value};
use crate::frame::json::{Node, Value, Visit};
use crate::prompt::{Component, Element, Kind, Piece};

/// Chat asks as OpenAI does, generate with a prompt and instructions.
pub(super) fn read_request<'a>(json: &'a str, request: &mut Request<'a>) -> Form {
    let (mut system, mut tools, mut messages) = (None, None, None);
    let mut asked = Vec::new();
    request.stream = true;
    let form = whole_fields(json, |key, value| match &*key {
        "model" => request.model = string(value),
        "stream" => request.stream = value.get() != "false",
        "options" => request.max_output_tokens = member(value.get(), "num_predict").and_then(count),
        // The conversation so far, encoded.
        "context" => request.has_unseen = value.get() != "null",
        "system" => system = Some(value),
        // Pictures stand beside the prompt, as they stand beside the words of a message.
        "prompt" | "suffix" | "images" if value.get() != "null" => asked.push(value),
        "tools" => tools = Some(value),
        "messages" => messages = Some(value),
        _ => {}
    });
    let element = |component, raw| Element { component, kind: Kind::Message, name: None, raw };
    request.extend(system.map(|raw| element(Component::System, raw)));
    openai_chat::read_prompt(tools, messages, request);
    request.extend(asked.into_iter().map(|raw| element(Component::User, raw)));
    form
}

/// An element is a text, a message, or the pictures beside a prompt.
pub(super) fn read_element<'a>(element: &Element<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    if !items(element.raw.get(), |image| piece(Piece::Media(medium::read_image(image)))) {
        openai_chat::read_element(element, piece);
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Other,
    Model,
    Delivered,
    ToolName,
    Done,
    FinishReason,
    Input,
    Output,
    Error,
}

/// Collects what an answer says, whole or line by line.
#[derive(Debug, Default)]
pub(super) struct Response {
    answer: Answer,
    usage: Stated,
    omits_input: bool,
}

impl Wire for Response {
    type Field = Field;
    const SHAPE: &'static Node<Field> = &path(
        "",
        Field::Other,
        &[
            value("model", Field::Model),
            path(
                "message",
                Field::Other,
                &[
                    text("content", Field::Delivered),
                    text("thinking", Field::Delivered),
                    path(
                        "tool_calls",
                        Field::Other,
                        &[path("function", Field::Other, &[value("name", Field::ToolName)])],
                    ),
                ],
            ),
            text("response", Field::Delivered),
            text("thinking", Field::Delivered),
            value("done", Field::Done),
            value("done_reason", Field::FinishReason),
            value("prompt_eval_count", Field::Input),
            value("eval_count", Field::Output),
            value("error", Field::Error),
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

    fn omits_input(&self) -> bool {
        self.omits_input
    }
}

impl Visit<Field> for Response {
    fn value(&mut self, field: Field, value: Value<'_>) {
        let (answer, usage) = (&mut self.answer, &mut self.usage.reading);
        match field {
            Field::Model => note(&mut answer.model, value),
            Field::ToolName => {
                if let Some(name) = value.text() {
                    answer.called(name);
                    answer.delivered.push(name.as_bytes());
                }
            }
            Field::Done => answer.terminal |= value == Value::Bool(true),
            Field::FinishReason => note(&mut answer.finish_reason, value),
            Field::Input => usage.input = value.count(),
            Field::Output => usage.output = value.count(),
            // The error is a sentence, not a name.
            Field::Error if !matches!(value, Value::Null) => answer.fails(),
            Field::Other | Field::Delivered | Field::Error => {}
        }
    }

    fn text(&mut self, _field: Field, fragment: &[u8]) {
        self.answer.delivered.push(fragment);
    }

    fn document(&mut self) {
        let statements = self.usage.statements();
        self.usage.closes();
        if self.usage.statements() > statements {
            self.omits_input = self.usage.reading.input.is_none();
        }
        self.usage.opens();
    }
}
