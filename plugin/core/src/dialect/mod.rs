//! Wire formats: which dialect a call speaks, what its request asks for, what its response reports.
//!
//! One file per dialect holds both directions. A request is read whole and borrowed from; a response is read in
//! pieces through a shape. What a provider means by its counts is settled here, once: everything behind this
//! module sees disjoint buckets.
//! Must not know: prices, limits, gateways.

mod anthropic;
mod bedrock_converse;
mod bedrock_invoke;
mod blocks;
mod cohere;
mod embeddings;
mod gemini;
mod gemini_interactions;
mod google;
mod include_usage;
mod nested;
mod object;
mod ollama;
mod openai;
mod openai_chat;
mod openai_completions;
mod openai_responses;
mod path;

use crate::frame::json::{Node, Value, Visit};
use crate::frame::{Documents, Wellformedness};
use crate::head::ResponseHead;
use crate::money::Usd;
use crate::prompt::{Element, Piece};
use crate::usage::Usage;
use path::Endpoint;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A wire format of requests and responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI Chat Completions, `/v1/chat/completions`, and its many imitators.
    OpenaiChat,
    /// OpenAI Responses, `/v1/responses`.
    OpenaiResponses,
    /// Anthropic Messages, `/v1/messages`.
    AnthropicMessages,
    /// Amazon Bedrock Converse and ConverseStream, `/model/M/converse`.
    BedrockConverse,
    /// Amazon Bedrock Invoke and its stream, `/model/M/invoke`: the formats of the models' makers.
    BedrockInvoke,
    /// OpenAI Completions, `/v1/completions`, the older text interface.
    OpenaiCompletions,
    /// OpenAI Embeddings, `/v1/embeddings`, and Voyage's.
    OpenaiEmbeddings,
    /// Gemini on the Gemini API and on Vertex, `.../models/M:generateContent`.
    Gemini,
    /// Google's embeddings, `.../models/M:embedContent`.
    GeminiEmbeddings,
    /// Gemini Interactions, `/v1beta/interactions`.
    GeminiInteractions,
    /// Cohere Chat, `/v2/chat`.
    CohereChat,
    /// Cohere Chat as it was, `/v1/chat`.
    CohereChatV1,
    /// Cohere's embeddings and reranking, `/v2/embed` and `/v2/rerank`.
    CohereRetrieval,
    /// Ollama's own API, `/api/chat` and `/api/generate`.
    Ollama,
    /// Ollama's embeddings, `/api/embed`.
    OllamaEmbed,
}

/// What a call does, by the names of OTel's `gen_ai.operation.name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A conversation turn.
    Chat,
    /// Content of any kind, in Google's words.
    GenerateContent,
    /// The continuation of a text.
    TextCompletion,
    /// Vectors for texts.
    Embeddings,
    /// Texts in order of their relevance; OTel has no name for it yet.
    Rerank,
}

