//! Embeddings and reranking, as OpenAI, Voyage, Cohere and Ollama spell them: texts in, vectors or scores out.
//!
//! Only input is consumed. OpenAI states it as the prompt's count, Voyage as the total, Cohere among the units it
//! bills, Ollama as the prompt's evaluation. Reranking is billed by the search and states no tokens at Cohere.
//! Must not know: prices; how other dialects count.

use super::nested::{NESTING_MAX, read_block};
use super::object::{Form, items, string, whole_fields};
use super::{Answer, Request, UsagePart, Wire, collect, note, object, path, value};
use crate::frame::json::{Node, Value, Visit};
use crate::prompt::{Component, Element, Kind, Piece};
use crate::usage::{Bucket, Usage};

pub(super) fn read_request<'a>(json: &'a str, request: &mut Request<'a>) -> Form {
    let mut inputs = Vec::new();
    let form = whole_fields(json, |key, value| match &*key {
        "model" => request.model = string(value),
        "user" => request.end_user = string(value),
        "input" | "inputs" | "texts" | "images" | "prompt" | "query" | "documents" => inputs.push(value),
        _ => {}
    });
    let user = |raw| Element { component: Component::User, kind: Kind::Message, name: None, raw };
    for input in inputs {
        // A list of numbers is one text, already in tokens.
        let is_tokens =
            input.get().trim_start_matches(['[', ' ', '\n']).starts_with(|first: char| first.is_ascii_digit());
        let list = collect(Some(input), |raw, elements| elements.push(user(raw))).filter(|_| !is_tokens);
        request.extend(list.unwrap_or_else(|| vec![user(input)]));
    }
    form
}

pub(super) fn read_element<'a>(element: &Element<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    if let Some(text) = string(element.raw) {
        return piece(Piece::Text(text));
    }
    let is_list = items(element.raw.get(), |item| match string(item) {
        Some(text) => piece(Piece::Text(text)),
        None if item.get().starts_with(|first: char| first.is_ascii_digit()) => piece(Piece::Framing(1)),
        None if item.get().starts_with('[') => _ = items(item.get(), |_| piece(Piece::Framing(1))),
        None => read_block(item, NESTING_MAX, piece),
    });
    if !is_list {
        read_block(element.raw, NESTING_MAX, piece);
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Other,
    Id,
    Model,
    Input,
    Total,
    Images,
    Error,
    ErrorType,
    ErrorCode,
}

/// Collects what an answer says.
#[derive(Debug, Default)]
pub(super) struct Response {
    answer: Answer,
    input: Option<u64>,
    total: Option<u64>,
    images: Option<u64>,
    statements: u64,
}

impl Wire for Response {
    type Field = Field;
    const SHAPE: &'static Node<Field> = &path(
        "",
        Field::Other,
        &[
            value("id", Field::Id),
            value("model", Field::Model),
            path("usage", Field::Other, &[value("prompt_tokens", Field::Input), value("total_tokens", Field::Total)]),
            path(
                "meta",
                Field::Other,
                &[path(
                    "billed_units",
                    Field::Other,
                    &[value("input_tokens", Field::Input), value("image_tokens", Field::Images)],
                )],
            ),
            value("prompt_eval_count", Field::Input),
            object("error", Field::Error, &[value("type", Field::ErrorType), value("code", Field::ErrorCode)]),
        ],
    );

    fn answer(&self) -> &Answer {
        &self.answer
    }

    fn statements(&self) -> u64 {
        self.statements
    }

    fn usage(&self) -> Option<Vec<UsagePart>> {
        let input = self.input.or(self.total);
        input.or(self.images)?;
        let mut usage = Usage::default();
        usage.set(Bucket::InputUncached, input.unwrap_or(0));
        usage.set(Bucket::InputImage, self.images.unwrap_or(0));
        Some(vec![UsagePart { model: None, usage }])
    }
}

impl Visit<Field> for Response {
    fn open(&mut self, field: Field) {
        if matches!(field, Field::Error) {
            self.answer.fails();
        }
    }

    fn value(&mut self, field: Field, value: Value<'_>) {
        let place = match field {
            Field::Input => &mut self.input,
            Field::Total => &mut self.total,
            Field::Images => &mut self.images,
            Field::Id => return note(&mut self.answer.id, value),
            Field::Model => return note(&mut self.answer.model, value),
            Field::ErrorType => return self.answer.error_type(value),
            Field::ErrorCode => return self.answer.error_code(value),
            Field::Other | Field::Error => return,
        };
        *place = value.count();
        self.statements = self.statements.saturating_add(1);
    }

    fn document(&mut self) {
        // Nothing is streamed: the answer is over with its document.
        self.answer.terminal = true;
    }
}
