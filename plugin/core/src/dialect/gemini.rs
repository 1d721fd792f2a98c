//! Gemini's `generateContent`, `streamGenerateContent` and embeddings, on the Gemini API and on Vertex.
//!
//! Model and stream stand in the path. A stream is server-sent events or one JSON array, each item an answer of the
//! whole answer's shape. Vertex may state usage in the last one alone. Field names come in camel case and in snake
//! case. Embeddings state a count for each text, or none at all.
//! Must not know: prices; how other dialects count.

use super::google::{Count, Place, Stated};
use super::object::{Form, count, items, member, members, string, whole_fields};
use super::{Answer, Request, UsagePart, Wire, collect, medium, note, object, path, text, value};
use crate::frame::json::{Node, Value, Visit};
use crate::frame::raw::Raw;
use crate::head::ResponseHead;
use crate::prompt::{Component, Element, Kind, Piece};
use std::borrow::Cow;

pub(super) fn read_request<'a>(json: &'a str, request: &mut Request<'a>) -> Form {
    let (mut system, mut tools, mut contents) = (None, None, None);
    let form = whole_fields(json, |key, value| match &*key {
        "model" => request.model = string(value),
        "serviceTier" | "service_tier" => request.service_tier = string(value),
        // What is cached under a name is not in the request.
        "cachedContent" | "cached_content" => request.has_unseen |= string(value).is_some_and(|name| !name.is_empty()),
        "generationConfig" | "generation_config" => read_config(value, request),
        "systemInstruction" | "system_instruction" => system = Some(value),
        "tools" => tools = Some(value),
        "labels" => request.metadata = Some(value),
        "contents" => contents = Some(value),
        _ => {}
    });
    let system = system.filter(|raw| raw.get() != "null");
    request.extend(system.map(|raw| Element { component: Component::System, kind: Kind::Message, name: None, raw }));
    request.extend(each(tools, cut_tool));
    let mut conversation = each(contents, cut);
    Element::mark_user(&mut conversation);
    request.extend(conversation);
    form
}

fn read_config(config: Raw<'_>, request: &mut Request<'_>) {
    members(config.get(), |key, value| match &*key {
        // It takes tokens, by no rule that is known.
        "responseSchema" | "response_schema" | "responseJsonSchema" => request.has_unseen = true,
        "maxOutputTokens" | "max_output_tokens" => request.max_output_tokens = count(value),
        "candidateCount" | "candidate_count" => request.choices = count(value),
        _ => {}
    });
}

/// What is embedded, all of it asked now: `content`, `requests[].content`, or Vertex's `instances[].content`.
pub(super) fn read_embedding_request<'a>(json: &'a str, request: &mut Request<'a>) -> Form {
    let (mut single, mut many) = (None, None);
    let form = whole_fields(json, |key, value| match &*key {
        "model" => request.model = string(value),
        "content" => single = Some(value),
        "requests" | "instances" => many = Some(value),
        _ => {}
    });
    let user = |raw| Element { component: Component::User, kind: Kind::Message, name: None, raw };
    request.extend(single.map(user));
    request.extend(each(many, |item, elements| elements.push(user(member(item.get(), "content").unwrap_or(item)))));
    form
}

/// The elements of a field that is repeated, or given once without a list around it.
fn each<'a>(field: Option<Raw<'a>>, mut cut: impl FnMut(Raw<'a>, &mut Vec<Element<'a>>)) -> Vec<Element<'a>> {
    let list = collect(field, &mut cut);
    list.unwrap_or_else(|| {
        let mut elements = Vec::new();
        field.filter(|field| field.get() != "null").into_iter().for_each(|field| cut(field, &mut elements));
        elements
    })
}

/// A tool is a list of functions, or one that Google runs, named by its key.
fn cut_tool<'a>(tool: Raw<'a>, elements: &mut Vec<Element<'a>>) {
    let element = |name, raw| Element { component: Component::Tools, kind: Kind::Tool, name, raw };
    members(tool.get(), |key, value| match &*key {
        "functionDeclarations" | "function_declarations" => {
            let named = |raw: Raw<'a>| element(member(raw.get(), "name").and_then(string), raw);
            elements.extend(each(Some(value), |raw, functions| functions.push(named(raw))));
        }
        _ => elements.push(element(Some(key), value)),
    });
}

/// Cuts a turn into elements; what functions returned comes in a turn of the user's side.
fn cut<'a>(turn: Raw<'a>, elements: &mut Vec<Element<'a>>) {
    let (mut role, mut parts) = (None, None);
    members(turn.get(), |key, value| match &*key {
        "role" => role = string(value),
        "parts" => parts = Some(value),
        _ => {}
    });
    let element = |component, kind, raw| Element { component, kind, name: None, raw };
    if role.as_deref() == Some("model") {
        return elements.push(element(Component::History, Kind::Message, turn));
    }
    let is_result =
        |part: Raw<'_>| ["functionResponse", "function_response"].iter().any(|key| member(part.get(), key).is_some());
    let blocks = each(parts, |part, blocks| {
        blocks.push(match is_result(part) {
            true => element(Component::History, Kind::ToolResult, part),
            false => element(Component::User, Kind::Message, part),
        });
    });
    Element::push_turn(element(Component::User, Kind::Message, turn), blocks, elements);
}

/// An element is a turn, one of its parts, a tool, or a bare text.
pub(super) fn read_element<'a>(element: &Element<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    if let Some(text) = string(element.raw) {
        return piece(Piece::Text(text));
    }
    let Some(parts) = member(element.raw.get(), "parts") else { return read_part(element.raw, piece) };
    if !items(parts.get(), |part| read_part(part, piece)) {
        read_part(parts, piece);
    }
}

