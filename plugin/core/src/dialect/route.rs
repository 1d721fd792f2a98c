//! Where a call goes: its dialect, what it does, and whose models answer, as far as the head of the request tells.
//!
//! Must not know: bodies, prices.

use super::path::Endpoint;
use super::provider::{provider_of_host, region_of_host};
use super::{Dialect, Request, RequestError};
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
