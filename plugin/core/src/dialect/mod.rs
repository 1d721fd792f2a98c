//! Wire formats: which dialect a call speaks, what its request asks for, what its response reports.
//!
//! One file per dialect holds both directions. A request is read whole and borrowed from; a response is read in
//! pieces through a shape. What a provider means by its counts is settled here, once: everything behind this
//! module sees disjoint buckets.
//! Must not know: prices, limits, gateways.

mod answer;
mod anthropic;
mod batch;
mod bedrock_converse;
mod bedrock_invoke;
mod blocks;
mod cohere;
mod embeddings;
mod form;
mod gemini;
mod gemini_interactions;
mod google;
mod include_usage;
mod limits;
mod medium;
mod needs;
mod nested;
pub(crate) mod object;
mod ollama;
mod openai;
mod openai_audio;
mod openai_chat;
mod openai_completions;
mod openai_images;
mod openai_responses;
mod output_maximum;
mod path;
mod provider;
mod reader;
mod request;
mod route;
mod shape;
mod splice;
mod stored;
mod tool_text;

pub use answer::{Answer, Delivered, ProviderError, UsagePart};
pub use batch::Layout;
pub(crate) use path::normalised as normalised_path;
pub use reader::ResponseReader;
pub use request::{Request, RequestError};
pub use route::{Evidence, Operation, Route};
pub use stored::{Role, Stored, StoredKind};

use crate::frame::raw::Raw;
use crate::prompt::{Element, Kind, Piece};
use answer::note;
use object::Form;
use reader::{Reader, Wire, object, path, text, value};
use request::{ELEMENTS_MAX, collect, gather};
use std::borrow::Cow;

/// How a model reads the tools it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ToolText {
    /// As TypeScript in a namespace: OpenAI's models.
    Namespace,
    /// As the JSON that declares them.
    Json,
}

impl ToolText {
    /// What stands around all tools.
    #[must_use]
    pub const fn around(self) -> &'static str {
        match self {
            Self::Namespace => tool_text::NAMESPACE,
            Self::Json => "",
        }
    }

    fn of(self, tool: Raw<'_>) -> Cow<'_, str> {
        match self {
            Self::Namespace => tool_text::render(tool),
            // OpenAI's imitators put the declaration itself before the model.
            Self::Json => Cow::Borrowed(object::member(tool.get(), "function").unwrap_or(tool).get()),
        }
    }
}

/// The most searches that a tool's definition lets the provider run and bill: none for tools that the caller runs,
/// `None` where the definition sets no bound (`max_uses`).
#[must_use]
pub fn searches_of(tool: &Element<'_>) -> Option<u64> {
    let definition = tool.raw.get();
    let is_search = |kind: &str| kind.starts_with("web_search") || kind.starts_with("google_search");
    let kind = object::member(definition, "type").and_then(object::string);
    // Google names a tool of its own by a member: `{"google_search": {}}`.
    let is_googles = || {
        ["google_search", "googleSearch", "google_search_retrieval"]
            .iter()
            .any(|name| object::member(definition, name).is_some())
    };
    match kind.as_deref() {
        Some(kind) if !is_search(kind) => Some(0),
        None if !is_googles() => Some(0),
        _ => object::count(object::member(definition, "max_uses")?),
    }
}

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
    /// OpenAI Images, `/v1/images/generations`, `/edits` and `/variations`.
    OpenaiImages,
    /// OpenAI Audio, `/v1/audio/transcriptions`, `/translations` and `/speech`, and its imitators.
    OpenaiAudio,
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
    /// Batches, which are asked for once and told later.
    Batch(Layout),
}