fn read_part<'a>(part: Raw<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    members(part.get(), |key, value| match &*key {
        "text" => string(value).into_iter().for_each(|text| piece(Piece::Text(text))),
        "functionCall" | "function_call" | "functionResponse" | "function_response" => read_function(value, piece),
        "executableCode" | "executable_code" | "codeExecutionResult" | "code_execution_result" => {
            piece(Piece::Text(Cow::Borrowed(value.get())));
        }
        "inlineData" | "inline_data" | "fileData" | "file_data" => {
            piece(Piece::Media(medium::read_member("fileData", value)));
        }
        _ => {}
    });
}

fn read_function<'a>(function: Raw<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    members(function.get(), |key, value| match &*key {
        "name" => string(value).into_iter().for_each(|name| piece(Piece::Text(name))),
        "args" | "response" => piece(Piece::Text(Cow::Borrowed(value.get()))),
        "parts" => _ = items(value.get(), |part| piece(Piece::Media(medium::read(part)))),
        _ => {}
    });
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Other,
    Id,
    Model,
    FinishReason,
    Delivered,
    ToolName,
    Usage(Place),
    ServiceTier,
    TrafficType,
    EmbeddedTokens,
    Error,
    ErrorType,
    ErrorCode,
}

const SHARE: &[Node<Field>] =
    &[value("modality", Field::Usage(Place::Modality)), value("tokenCount", Field::Usage(Place::Tokens))];

const fn stated(key: &'static str, count: Count) -> Node<Field> {
    value(key, Field::Usage(Place::Count(count)))
}

const fn shares(key: &'static str, count: Count) -> Node<Field> {
    object(key, Field::Usage(Place::Share(count)), SHARE)
}

const USAGE: &[Node<Field>] = &[
    stated("promptTokenCount", Count::Prompt),
    stated("cachedContentTokenCount", Count::Cached),
    stated("toolUsePromptTokenCount", Count::ToolUse),
    stated("candidatesTokenCount", Count::Answer),
    stated("thoughtsTokenCount", Count::Thoughts),
    stated("totalTokenCount", Count::Total),
    shares("promptTokensDetails", Count::Prompt),
    shares("cacheTokensDetails", Count::Cached),
    shares("toolUsePromptTokensDetails", Count::ToolUse),
    shares("candidatesTokensDetails", Count::Answer),
    value("serviceTier", Field::ServiceTier),
    value("trafficType", Field::TrafficType),
];

const PARTS: &[Node<Field>] = &[
    text("text", Field::Delivered),
    path("functionCall", Field::Other, &[value("name", Field::ToolName)]),
    path("executableCode", Field::Other, &[text("code", Field::Delivered)]),
];

const STATISTICS: Node<Field> = path(
    "statistics",
    Field::Other,
    &[value("token_count", Field::EmbeddedTokens), value("tokenCount", Field::EmbeddedTokens)],
);

/// Collects what an answer says, whole or streamed.
#[derive(Debug, Default)]
pub(super) struct Response {
    answer: Answer,
    usage: Stated,
    /// The body names its tier in the Gemini API's word, which is more than Vertex's traffic type says.
    names_tier: bool,
}

impl Wire for Response {
    type Field = Field;
    const SHAPE: &'static Node<Field> = &path(
        "",
        Field::Other,
        &[
            value("responseId", Field::Id),
            value("modelVersion", Field::Model),
            path(
                "candidates",
                Field::Other,
                &[
                    path("content", Field::Other, &[path("parts", Field::Other, PARTS)]),
                    value("finishReason", Field::FinishReason),
                ],
            ),
            // A prompt that is refused has no candidates.
            path("promptFeedback", Field::Other, &[value("blockReason", Field::FinishReason)]),
            object("usageMetadata", Field::Usage(Place::Usage), USAGE),
            path("predictions", Field::Other, &[path("embeddings", Field::Other, &[STATISTICS])]),
            path("embeddings", Field::Other, &[STATISTICS]),
            object("error", Field::Error, &[value("status", Field::ErrorType), value("code", Field::ErrorCode)]),
        ],
    );

    fn head(&mut self, head: &ResponseHead<'_>) {
        let tier = head.headers.get("x-gemini-service-tier");
        self.answer.service_tier = tier.map(crate::attribution::bounded);
    }

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
            Field::ServiceTier => {
                self.names_tier |= value.text().is_some();
                note(&mut answer.service_tier, value);
            }
            Field::TrafficType if !self.names_tier => {
                let tier = value.text().map(tier_of_traffic);
                tier.into_iter().for_each(|tier| note(&mut answer.service_tier, Value::Text(&tier)));
            }
            Field::Usage(place) => self.usage.value(place, value),
            Field::EmbeddedTokens => self.usage.adds_input(value),
            Field::ErrorType => answer.error_type(value),
            Field::ErrorCode => answer.error_code(value),
            Field::Other | Field::Delivered | Field::TrafficType | Field::Error => {}
        }
    }

    fn text(&mut self, _field: Field, fragment: &[u8]) {
        self.answer.delivered.push(fragment);
    }
}

/// Vertex says how the call was let through: `ON_DEMAND_FLEX` is the flex tier.
fn tier_of_traffic(traffic: &str) -> String {
    let traffic = traffic.to_ascii_lowercase();
    traffic.strip_prefix("on_demand_").map(str::to_owned).unwrap_or(traffic)
}
