//! Where a call goes: its dialect, what it does, and whose models answer, as far as the head of the request tells.
//!
//! Must not know: prices, what fields of a body mean.

use super::path::{Endpoint, fallback_model, is_free, is_live};
use super::provider::{port_of, provider_of_host, region_of_host};
use super::shape::{self, Shape};
use super::stored;
use super::{Dialect, Request, RequestError, Role};
use crate::head::{Headers, RequestHead};
use std::borrow::Cow;

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
    /// Pictures; OTel has no name for it yet.
    ImageGeneration,
    /// Words for a recording; OTel has no name for it yet.
    SpeechToText,
    /// A recording for words; OTel has no name for it yet.
    TextToSpeech,
    /// Being told what was created before; OTel has no name for it yet.
    Retrieve,
}

/// What shows that a request is a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Its head: nothing else is sent there, or like this.
    Head,
    /// Other requests have such heads too, so its body must look like one of the dialect.
    Body,
    /// The head tells no dialect; the body must.
    Shape,
}

/// Where a call goes, as far as its head tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The wire format.
    pub dialect: Dialect,
    /// What the call does.
    pub operation: Operation,
    /// What shows that it is one.
    pub evidence: Evidence,
    /// What it does with what is billed.
    pub role: Role,
    /// The provider (OTel `gen_ai.provider.name`), where the host or the configuration tells.
    pub provider: Option<Cow<'static, str>>,
    /// The region that the host binds inference to, where it does.
    pub region: Option<&'static str>,
    /// The model, where the path names it; it outranks the body.
    pub model: Option<String>,
    /// What path or query name in the place of a model; the body outranks it.
    pub fallback_model: Option<String>,
    /// Whether the answer is streamed, where the path tells; it outranks the body.
    pub stream: Option<bool>,
    /// Whether the usage of streams is asked for, where the operator says so.
    pub include_usage: Option<bool>,
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
            Self::ImageGeneration => "image_generation",
            Self::SpeechToText => "speech_to_text",
            Self::TextToSpeech => "text_to_speech",
            Self::Retrieve => "retrieve",
        }
    }
}

impl Route {
    /// The route of a request by its head; `None` for traffic that is no LLM call.
    #[must_use]
    pub fn detect(head: &RequestHead<'_>) -> Option<Self> {
        let known = provider_of_host(head.host);
        if let Some((dialect, role)) = stored::role(head.method, head.path, known.is_some()) {
            let (provider, operation) = (known.map(Cow::Borrowed), Operation::Retrieve);
            return Some(Self { role, provider, operation, ..Self::of_dialect(dialect, head.host) });
        }
        let Endpoint { dialect, operation, evidence, model, fallback_model, stream, provider } =
            Endpoint::of(head.path)?;
        let is_served_there = known.is_some() || (is_of_ollama(dialect) && port_of(head.host) == Some("11434"));
        let evidence = match evidence {
            // Nothing is created by other methods, unless a server is lenient; then the body tells.
            _ if !head.method.eq_ignore_ascii_case("POST") => Evidence::Body,
            _ if is_served_there || is_from_sdk(&head.headers) => Evidence::Head,
            evidence => evidence,
        };
        let provider = known.or(provider).or(dialect.sole_provider()).map(Cow::Borrowed);
        let region = region_of_host(head.host);
        let (role, include_usage) = (Role::Creates, None);
        Some(Self {
            dialect,
            operation,
            evidence,
            role,
            provider,
            region,
            model,
            fallback_model,
            stream,
            include_usage,
        })
    }

    /// The route of a connection that another protocol takes over, at an endpoint or host of models.
    pub(crate) fn of_upgrade(head: &RequestHead<'_>) -> Option<Self> {
        let known = provider_of_host(head.host);
        let is_live = is_live(head.path) || (head.path.is_empty() && known.is_some());
        let route = Self::detect(head).or_else(|| {
            let is_google = known.is_some_and(|provider| provider.starts_with("gcp."));
            let dialect = if is_google { Dialect::Gemini } else { Dialect::OpenaiResponses };
            is_live.then(|| Self { provider: known.map(Cow::Borrowed), ..Self::of_dialect(dialect, head.host) })
        })?;
        let fallback_model = route.fallback_model.clone().or_else(|| fallback_model(head.path));
        Some(Self { evidence: Evidence::Head, fallback_model, ..route })
    }