/// Where a call goes, as far as its head tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The wire format.
    pub dialect: Dialect,
    /// What the call does.
    pub operation: Operation,
    /// The provider (OTel `gen_ai.provider.name`), where the host or the configuration tells.
    pub provider: Option<Cow<'static, str>>,
    /// The region that the host binds inference to, where it does.
    pub region: Option<&'static str>,
    /// The model, where the path names it; it outranks the body.
    pub model: Option<String>,
    /// Whether the answer is streamed, where the path tells; it outranks the body.
    pub stream: Option<bool>,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 15] = [
        Self::OpenaiChat,
        Self::OpenaiResponses,
        Self::AnthropicMessages,
        Self::BedrockConverse,
        Self::BedrockInvoke,
        Self::OpenaiCompletions,
        Self::OpenaiEmbeddings,
        Self::Gemini,
        Self::GeminiEmbeddings,
        Self::GeminiInteractions,
        Self::CohereChat,
        Self::CohereChatV1,
        Self::CohereRetrieval,
        Self::Ollama,
        Self::OllamaEmbed,
    ];

    /// The name used in events, metrics and the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::OpenaiResponses => "openai_responses",
            Self::AnthropicMessages => "anthropic_messages",
            Self::BedrockConverse => "bedrock_converse",
            Self::BedrockInvoke => "bedrock_invoke",
            Self::OpenaiCompletions => "openai_completions",
            Self::OpenaiEmbeddings => "openai_embeddings",
            Self::Gemini => "gemini",
            Self::GeminiEmbeddings => "gemini_embeddings",
            Self::GeminiInteractions => "gemini_interactions",
            Self::CohereChat => "cohere_chat",
            Self::CohereChatV1 => "cohere_chat_v1",
            Self::CohereRetrieval => "cohere_retrieval",
            Self::Ollama => "ollama",
            Self::OllamaEmbed => "ollama_embed",
        }
    }

    /// The provider that defined the dialect; said of a call when nothing else tells.
    #[must_use]
    pub const fn default_provider(self) -> &'static str {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses | Self::OpenaiCompletions | Self::OpenaiEmbeddings => "openai",
            Self::AnthropicMessages => "anthropic",
            Self::BedrockConverse | Self::BedrockInvoke => "aws.bedrock",
            Self::Gemini | Self::GeminiEmbeddings | Self::GeminiInteractions => "gcp.gemini",
            Self::CohereChat | Self::CohereChatV1 | Self::CohereRetrieval => "cohere",
            Self::Ollama | Self::OllamaEmbed => "ollama",
        }
    }

    /// The provider that speaks the dialect alone, whatever its host: nobody else's price for a model that goes by
    /// the same name applies.
    const fn sole_provider(self) -> Option<&'static str> {
        match self {
            Self::Ollama | Self::OllamaEmbed => Some(self.default_provider()),
            _ => None,
        }
    }

    /// What a call in this dialect does, as far as the dialect alone tells.
    #[must_use]
    pub const fn operation(self) -> Operation {
        match self {
            Self::OpenaiChat
            | Self::OpenaiResponses
            | Self::AnthropicMessages
            | Self::BedrockConverse
            | Self::BedrockInvoke
            | Self::CohereChat
            | Self::CohereChatV1
            | Self::Ollama => Operation::Chat,
            Self::OpenaiCompletions => Operation::TextCompletion,
            Self::Gemini | Self::GeminiInteractions => Operation::GenerateContent,
            Self::OpenaiEmbeddings | Self::GeminiEmbeddings | Self::CohereRetrieval | Self::OllamaEmbed => {
                Operation::Embeddings
            }
        }
    }

    /// The name that is asked for says more about the price than the one that answers: it tells an inference profile
    /// (`global.`, `us.`) from the model behind it.
    #[must_use]
    pub(crate) const fn is_priced_as_asked(self) -> bool {
        matches!(self, Self::BedrockConverse | Self::BedrockInvoke)
    }

    /// Streams are documents in a row, without events around them; each answer says by itself that it is over.
    pub(crate) const fn streams_documents(self) -> bool {
        matches!(self, Self::Ollama | Self::CohereChatV1)
    }

    /// Reads a request body.
    ///
    /// # Errors
    /// [`RequestError`] when the body is not one JSON object.
    pub fn read_request(self, body: &[u8]) -> Result<Request<'_>, RequestError> {
        let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        let json = std::str::from_utf8(body).map_err(|error| RequestError::NotUtf8 { at: error.valid_up_to() })?;
        if json.trim().is_empty() {
            return Err(RequestError::Empty);
        }
        let mut request = Request::default();
        let is_object = match self {
            Self::OpenaiChat => openai_chat::read_request(json, &mut request),
            Self::OpenaiResponses => openai_responses::read_request(json, &mut request),
            Self::AnthropicMessages => anthropic::read_request(json, &mut request),
            Self::BedrockConverse => bedrock_converse::read_request(json, &mut request),
            Self::BedrockInvoke => bedrock_invoke::read_request(json, &mut request),
            Self::OpenaiCompletions => openai_completions::read_request(json, &mut request),
            Self::Gemini => gemini::read_request(json, &mut request),
            Self::GeminiEmbeddings => gemini::read_embedding_request(json, &mut request),
            Self::GeminiInteractions => gemini_interactions::read_request(json, &mut request),
            Self::CohereChat => cohere::read_request(json, &mut request),
            Self::CohereChatV1 => cohere::read_request_v1(json, &mut request),
            Self::Ollama => ollama::read_request(json, &mut request),
            Self::OpenaiEmbeddings | Self::CohereRetrieval | Self::OllamaEmbed => {
                embeddings::read_request(json, &mut request)
            }
        };
        match is_object {
            true if request.elements.len() >= ELEMENTS_MAX => Err(RequestError::TooManyParts),
            true => Ok(request),
            false if object::is_json(json) => Err(RequestError::NotAnObject),
            false => Err(RequestError::NotJson),
        }
    }

    /// Whether streams in this dialect state usage only when the request asks for it.
    #[must_use]
    pub const fn must_ask_for_usage(self) -> bool {
        matches!(self, Self::OpenaiChat | Self::OpenaiCompletions)
    }

    /// A request that asks for the usage of its stream, otherwise the same byte for byte; `None` where it asks already.
    #[must_use]
    pub fn asking_for_usage(self, body: &[u8]) -> Option<Vec<u8>> {
        include_usage::ask(std::str::from_utf8(body).ok()?).map(String::into_bytes)
    }

    /// Calls `piece` with everything in an element that consumes tokens.
    pub fn read_element<'a>(self, element: &Element<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
        match self {
            Self::OpenaiChat | Self::Ollama => openai_chat::read_element(element, piece),
            Self::OpenaiResponses => openai_responses::read_element(element, piece),
            Self::AnthropicMessages => anthropic::read_element(element, piece),
            Self::BedrockConverse => bedrock_converse::read_element(element, piece),
            Self::BedrockInvoke => bedrock_invoke::read_element(element, piece),
            Self::OpenaiCompletions => openai_completions::read_element(element, piece),
            Self::Gemini | Self::GeminiEmbeddings => gemini::read_element(element, piece),
            Self::GeminiInteractions => gemini_interactions::read_element(element, piece),
            Self::CohereChat | Self::CohereChatV1 => cohere::read_element(element, piece),
            Self::OpenaiEmbeddings | Self::CohereRetrieval | Self::OllamaEmbed => {
                embeddings::read_element(element, piece);
            }
        }
    }

    /// Tokens that the provider puts behind the prompt to make a model answer.
    #[must_use]
    pub fn priming(self, model: &str) -> u64 {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => openai::priming(model),
            // Part of what the tokenizer's ratio was measured on, or nothing at all.
            _ => 0,
        }
    }

    /// The body of a refusal, in the shape in which the provider states its own errors.
    #[must_use]
    pub fn error_body(self, kind: &str, code: &str, message: &str) -> String {
        let body = match self {
            Self::OpenaiChat | Self::OpenaiResponses | Self::OpenaiCompletions | Self::OpenaiEmbeddings => {
                serde_json::json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
            }
            Self::AnthropicMessages => {
                serde_json::json!({"type": "error", "error": {"type": kind, "message": message}})
            }
            Self::BedrockConverse | Self::BedrockInvoke => {
                let kind = if kind == "rate_limit_error" { "ThrottlingException" } else { "ValidationException" };
                serde_json::json!({"__type": kind, "message": message})
            }
            Self::Gemini | Self::GeminiEmbeddings | Self::GeminiInteractions => {
                let (status, name) = match kind {
                    "rate_limit_error" => (429, "RESOURCE_EXHAUSTED"),
                    "api_error" => (500, "INTERNAL"),
                    _ => (400, "INVALID_ARGUMENT"),
                };
                serde_json::json!({"error": {"code": status, "message": message, "status": name}})
            }
            Self::CohereChat | Self::CohereChatV1 | Self::CohereRetrieval => {
                serde_json::json!({"error_type": code, "message": message})
            }
            Self::Ollama | Self::OllamaEmbed => serde_json::json!({"error": message}),
        };
        body.to_string()
    }

    /// A reader for the response to a call in this dialect.
    #[must_use]
    pub fn response_reader(self) -> Box<dyn ResponseReader> {
        match self {
            Self::OpenaiChat | Self::OpenaiCompletions => Reader::<openai_chat::Response>::boxed(),
            Self::OpenaiResponses => Reader::<openai_responses::Response>::boxed(),
            Self::AnthropicMessages => Reader::<anthropic::Response>::boxed(),
            Self::BedrockConverse => Reader::<bedrock_converse::Response>::boxed(),
            Self::BedrockInvoke => bedrock_invoke::Response::boxed(),
            Self::Gemini | Self::GeminiEmbeddings => Reader::<gemini::Response>::boxed(),
            Self::GeminiInteractions => Reader::<gemini_interactions::Response>::boxed(),
            Self::CohereChat | Self::CohereChatV1 => Reader::<cohere::Response>::boxed(),
            Self::Ollama => Reader::<ollama::Response>::boxed(),
            Self::OpenaiEmbeddings | Self::CohereRetrieval | Self::OllamaEmbed => {
                Reader::<embeddings::Response>::boxed()
            }
        }
    }
}

