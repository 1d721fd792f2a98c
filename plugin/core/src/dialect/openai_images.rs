//! OpenAI Images: generations, edits and variations.
//!
//! Newer models bill tokens and state them, text and images apart, whole or in the last event of a stream; what the
//! output does not break down is image. Older ones bill by the picture and state nothing, so the pictures are counted.
//! Edits and variations ask with a form instead of JSON.
//! Must not know: prices; how other dialects count.

use super::object::{Form, count, is_on, string, whole_fields};
use super::openai::Stated;
use super::{Answer, Request, UsagePart, Wire, form, object, path, value};
use crate::frame::json::{Node, Value, Visit};
use crate::prompt::{Component, Element, Kind};
use std::borrow::Cow;

pub(super) fn read_request<'a>(json: &'a str, request: &mut Request<'a>) -> Form {
    let mut prompt = None;
    let form = whole_fields(json, |key, value| match &*key {
        "model" => request.model = string(value),
        "stream" => request.stream = is_on(value),
        "n" => request.choices = count(value),
        "user" => request.end_user = string(value),
        "prompt" => prompt = Some(value),
        _ => {}
    });
    let user = |raw| Element { component: Component::User, kind: Kind::Message, name: None, raw };
    request.extend(prompt.map(user));
    form
}

/// The same of a form, whose texts are no JSON and so are not counted.
pub(super) fn read_form<'a>(body: &'a [u8], request: &mut Request<'a>) -> bool {
    form::fields(body, |name, value| match name {
        "model" => request.model = Some(Cow::Borrowed(value)),
        "stream" => request.stream = value.eq_ignore_ascii_case("true"),
        "n" => request.choices = value.parse().ok(),
        "user" => request.end_user = Some(Cow::Borrowed(value)),
        _ => {}
    })
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Other,
    Type,
    Usage,
    Input,
    Output,
    Total,
    Cached,
    InputImage,
    OutputImage,
    Picture,
    Error,
    ErrorType,
    ErrorCode,
}

/// Collects what an answer says, whole or streamed.
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
            value("type", Field::Type),
            object(
                "usage",
                Field::Usage,
                &[
                    value("input_tokens", Field::Input),
                    value("output_tokens", Field::Output),
                    value("total_tokens", Field::Total),
                    path(
                        "input_tokens_details",
                        Field::Other,
                        &[value("image_tokens", Field::InputImage), value("cached_tokens", Field::Cached)],
                    ),
                    path("output_tokens_details", Field::Other, &[value("image_tokens", Field::OutputImage)]),
                ],
            ),
            object("data", Field::Picture, &[]),
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
        Some(vec![UsagePart { model: None, usage: self.usage.usage()? }])
    }
}

impl Visit<Field> for Response {
    fn open(&mut self, field: Field) {
        match field {
            Field::Usage => self.usage.opens(),
            Field::Error => self.answer.fails(),
            Field::Picture => self.answer.images = self.answer.images.saturating_add(1),
            _ => {}
        }
    }

    fn close(&mut self, field: Field) {
        if matches!(field, Field::Usage) {
            let reading = &mut self.usage.reading;
            reading.image_output = reading.image_output.or(reading.output);
            self.usage.closes();
        }
    }

    fn value(&mut self, field: Field, value: Value<'_>) {
        let (answer, usage) = (&mut self.answer, &mut self.usage.reading);
        match field {
            // `image_generation.completed`, `image_edit.completed`: a stream shows one picture in each.
            Field::Type if value.text().is_some_and(|kind| kind.ends_with(".completed")) => {
                answer.terminal = true;
                answer.images = answer.images.saturating_add(1);
            }
            Field::Type if value.text() == Some("error") => answer.fails(),
            Field::Input => usage.input = value.count(),
            Field::Output => usage.output = value.count(),
            Field::Total => usage.total = value.count(),
            Field::Cached => usage.cached = value.count(),
            Field::InputImage => usage.image_input = value.count(),
            Field::OutputImage => usage.image_output = value.count(),
            Field::ErrorType => answer.error_type(value),
            Field::ErrorCode => answer.error_code(value),
            Field::Other | Field::Type | Field::Usage | Field::Picture | Field::Error => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dialect;
    use super::super::answer::UsagePart;
    use crate::usage::Bucket;

    fn read(pieces: &[&str]) -> (Option<Vec<UsagePart>>, u64) {
        let mut reader = Dialect::OpenaiImages.response_reader();
        pieces.iter().for_each(|piece| reader.feed(piece.as_bytes()));
        reader.end();
        (reader.usage(), reader.answer().images)
    }

    #[test]
    fn pictures_that_come_with_a_stream_state_their_tokens_in_its_last_event() {
        let (usage, images) = read(&[
            "event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"aGk=\"}\n\n",
            "data: {\"type\":\"image_generation.completed\",\"b64_json\":\"aGk=\",\"usage\":{\"total_tokens\":130,\"input_tokens\":30,\"output_tokens\":100,\"input_tokens_details\":{\"text_tokens\":10,\"image_tokens\":20}}}\n\n",
        ]);
        let usage = usage.expect("a usage").remove(0).usage;
        let of = |bucket| usage.get(bucket);
        assert_eq!((of(Bucket::InputUncached), of(Bucket::InputImage), of(Bucket::OutputImage)), (10, 20, 100));
        assert_eq!(images, 1);
    }

    #[test]
    fn pictures_without_tokens_are_counted() {
        assert_eq!(read(&["{\"created\":1,\"data\":[{\"url\":\"u\"},{\"b64_json\":\"aGk=\"}]}"]), (None, 2));
    }
}
