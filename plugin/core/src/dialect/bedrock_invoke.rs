//! Amazon Bedrock's Invoke and InvokeWithResponseStream: the bodies of whoever made the model, in Amazon's transport.
//!
//! A stream is an event stream of `chunk`s, each with a document of the vendor's own stream in Base64; the last one
//! adds `amazon-bedrock-invocationMetrics`. The body does not say whose it is, and the model's name need not (an
//! inference profile of one's own), so it is read in two ways at once: as Anthropic's, and by the fields of all
//! others, whose names do not overlap. Where a body states no count, Bedrock's metrics or headers do.
//! A body's own count outranks the metrics: they leave out tool calls (98 of 130 in a recorded stream).
//! Must not know: prices.
#![deny(clippy::arithmetic_side_effects)]

use super::bedrock_converse::{self, COUNTS, DELTA, Field, OUTPUT, START};
use super::blocks::Sections;
use super::object::{Form, count, items, member, members};
use super::{Answer, Reader, Request, ResponseReader, UsagePart, anthropic, object, path, text, value};
use crate::frame::Wellformedness;
use crate::frame::json::Node;
use crate::frame::raw::Raw;
use crate::head::ResponseHead;
use crate::prompt::{Component, Element, Kind, Piece};

pub(super) fn read_request<'a>(json: &'a str, request: &mut Request<'a>) -> Form {
    // Anthropic's names, whoever else shares them.
    let form = anthropic::read_request(json, request);
    let (mut sections, mut prompt) = (Sections::default(), None);
    members(json, |key, value| {
        let limit = match &*key {
            "max_tokens_to_sample" | "max_gen_len" | "maxTokens" | "max_completion_tokens" => count(value),
            "textGenerationConfig" => member(value.get(), "maxTokenCount").and_then(count),
            "inferenceConfig" => {
                let of = |name| member(value.get(), name).and_then(count);
                of("maxTokens").or_else(|| of("max_new_tokens"))
            }
            "toolConfig" => {
                bedrock_converse::read_tools(&mut value.cursor(), &mut sections);
                None
            }
            "prompt" | "inputText" | "message" => {
                prompt = Some(value);
                None
            }
            _ => None,
        };
        // Each maker reads its own field; one of another's must not lower what is allowed.
        request.max_output_tokens = limit.max(request.max_output_tokens);
    });
    sections.arrange(request);
    if request.elements.is_empty() {
        let element = |raw| Element { component: Component::User, kind: Kind::Message, name: None, raw };
        request.extend(prompt.map(element));
    }
    form
}

pub(super) fn read_element<'a>(element: &Element<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    if is_converse(element.raw) {
        bedrock_converse::read_element(element, piece);
    } else {
        anthropic::read_element(element, piece);
    }
}

/// Whether a message or block is written as in Converse, where blocks do not name their type.
fn is_converse(raw: Raw<'_>) -> bool {
    let mut is_typed = false;
    let content = member(raw.get(), "content").unwrap_or(raw);
    let is_array = items(content.get(), |block| is_typed |= member(block.get(), "type").is_some());
    let is_block = !is_array && content.get().starts_with('{') && member(content.get(), "type").is_none();
    (is_array && !is_typed) || is_block
}

/// What vendors other than Anthropic name their fields, and Bedrock's own metrics.
const SHAPE: Node<Field> = path(
    "",
    Field::Other,
    &[
        // Amazon Nova: as in Converse, and each event of a stream under its name.
        OUTPUT,
        value("stopReason", Field::StopReason),
        path("contentBlockStart", Field::Other, &[START]),
        path("contentBlockDelta", Field::Other, &[DELTA]),
        path("messageStop", Field::Other, &[value("stopReason", Field::StopReason)]),
        path("metadata", Field::Other, &[object("usage", Field::Usage, COUNTS)]),
        // Amazon Titan.
        value("inputTextTokenCount", Field::Input),
        value("totalOutputTextTokenCount", Field::Output),
        text("outputText", Field::Delivered),
        value("completionReason", Field::StopReason),
        path(
            "results",
            Field::Other,
            &[
                value("tokenCount", Field::ResultOutput),
                text("outputText", Field::Delivered),
                value("completionReason", Field::StopReason),
            ],
        ),
        // Meta Llama.
        value("prompt_token_count", Field::Input),
        value("generation_token_count", Field::Output),
        text("generation", Field::Delivered),
        value("stop_reason", Field::StopReason),
        // Anthropic's text completions.
        text("completion", Field::Delivered),
        // Mistral.
        path("outputs", Field::Other, &[text("text", Field::Delivered), value("stop_reason", Field::StopReason)]),
        // AI21 Jamba and others that write as OpenAI does; they and Nova state their usage alike.
        value("model", Field::Model),
        path(
            "choices",
            Field::Other,
            &[
                text("text", Field::Delivered),
                path("message", Field::Other, &[text("content", Field::Delivered)]),
                path("delta", Field::Other, &[text("content", Field::Delivered)]),
                value("finish_reason", Field::StopReason),
                value("stop_reason", Field::StopReason),
            ],
        ),
        object("usage", Field::Usage, COUNTS),
        // Cohere.
        text("text", Field::Delivered),
        value("finish_reason", Field::StopReason),
        path("generations", Field::Other, &[text("text", Field::Delivered), value("finish_reason", Field::StopReason)]),
        object(
            "amazon-bedrock-invocationMetrics",
            Field::Metrics,
            &[
                value("inputTokenCount", Field::MetricInput),
                value("outputTokenCount", Field::MetricOutput),
                value("cacheReadInputTokenCount", Field::MetricCacheRead),
                value("cacheWriteInputTokenCount", Field::MetricCacheWrite),
            ],
        ),
    ],
);

/// Reads a body in both ways.
pub(super) struct Response {
    messages: Reader<anthropic::Response>,
    others: Reader<bedrock_converse::Response>,
}

impl Response {
    pub(super) fn boxed() -> Box<dyn ResponseReader> {
        let messages = Reader::enveloped(<anthropic::Response as super::Wire>::SHAPE);
        Box::new(Self { messages, others: Reader::enveloped(&SHAPE) })
    }

    /// The body is Anthropic's.
    fn is_messages(&self) -> bool {
        self.messages.statements() > 0 || !self.messages.answer().delivered.is_empty()
    }
}

impl ResponseReader for Response {
    fn head(&mut self, head: &ResponseHead<'_>) {
        self.messages.head(head);
        self.others.head(head);
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.messages.feed(bytes);
        self.others.feed(bytes);
    }

    fn end(&mut self) -> Wellformedness {
        self.messages.end();
        self.others.end()
    }

    fn answer(&self) -> &Answer {
        if self.is_messages() { self.messages.answer() } else { self.others.answer() }
    }

    fn statements(&self) -> u64 {
        self.messages.statements().saturating_add(self.others.statements())
    }

    fn usage(&self) -> Option<Vec<UsagePart>> {
        self.messages.usage().or_else(|| self.others.usage())
    }
}