impl Operation {
    /// The value of OTel's `gen_ai.operation.name`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::GenerateContent => "generate_content",
            Self::TextCompletion => "text_completion",
            Self::Embeddings => "embeddings",
            Self::Rerank => "rerank",
        }
    }
}

impl Route {
    /// The route of a request by its method, path and host; `None` for traffic that is no LLM call.
    #[must_use]
    pub fn detect(method: &str, path: &str, host: &str) -> Option<Self> {
        let known = provider_of_host(host);
        let endpoint = Endpoint::of(method, path).or_else(|| {
            // Too general a path to mean an LLM call at a host that is not known to serve any (DeepSeek's is).
            known.filter(|_| path == "/responses")?;
            Endpoint::of(method, "/v1/responses")
        });
        let Endpoint { dialect, operation, model, stream, provider } = endpoint?;
        let provider = known.or(provider).or(dialect.sole_provider()).map(Cow::Borrowed);
        Some(Self { dialect, operation, provider, region: region_of_host(host), model, stream })
    }

    /// Reads a request body; what the path says outranks it.
    ///
    /// # Errors
    /// [`RequestError`] when the body is not one JSON object.
    pub fn read_request<'a>(&self, body: &'a [u8]) -> Result<Request<'a>, RequestError> {
        self.dialect.read_request(body).map(|request| self.outrank(request))
    }

    /// The request as it is meant: the path outranks the body.
    pub(crate) fn outrank<'a>(&self, mut request: Request<'a>) -> Request<'a> {
        request.model = self.model.clone().map(Cow::Owned).or(request.model);
        request.stream = self.stream.unwrap_or(request.stream);
        request
    }

    /// The route of a request that is known to speak a dialect, whatever its path.
    pub(crate) fn of_dialect(dialect: Dialect, host: &str) -> Self {
        Self {
            dialect,
            operation: dialect.operation(),
            provider: dialect.sole_provider().map(Cow::Borrowed),
            region: region_of_host(host),
            model: None,
            stream: None,
        }
    }
}

