//! OpenAI Audio and its imitators: transcriptions, translations and speech.
//!
//! Models bill by tokens or by the second, and `usage.type` says which; where an older answer only tells how long the
//! recording was, that is what is billed. A stream states its usage in its last event. What a transcription hears is
//! input audio, what speech says is output audio. Mistral counts what was heard in its total alone.
//! Recordings come as forms. Spoken answers are bytes and state nothing.
//! Must not know: prices; how other dialects count.

use super::object::{Form, string, whole_fields};
use super::openai::Stated;
use super::{Answer, Request, UsagePart, Wire, form, note, object, path, text, value};
use crate::frame::json::{Node, Value, Visit};
use crate::prompt::{Component, Element, Kind};
use std::borrow::Cow;

/// A request for speech.
pub(super) fn read_request<'a>(json: &'a str, request: &mut Request<'a>) -> Form {
    let (mut instructions, mut input) = (None, None);
    let form = whole_fields(json, |key, value| match &*key {
        "model" => request.model = string(value),
        "stream_format" => request.stream = string(value).as_deref() == Some("sse"),
        "instructions" => instructions = Some(value),
        "input" => input = Some(value),
        _ => {}
    });
    let element = |component, raw| Element { component, kind: Kind::Message, name: None, raw };
    request.extend(instructions.map(|raw| element(Component::System, raw)));
    request.extend(input.map(|raw| element(Component::User, raw)));
    form
}

/// A request with a recording.
pub(super) fn read_form<'a>(body: &'a [u8], request: &mut Request<'a>) -> bool {
    form::fields(body, |name, value| match name {
        "model" => request.model = Some(Cow::Borrowed(value)),
        "stream" => request.stream = value.eq_ignore_ascii_case("true"),
        _ => {}
    })
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Other,
    Type,
    Model,
    Usage,
    Input,
    Output,
    Total,
    Audio,
    Seconds,
    Duration,
    Delivered,
    Error,
    ErrorType,
    ErrorCode,
}

/// Collects what an answer says, whole or streamed.
#[derive(Debug, Default)]
pub(super) struct Response {
    answer: Answer,
    usage: Stated,
    /// The document is the end of a stream of speech.
    is_speech: bool,
    /// The usage states how long the recording was; otherwise the answer may.
    has_seconds: bool,
}