/// Reads a request's body into what it means.
type ReadRequest = for<'b> fn(&'b str, &mut Request<'b>) -> Form;
/// Shows everything in an element that consumes tokens.
type ReadElement = for<'b> fn(&Element<'b>, &mut dyn FnMut(Piece<'b>));

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 24] = [
        Self::OpenaiChat,
        Self::OpenaiResponses,
        Self::AnthropicMessages,
        Self::BedrockConverse,
        Self::BedrockInvoke,
        Self::OpenaiCompletions,
        Self::OpenaiEmbeddings,
        Self::OpenaiImages,
        Self::OpenaiAudio,
        Self::Gemini,
        Self::GeminiEmbeddings,
        Self::GeminiInteractions,
        Self::CohereChat,
        Self::CohereChatV1,
        Self::CohereRetrieval,
        Self::Ollama,
        Self::OllamaEmbed,
        Self::Batch(Layout::Anthropic),
        Self::Batch(Layout::Gemini),
        Self::Batch(Layout::GeminiFile),
        Self::Batch(Layout::Mistral),
        Self::Batch(Layout::Openai),
        Self::Batch(Layout::OpenaiFile),
        Self::Batch(Layout::Xai),
    ];

    /// The dialects that a route can be said to speak; what comes back for a batch is known by its path alone.
    pub fn configurable() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|dialect| !matches!(dialect, Self::Batch(_)))
    }

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
            Self::OpenaiImages => "openai_images",
            Self::OpenaiAudio => "openai_audio",
            Self::Gemini => "gemini",
            Self::GeminiEmbeddings => "gemini_embeddings",
            Self::GeminiInteractions => "gemini_interactions",
            Self::CohereChat => "cohere_chat",
            Self::CohereChatV1 => "cohere_chat_v1",
            Self::CohereRetrieval => "cohere_retrieval",
            Self::Ollama => "ollama",
            Self::OllamaEmbed => "ollama_embed",
            Self::Batch(layout) => layout.name(),
        }
    }

    /// The provider that defined the dialect; said of a call when nothing else tells.
    #[must_use]
    pub const fn default_provider(self) -> &'static str {
        match self {
            Self::OpenaiChat
            | Self::OpenaiResponses
            | Self::OpenaiCompletions
            | Self::OpenaiEmbeddings
            | Self::OpenaiImages
            | Self::OpenaiAudio
            | Self::Batch(Layout::Openai | Layout::OpenaiFile) => "openai",
            Self::AnthropicMessages | Self::Batch(Layout::Anthropic) => "anthropic",
            Self::Batch(Layout::Mistral) => "mistral_ai",
            Self::Batch(Layout::Xai) => "x_ai",
            Self::BedrockConverse | Self::BedrockInvoke => "aws.bedrock",
            Self::Gemini
            | Self::GeminiEmbeddings
            | Self::GeminiInteractions
            | Self::Batch(Layout::Gemini | Layout::GeminiFile) => "gcp.gemini",
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
            Self::OpenaiImages => Operation::ImageGeneration,
            Self::OpenaiAudio => Operation::SpeechToText,
            Self::Batch(_) => Operation::Retrieve,
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
        if form::is_form(body)
            && let Some(read_form) = self.form_reader()
        {
            let mut request = Request::default();
            return if read_form(body, &mut request) { Ok(request) } else { Err(RequestError::NotAForm) };
        }
        let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        // What is found fast does not say where it was found.
        let json = simdutf8::basic::from_utf8(body).or_else(|_| std::str::from_utf8(body));
        let json = json.map_err(|error| RequestError::NotUtf8 { at: error.valid_up_to() })?;
        if json.trim().is_empty() {
            return Err(RequestError::Empty);
        }
        let mut request = Request::default();
        match self.request_reader()(json, &mut request) {
            Form::Object if request.elements.len() >= ELEMENTS_MAX => Err(RequestError::TooManyParts),
            Form::Object => Ok(request),
            Form::Ambiguous => Err(RequestError::AmbiguousNames),
            Form::Other if object::is_json(json) => Err(RequestError::NotAnObject),
            Form::Other => Err(RequestError::NotJson),
        }
    }

    /// How a form is read, in dialects that take files.
    fn form_reader<'a>(self) -> Option<fn(&'a [u8], &mut Request<'a>) -> bool> {
        match self {
            Self::OpenaiImages => Some(openai_images::read_form),
            Self::OpenaiAudio => Some(openai_audio::read_form),
            _ => None,
        }
    }

    /// Whether the provider keeps answers and tells them again, so that one may be told first to a later request.
    pub(crate) const fn keeps_responses(self) -> bool {
        matches!(self, Self::OpenaiResponses | Self::GeminiInteractions)
    }

    /// Whether output that is no text is paid for, so that counting text would say too little.
    pub(crate) const fn delivers_media(self) -> bool {
        matches!(self, Self::OpenaiImages | Self::OpenaiAudio)
    }

    /// Whether streams in this dialect state usage only when the request asks for it.
    #[must_use]
    pub const fn must_ask_for_usage(self) -> bool {
        matches!(self, Self::OpenaiChat | Self::OpenaiCompletions)
    }

    /// A request that asks for the usage of its stream, otherwise the same byte for byte; `None` where it asks already.
    #[must_use]
    pub fn asking_for_usage(self, body: &[u8]) -> Option<Vec<u8>> {
        include_usage::ask(body)
    }

    /// Calls `piece` with everything in an element that consumes tokens.
    pub fn read_element<'a>(self, element: &Element<'a>, tools: ToolText, piece: &mut dyn FnMut(Piece<'a>)) {
        if element.kind == Kind::Tool {
            piece(Piece::Text(tools.of(element.raw)));
            if !tool_text::is_declared(element.raw) {
                piece(Piece::Unseen);
            }
            return;
        }
        self.element_reader()(element, piece);
    }

    /// Readers are pointers, so that no function holds all dialects: what an engine needs to compile the filter grows with its
    /// largest function.
    const fn request_reader(self) -> ReadRequest {
        match self {
            Self::OpenaiChat => openai_chat::read_request,
            Self::OpenaiResponses => openai_responses::read_request,
            Self::AnthropicMessages => anthropic::read_request,
            Self::BedrockConverse => bedrock_converse::read_request,
            Self::BedrockInvoke => bedrock_invoke::read_request,
            Self::OpenaiCompletions => openai_completions::read_request,
            Self::Gemini => gemini::read_request,
            Self::GeminiEmbeddings => gemini::read_embedding_request,
            Self::GeminiInteractions => gemini_interactions::read_request,
            Self::CohereChat => cohere::read_request,
            Self::CohereChatV1 => cohere::read_request_v1,
            Self::Ollama => ollama::read_request,
            Self::OpenaiEmbeddings | Self::CohereRetrieval | Self::OllamaEmbed => embeddings::read_request,
            Self::OpenaiImages => openai_images::read_request,
            Self::OpenaiAudio => openai_audio::read_request,
            // What a batch asks for is counted when it is told.
            Self::Batch(_) => |json, _| object::whole_fields(json, |_, _| {}),
        }
    }

    const fn element_reader(self) -> ReadElement {
        match self {
            Self::OpenaiChat => openai_chat::read_element,
            Self::OpenaiResponses => openai_responses::read_element,
            Self::AnthropicMessages => anthropic::read_element,
            Self::BedrockConverse => bedrock_converse::read_element,
            Self::BedrockInvoke => bedrock_invoke::read_element,
            Self::OpenaiCompletions => openai_completions::read_element,
            Self::Gemini | Self::GeminiEmbeddings => gemini::read_element,
            Self::GeminiInteractions => gemini_interactions::read_element,
            Self::CohereChat | Self::CohereChatV1 => cohere::read_element,
            Self::Ollama => ollama::read_element,
            Self::OpenaiEmbeddings
            | Self::OpenaiImages
            | Self::OpenaiAudio
            | Self::CohereRetrieval
            | Self::OllamaEmbed
            | Self::Batch(_) => embeddings::read_element,
        }
    }

    /// Whether a chat template puts messages and tools together; otherwise texts are read as they are.
    #[must_use]
    pub const fn has_chat_template(self) -> bool {
        matches!(self.operation(), Operation::Chat | Operation::GenerateContent)
    }

    /// Whether the request marks what is to be cached.
    #[must_use]
    pub const fn marks_cache(self) -> bool {
        matches!(self, Self::AnthropicMessages | Self::BedrockConverse)
    }

    /// The body of a refusal, in the shape in which the provider states its own errors.
    #[must_use]
    pub fn error_body(self, kind: &str, code: &str, message: &str) -> String {
        let body = match self {
            Self::OpenaiChat
            | Self::OpenaiResponses
            | Self::OpenaiCompletions
            | Self::OpenaiEmbeddings
            | Self::OpenaiImages
            | Self::OpenaiAudio
            | Self::Batch(Layout::Openai | Layout::OpenaiFile | Layout::Mistral | Layout::Xai) => {
                serde_json::json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
            }
            Self::AnthropicMessages | Self::Batch(Layout::Anthropic) => {
                serde_json::json!({"type": "error", "error": {"type": kind, "message": message}})
            }
            Self::BedrockConverse | Self::BedrockInvoke => {
                serde_json::json!({"__type": amazon_error(kind), "message": message})
            }
            Self::Gemini
            | Self::GeminiEmbeddings
            | Self::GeminiInteractions
            | Self::Batch(Layout::Gemini | Layout::GeminiFile) => {
                let (status, name) = match kind {
                    "rate_limit_error" => (429, "RESOURCE_EXHAUSTED"),
                    "billing_error" => (402, "RESOURCE_EXHAUSTED"),
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
            Self::OpenaiImages => Reader::<openai_images::Response>::boxed(),
            Self::OpenaiAudio => Reader::<openai_audio::Response>::boxed(),
            Self::Batch(layout) => batch::Response::boxed(layout),
        }
    }
}

/// Amazon's name for an error.
fn amazon_error(kind: &str) -> &'static str {
    match kind {
        "rate_limit_error" => "ThrottlingException",
        "billing_error" => "ServiceQuotaExceededException",
        "api_error" => "ServiceUnavailableException",
        _ => "ValidationException",
    }
}