/// The region of OpenAI's data residency hosts (`eu.api.openai.com`), which changes prices.
#[must_use]
pub(crate) fn region_of_host(host: &str) -> Option<&'static str> {
    let host = host.split(':').next().unwrap_or(host);
    let (first, rest) = host.split_once('.')?;
    let is_openai = rest.eq_ignore_ascii_case("api.openai.com");
    ["us", "eu", "au", "in", "jp"].into_iter().find(|region| is_openai && region.eq_ignore_ascii_case(first))
}

/// The provider that serves a host (OTel `gen_ai.provider.name`); `None` for a host nobody is known to own.
fn provider_of_host(host: &str) -> Option<&'static str> {
    let host = host.split(':').next().unwrap_or(host).to_ascii_lowercase();
    // Behind the service come region and, for private links, more: `bedrock-runtime.us-east-1.amazonaws.com`.
    let is_amazon = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|end| host.ends_with(end));
    let is_bedrock = |label| ["bedrock-runtime", "bedrock-runtime-fips", "bedrock-mantle"].contains(&label);
    if is_amazon && host.split('.').any(is_bedrock) {
        return Some("aws.bedrock");
    }
    // `us-east5-aiplatform`, `aiplatform`, `aiplatform.eu.rep`.
    let google = host.strip_suffix(".googleapis.com").and_then(|rest| rest.split('.').next());
    if google.is_some_and(|label| label == "aiplatform" || label.ends_with("-aiplatform")) {
        return Some("gcp.vertex_ai");
    }
    [
        ("api.openai.com", "openai"),
        ("api.anthropic.com", "anthropic"),
        ("openai.azure.com", "azure.ai.openai"),
        ("services.ai.azure.com", "azure.ai.inference"),
        ("openrouter.ai", "openrouter"),
        ("api.groq.com", "groq"),
        ("api.x.ai", "x_ai"),
        ("api.deepseek.com", "deepseek"),
        ("api.mistral.ai", "mistral_ai"),
        ("api.perplexity.ai", "perplexity"),
        ("api.together.xyz", "together"),
        ("api.together.ai", "together"),
        ("api.cerebras.ai", "cerebras"),
        ("api.avian.io", "avian"),
        ("api.z.ai", "zai"),
        ("api.moonshot.ai", "moonshot_ai"),
        ("api.fireworks.ai", "fireworks"),
        ("ai-gateway.vercel.sh", "vercel"),
        ("generativelanguage.googleapis.com", "gcp.gemini"),
        ("aiplatform.googleapis.com", "gcp.vertex_ai"),
        ("api.cohere.com", "cohere"),
        ("api.cohere.ai", "cohere"),
        ("api.voyageai.com", "voyageai"),
    ]
    .into_iter()
    .find_map(|(known, provider)| {
        let rest = host.strip_suffix(known)?;
        (rest.is_empty() || rest.ends_with('.')).then_some(provider)
    })
}