impl Wire for Response {
    type Field = Field;
    const SHAPE: &'static Node<Field> = &path(
        "",
        Field::Other,
        &[
            value("type", Field::Type),
            value("model", Field::Model),
            value("duration", Field::Duration),
            text("text", Field::Delivered),
            object(
                "usage",
                Field::Usage,
                &[
                    value("input_tokens", Field::Input),
                    value("output_tokens", Field::Output),
                    value("total_tokens", Field::Total),
                    path("input_token_details", Field::Other, &[value("audio_tokens", Field::Audio)]),
                    value("seconds", Field::Seconds),
                    // Mistral.
                    value("prompt_tokens", Field::Input),
                    value("completion_tokens", Field::Output),
                    value("prompt_audio_seconds", Field::Seconds),
                    path("prompt_tokens_details", Field::Other, &[value("audio_tokens", Field::Audio)]),
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
        Some(vec![UsagePart { model: None, usage: self.usage.usage()? }])
    }
}

impl Visit<Field> for Response {
    fn open(&mut self, field: Field) {
        match field {
            Field::Usage => self.usage.opens(),
            Field::Error => self.answer.fails(),
            _ => {}
        }
    }

    fn value(&mut self, field: Field, value: Value<'_>) {
        let (answer, usage) = (&mut self.answer, &mut self.usage.reading);
        match field {
            Field::Type => {
                let kind = value.text().unwrap_or_default();
                self.is_speech = kind == "speech.audio.done";
                answer.terminal |= self.is_speech || kind == "transcript.text.done";
                if kind == "error" {
                    answer.fails();
                }
            }
            Field::Model => note(&mut answer.model, value),
            Field::Input => usage.input = value.count(),
            Field::Output => usage.output = value.count(),
            Field::Total => usage.total = value.count(),
            Field::Audio => usage.audio_input = value.count(),
            Field::Seconds => {
                self.has_seconds |= value.rounded_up().is_some();
                answer.audio_seconds = value.rounded_up().or(answer.audio_seconds);
            }
            Field::Duration if !self.has_seconds => {
                answer.audio_seconds = value.rounded_up().or(answer.audio_seconds);
            }
            Field::ErrorType => answer.error_type(value),
            Field::ErrorCode => answer.error_code(value),
            Field::Other | Field::Duration | Field::Usage | Field::Delivered | Field::Error => {}
        }
    }

    fn text(&mut self, _field: Field, fragment: &[u8]) {
        self.answer.delivered.push(fragment);
    }

    fn document(&mut self) {
        let (is_speech, has_seconds) = (std::mem::take(&mut self.is_speech), self.has_seconds);
        let reading = &mut self.usage.reading;
        if is_speech {
            reading.audio_output = reading.output;
        }
        let named = reading.input.unwrap_or(0).saturating_add(reading.output.unwrap_or(0));
        let unnamed = reading.total.unwrap_or(0).saturating_sub(named);
        if has_seconds && unnamed > 0 && reading.audio_input.is_none() {
            reading.audio_input = Some(unnamed);
        }
        self.usage.closes();
        self.usage.opens();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dialect;
    use crate::usage::{Bucket, Usage};

    fn read(body: &str) -> (Option<Usage>, Option<u64>) {
        let mut reader = Dialect::OpenaiAudio.response_reader();
        reader.feed(body.as_bytes());
        reader.end();
        let usage = reader.usage().and_then(|parts| parts.first().map(|part| part.usage));
        (usage, reader.answer().audio_seconds)
    }

    #[test]
    fn a_recording_is_billed_by_the_second_where_the_answer_says_how_long_it_was() {
        let by_duration = r#"{"text":"Hello.","usage":{"type":"duration","seconds":7}}"#;
        assert_eq!(read(by_duration), (None, Some(7)));
        assert_eq!(read(r#"{"task":"transcribe","duration":8.470000267028809,"text":"Hello."}"#), (None, Some(9)));
        let stated = r#"{"duration":8.47,"text":"Hello.","usage":{"type":"duration","seconds":9}}"#;
        assert_eq!(read(stated), (None, Some(9)));
    }

    #[test]
    fn what_is_heard_is_input_audio_and_what_is_said_is_output_audio() {
        let heard = "data: {\"type\":\"transcript.text.delta\",\"delta\":\"Hel\"}\n\ndata: {\"type\":\"transcript.text.done\",\"text\":\"Hello.\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":14,\"input_token_details\":{\"text_tokens\":10,\"audio_tokens\":4},\"output_tokens\":5,\"total_tokens\":19}}\n\n";
        let usage = read(heard).0.unwrap();
        assert_eq!((usage.get(Bucket::InputUncached), usage.get(Bucket::InputAudio)), (10, 4));
        assert_eq!(usage.get(Bucket::Output), 5);
        let said = "data: {\"type\":\"speech.audio.delta\",\"audio\":\"aGk=\"}\n\ndata: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":14,\"output_tokens\":101,\"total_tokens\":115}}\n\n";
        let usage = read(said).0.unwrap();
        assert_eq!((usage.get(Bucket::InputUncached), usage.get(Bucket::OutputAudio)), (14, 101));
    }

    #[test]
    fn mistral_counts_what_was_heard_in_the_total_alone() {
        let body = r#"{"model":"voxtral-mini-2507","text":"Hello.","usage":{"prompt_audio_seconds":203,"prompt_tokens":4,"total_tokens":3264,"completion_tokens":635}}"#;
        let (usage, seconds) = read(body);
        let usage = usage.unwrap();
        assert_eq!((usage.get(Bucket::InputAudio), usage.input_total(), usage.output_total()), (2_625, 2_629, 635));
        assert_eq!(seconds, Some(203));
    }
}