    /// The route of a request that an operator's rule names but no path, in the rule's dialect or the body's; `None`
    /// where nothing billed is created.
    pub(crate) fn of_rule(dialect: Option<Dialect>, head: &RequestHead<'_>) -> Option<Self> {
        let is_post = head.method.eq_ignore_ascii_case("POST");
        let evidence = match dialect {
            _ if is_free(head.path) => return None,
            None if !is_post => return None,
            None => Evidence::Shape,
            Some(_) if !is_post => Evidence::Body,
            Some(_) => Evidence::Head,
        };
        let provider = provider_of_host(head.host).map(Cow::Borrowed);
        let route = Self::of_dialect(dialect.unwrap_or(Dialect::OpenaiChat), head.host);
        Some(Self { evidence, provider: provider.or(route.provider.clone()), ..route })
    }

    /// Whether a request body is that of a call; from then on the route is certain.
    pub(crate) fn recognise(&mut self, body: &[u8]) -> bool {
        let json = std::str::from_utf8(body).ok().map(|json| json.trim_start_matches('\u{feff}'));
        let shape = json.and_then(Shape::of);
        let is_call = match (self.evidence, shape) {
            (Evidence::Head, _) => true,
            (Evidence::Body, Some(shape)) => {
                shape.fits(self.dialect, self.model.is_some() || self.fallback_model.is_some())
            }
            (Evidence::Body, None) => shape::may_be(self.dialect, body),
            (Evidence::Shape, None) => false,
            (Evidence::Shape, Some(shape)) => shape.dialect().is_some_and(|dialect| {
                self.dialect = dialect;
                self.operation = dialect.operation();
                true
            }),
        };
        is_call && self.trust()
    }

    /// Takes a request for a call, whatever its body.
    pub(crate) const fn trust(&mut self) -> bool {
        self.evidence = Evidence::Head;
        true
    }

    /// Whether the first bytes of a body rule out that it is a call; `None` while they say nothing.
    pub(crate) fn may_begin(body: &[u8]) -> Option<bool> {
        shape::may_begin(body)
    }

    /// The headers in which the provider looks for the API key, in its order; then those of other providers, for gateways
    /// that take one provider's key and send another's.
    #[must_use]
    pub fn key_headers(&self) -> &'static [&'static str] {
        match (self.provider.as_deref(), self.dialect) {
            (Some("azure.ai.openai" | "azure.ai.inference"), _) => {
                &["api-key", "authorization", "x-api-key", "x-goog-api-key"]
            }
            (Some("gcp.vertex_ai" | "aws.bedrock"), _) => &["authorization", "x-goog-api-key", "x-api-key", "api-key"],
            (_, Dialect::AnthropicMessages) => &["x-api-key", "authorization", "api-key", "x-goog-api-key"],
            (_, Dialect::Gemini | Dialect::GeminiEmbeddings | Dialect::GeminiInteractions) => {
                &["x-goog-api-key", "authorization", "x-api-key", "api-key"]
            }
            _ => &["authorization", "x-api-key", "api-key", "x-goog-api-key"],
        }
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
        let owned = |model: &Option<String>| model.clone().map(Cow::Owned);
        request.model = owned(&self.model).or(request.model).or_else(|| owned(&self.fallback_model));
        request.stream = self.stream.unwrap_or(request.stream);
        request
    }

    /// The route of a request that is known to speak a dialect, whatever its path.
    pub(crate) fn of_dialect(dialect: Dialect, host: &str) -> Self {
        Self {
            dialect,
            operation: dialect.operation(),
            evidence: Evidence::Head,
            role: Role::Creates,
            provider: dialect.sole_provider().map(Cow::Borrowed),
            region: region_of_host(host),
            model: None,
            fallback_model: None,
            stream: None,
            include_usage: None,
        }
    }
}

const fn is_of_ollama(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Ollama | Dialect::OllamaEmbed)
}

/// Whether a client library of a provider, or one like it, made the request. No other client sends these headers.
fn is_from_sdk(headers: &Headers<'_>) -> bool {
    const OWN: [&str; 6] = [
        "x-stainless-lang",
        "anthropic-version",
        "openai-organization",
        "openai-project",
        "openai-beta",
        "x-goog-api-key",
    ];
    OWN.iter().any(|name| headers.get(name).is_some())
}