/// What a request asks for.
#[derive(Debug, Default)]
pub struct Request<'a> {
    /// The model asked for.
    pub model: Option<Cow<'a, str>>,
    /// The answer is to be streamed.
    pub stream: bool,
    /// The most output tokens the caller allows, per choice.
    pub max_output_tokens: Option<u64>,
    /// How many answers are asked for (`n`); `None` means one.
    pub choices: Option<u64>,
    /// The end user the body names.
    pub end_user: Option<Cow<'a, str>>,
    /// The processing speed asked for (Anthropic `speed`).
    pub speed: Option<Cow<'a, str>>,
    /// The service tier asked for.
    pub service_tier: Option<Cow<'a, str>>,
    /// The provider adds to the prompt what the request only points to (an earlier response, a stored prompt).
    pub has_unseen: bool,
    /// The parts of the prompt, in the order in which the provider renders and caches them.
    pub elements: Vec<Element<'a>>,
}

/// More parts than any conversation has. A part costs more memory than the three bytes that make one, so without
/// this bound a hostile body would grow to many times its size.
const ELEMENTS_MAX: usize = 65_536;

impl<'a> Request<'a> {
    /// Adds parts, up to the bound.
    fn extend(&mut self, elements: impl IntoIterator<Item = Element<'a>>) {
        let room = ELEMENTS_MAX.saturating_sub(self.elements.len());
        self.elements.extend(elements.into_iter().take(room));
    }
}

/// Cuts an array into elements, up to the bound; `None` where there is no array.
fn collect<'a>(
    array: Option<&'a RawValue>,
    mut element: impl FnMut(&'a RawValue, &mut Vec<Element<'a>>),
) -> Option<Vec<Element<'a>>> {
    let mut elements = Vec::new();
    let is_array = object::items(array?.get(), |item| {
        if elements.len() < ELEMENTS_MAX {
            element(item, &mut elements);
        }
    });
    is_array.then_some(elements)
}

/// Why a request body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no body, or only white space.
    #[error("the request has no body")]
    Empty,
    /// Not UTF-8.
    #[error("the request body is not UTF-8 from byte {at} on")]
    NotUtf8 {
        /// Offset of the first byte that is not UTF-8.
        at: usize,
    },
    /// Not JSON.
    #[error("the request body is not JSON")]
    NotJson,
    /// JSON, but not an object.
    #[error("the request body is JSON, but not an object")]
    NotAnObject,
    /// More messages and tools than are looked at.
    #[error("the request body has too many parts")]
    TooManyParts,
}

/// A share of a call's usage that one model consumed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsagePart {
    /// The model of this part, where it is not the call's.
    pub model: Option<String>,
    /// What it consumed.
    pub usage: Usage,
}

/// What the provider said went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderError {
    /// The provider's name for the error (`rate_limit_error`, `invalid_request_error`): its type, else its code.
    pub kind: Option<String>,
    /// The name is a type, which a code does not replace.
    is_type: bool,
}

/// What a response said besides its usage.
#[derive(Debug, Default)]
pub struct Answer {
    /// The provider's id of the response.
    pub id: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// The tier the call was processed in.
    pub service_tier: Option<String>,
    /// The processing speed (Anthropic `speed`).
    pub speed: Option<String>,
    /// The region the inference was bound to (Anthropic `inference_geo`).
    pub inference_geo: Option<String>,
    /// Why generation stopped.
    pub finish_reason: Option<String>,
    /// The response said by itself that it is over.
    pub terminal: bool,
    /// An error, in the body of any status.
    pub error: Option<ProviderError>,
    /// Names of the tools the model called, each once.
    pub tools_called: Vec<String>,
    /// The output as text, for counting where the provider reports no usage.
    pub delivered: Delivered,
}

impl Answer {
    /// Notes that the provider reports an error.
    fn fails(&mut self) {
        self.error.get_or_insert_default();
    }

    /// Notes that the provider reports an error of this type.
    fn fails_with(&mut self, kind: &str) {
        self.fails();
        self.error_type(Value::Text(kind));
    }

    /// Notes an error's type.
    fn error_type(&mut self, value: Value<'_>) {
        if let Some(error) = &mut self.error {
            note(&mut error.kind, value);
            error.is_type |= value.text().is_some();
        }
    }

    /// Notes an error's code, a text or a number, which names the error only where no type does.
    fn error_code(&mut self, value: Value<'_>) {
        if let Some(error) = self.error.as_mut().filter(|error| !error.is_type) {
            let value = if let Value::Number(code) = value { Value::Text(code) } else { value };
            note(&mut error.kind, value);
        }
    }

    /// Notes a tool call.
    fn called(&mut self, tool: &str) {
        if self.tools_called.len() < TOOLS_CALLED_MAX && !self.tools_called.iter().any(|known| known == tool) {
            self.tools_called.push(tool.to_owned());
        }
    }
}

/// More tools than any model calls in one response.
const TOOLS_CALLED_MAX: usize = 128;

/// Sets a text field of an [`Answer`]; values that are no text, or empty (Azure's first chunk), leave it.
fn note(field: &mut Option<String>, value: Value<'_>) {
    if let Some(text) = value.text().filter(|text| !text.is_empty())
        && field.as_deref() != Some(text)
    {
        *field = Some(text.to_owned());
    }
}

/// Output text as it was delivered, kept up to a bound.
#[derive(Debug, Default)]
pub struct Delivered {
    text: Vec<u8>,
    beyond: u64,
    characters: u64,
}

impl Delivered {
    /// How much text is kept; what lies beyond is only measured.
    pub const KEPT_MAX: usize = 256 * 1024;

    fn push(&mut self, fragment: &[u8]) {
        let room = Self::KEPT_MAX.saturating_sub(self.text.len());
        let (kept, beyond) = fragment.split_at_checked(room).unwrap_or((fragment, &[]));
        self.text.extend_from_slice(kept);
        self.beyond = self.beyond.saturating_add(u64::try_from(beyond.len()).unwrap_or(u64::MAX));
        // Every character has one byte that is no continuation, so fragments may cut characters.
        let characters = fragment.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        self.characters = self.characters.saturating_add(u64::try_from(characters).unwrap_or(u64::MAX));
    }

    /// Characters delivered, kept or not.
    #[must_use]
    pub const fn characters(&self) -> u64 {
        self.characters
    }

    /// The text that is kept.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }

    /// Bytes delivered beyond the text that is kept.
    #[must_use]
    pub const fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Nothing was delivered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// Reads a response in pieces of any size.
pub trait ResponseReader {
    /// The response's head, before its body.
    fn head(&mut self, head: &ResponseHead<'_>);
    /// Reads the next piece of the body.
    fn feed(&mut self, bytes: &[u8]);
    /// The body ends, or is taken as it is.
    fn end(&mut self) -> Wellformedness;
    /// What was said so far besides usage.
    fn answer(&self) -> &Answer;
    /// How often usage was stated so far: while this stays, so does [`ResponseReader::usage`].
    fn statements(&self) -> u64;
    /// The usage reported so far, by model; `None` while the provider reported nothing.
    fn usage(&self) -> Option<Vec<UsagePart>>;
    /// What the provider says that the call costs; most say nothing.
    fn cost(&self) -> Option<Usd> {
        None
    }
    /// The usage reported is the output's alone; the input must be counted.
    fn omits_input(&self) -> bool {
        false
    }
}

/// The response side of one dialect: collects what the shape reports.
trait Wire: Default + Visit<Self::Field> + 'static {
    type Field: Copy + 'static;
    const SHAPE: &'static Node<Self::Field>;

    fn head(&mut self, _head: &ResponseHead<'_>) {}
    fn omits_input(&self) -> bool {
        false
    }
    fn answer(&self) -> &Answer;
    fn statements(&self) -> u64;
    fn usage(&self) -> Option<Vec<UsagePart>>;
    /// Most providers state no cost.
    fn cost(&self) -> Option<Usd> {
        None
    }
}

struct Reader<W: Wire> {
    documents: Documents<W::Field>,
    wire: W,
}

impl<W: Wire> Reader<W> {
    fn boxed() -> Box<dyn ResponseReader> {
        Box::new(Self { documents: Documents::new(W::SHAPE), wire: W::default() })
    }

    /// A reader for documents of this shape, in envelopes where they are streamed.
    fn enveloped(shape: &'static Node<W::Field>) -> Self {
        Self { documents: Documents::enveloped(shape), wire: W::default() }
    }
}

impl<W: Wire> ResponseReader for Reader<W> {
    fn head(&mut self, head: &ResponseHead<'_>) {
        self.wire.head(head);
    }

    fn omits_input(&self) -> bool {
        self.wire.omits_input()
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.documents.feed(bytes, &mut self.wire);
    }

    fn end(&mut self) -> Wellformedness {
        self.documents.end(&mut self.wire)
    }

    fn answer(&self) -> &Answer {
        self.wire.answer()
    }

    fn statements(&self) -> u64 {
        self.wire.statements()
    }

    fn usage(&self) -> Option<Vec<UsagePart>> {
        self.wire.usage()
    }

    fn cost(&self) -> Option<Usd> {
        self.wire.cost()
    }
}

/// A leaf of a shape whose value is reported whole.
const fn value<F>(key: &'static str, field: F) -> Node<F> {
    Node { key, field, take: crate::frame::json::Take::Value, fields: &[] }
}

/// A leaf of a shape whose string is reported in fragments.
const fn text<F>(key: &'static str, field: F) -> Node<F> {
    Node { key, field, take: crate::frame::json::Take::Text, fields: &[] }
}

/// A place of a shape that leads to others.
const fn path<F>(key: &'static str, field: F, fields: &'static [Node<F>]) -> Node<F> {
    Node { key, field, take: crate::frame::json::Take::Path, fields }
}

/// A place of a shape whose opening and closing is reported.
const fn object<F>(key: &'static str, field: F, fields: &'static [Node<F>]) -> Node<F> {
    Node { key, field, take: crate::frame::json::Take::Object, fields }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::{Lookup, PriceBook, Terms};
    use crate::time::Timestamp;

    #[test]
    fn only_the_data_residency_hosts_have_a_region() {
        for (host, region) in [
            ("eu.api.openai.com", Some("eu")),
            ("US.api.openai.com:443", Some("us")),
            ("api.openai.com", None),
            ("eu.api.openai.com.evil.example", None),
            ("xx.api.openai.com", None),
        ] {
            assert_eq!(region_of_host(host), region, "{host}");
        }
    }

    #[test]
    fn a_host_is_its_providers_or_a_subdomain_of_it() {
        for (host, provider) in [
            ("api.cerebras.ai:443", Some("cerebras")),
            ("made-up.openai.azure.com", Some("azure.ai.openai")),
            ("bedrock-runtime.eu-central-1.amazonaws.com", Some("aws.bedrock")),
            ("vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com:443", Some("aws.bedrock")),
            ("bedrock-mantle.us-east-1.api.aws", Some("aws.bedrock")),
            ("bedrock-runtime.us-east-1.amazonaws.com.evil.example", None),
            ("us-east5-aiplatform.googleapis.com", Some("gcp.vertex_ai")),
            ("aiplatform.eu.rep.googleapis.com", Some("gcp.vertex_ai")),
            ("notapi.openai.com", None),
            ("llm.internal", None),
            ("europe-west4-aiplatform.googleapis.com", Some("gcp.vertex_ai")),
            ("aiplatform.eu.rep.googleapis.com", Some("gcp.vertex_ai")),
            ("aiplatform.googleapis.com", Some("gcp.vertex_ai")),
            ("notaiplatform.googleapis.com", None),
            ("api.voyageai.com", Some("voyageai")),
        ] {
            assert_eq!(provider_of_host(host), provider, "{host}");
        }
    }

    #[test]
    fn a_model_that_several_providers_serve_is_priced_at_the_one_that_is_asked() {
        let price = |provider| {
            let lookup = Lookup { provider, model: "gpt-oss-120b", at: Timestamp::default(), terms: Terms::default() };
            PriceBook::builtin().quote(&lookup).map(|quote| quote.provider().map(str::to_owned))
        };
        assert_eq!(price(provider_of_host("api.cerebras.ai")), Ok(Some("cerebras".to_owned())));
    }
}
