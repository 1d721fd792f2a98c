//! Which endpoint a request's path names, and what else the path says.
//!
//! Paths end alike whatever a gateway or a cloud puts in front of them (`/openai/deployments/D/...`), so only their
//! ends are looked at. Some clouds put the model and the wish for a stream into the path instead of the body.
//! Invariants: only requests that create something billed have an endpoint; a percent-encoded spelling of a path is
//! the path.
//! Must not know: hosts, bodies.

use super::{Dialect, Operation};
use std::borrow::Cow;

/// An endpoint that creates something billed, as its path names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// The wire format.
    pub(super) dialect: Dialect,
    /// What a call does there.
    pub(super) operation: Operation,
    /// The model, where the path names it.
    pub(super) model: Option<String>,
    /// Whether the answer is streamed, where the path tells.
    pub(super) stream: Option<bool>,
}

impl Endpoint {
    /// The endpoint of a request; `None` for all traffic that creates nothing billed.
    pub(super) fn of(method: &str, path: &str) -> Option<Self> {
        if !method.eq_ignore_ascii_case("POST") {
            return None;
        }
        let path = path.split(['?', '#']).next().unwrap_or(path).trim_end_matches('/');
        let path = decoded(path);
        google(&path).or_else(|| by_ending(&path))
    }
}

/// Endpoints whose body says everything else. The first ending that fits counts.
const ENDINGS: [(&str, Dialect, Operation); 24] = [
    ("/chat/completions", Dialect::OpenaiChat, Operation::Chat),
    ("/v1/responses", Dialect::OpenaiResponses, Operation::Chat),
    ("/v1/responses/compact", Dialect::OpenaiResponses, Operation::Chat),
    ("/openai/responses", Dialect::OpenaiResponses, Operation::Chat),
    ("/v1/messages", Dialect::AnthropicMessages, Operation::Chat),
    ("/v1beta/interactions", Dialect::GeminiInteractions, Operation::GenerateContent),
    ("/v1alpha/interactions", Dialect::GeminiInteractions, Operation::GenerateContent),
    ("/locations/global/interactions", Dialect::GeminiInteractions, Operation::GenerateContent),
    ("/v2/chat", Dialect::CohereChat, Operation::Chat),
    ("/v1/chat", Dialect::CohereChatV1, Operation::Chat),
    ("/v2/embed", Dialect::CohereRetrieval, Operation::Embeddings),
    ("/v1/embed", Dialect::CohereRetrieval, Operation::Embeddings),
    ("/v2/rerank", Dialect::CohereRetrieval, Operation::Rerank),
    ("/v1/rerank", Dialect::CohereRetrieval, Operation::Rerank),
    ("/api/chat", Dialect::Ollama, Operation::Chat),
    ("/api/generate", Dialect::Ollama, Operation::TextCompletion),
    ("/api/embed", Dialect::OllamaEmbed, Operation::Embeddings),
    // Older, and without counts.
    ("/api/embeddings", Dialect::OllamaEmbed, Operation::Embeddings),
    // Voyage's other endpoints answer like its embeddings.
    ("/v1/multimodalembeddings", Dialect::OpenaiEmbeddings, Operation::Embeddings),
    ("/v1/contextualizedembeddings", Dialect::OpenaiEmbeddings, Operation::Embeddings),
    ("/v1/embeddings", Dialect::OpenaiEmbeddings, Operation::Embeddings),
    ("/openai/embeddings", Dialect::OpenaiEmbeddings, Operation::Embeddings),
    ("/models/embeddings", Dialect::OpenaiEmbeddings, Operation::Embeddings),
    // What is left: `/openai/deployments/D/embeddings`.
    ("/embeddings", Dialect::OpenaiEmbeddings, Operation::Embeddings),
];

fn by_ending(path: &str) -> Option<Endpoint> {
    let found = ENDINGS.iter().find(|(ending, _, _)| path.ends_with(ending))?;
    let (_, dialect, operation) = *found;
    Some(Endpoint { dialect, operation, model: None, stream: None })
}

/// Google's custom methods: `.../models/M:generateContent`. Counting tokens is one too, but free.
fn google(path: &str) -> Option<Endpoint> {
    let (_, last) = path.rsplit_once('/')?;
    let (model, method) = last.rsplit_once(':')?;
    let generates = |stream| (Dialect::Gemini, Operation::GenerateContent, stream);
    let embeds = (Dialect::GeminiEmbeddings, Operation::Embeddings, false);
    let (dialect, operation, stream) = match method {
        "generateContent" => generates(false),
        "streamGenerateContent" => generates(true),
        "embedContent" | "batchEmbedContents" => embeds,
        // Vertex predicts anything at all; only embeddings state tokens.
        "predict" if model.contains("embedding") => embeds,
        _ => return None,
    };
    let model = (!model.is_empty()).then(|| model.to_owned());
    Some(Endpoint { dialect, operation, model, stream: Some(stream) })
}

/// The path without percent-encoding; as it is where that leaves no text.
fn decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let encoded = after.split_at_checked(2).filter(|_| byte == b'%').and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        let (byte, after) = encoded.unwrap_or((byte, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(path), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paths_end_tells_the_dialect_and_only_posts_are_calls() {
        for (method, path, dialect) in [
            ("POST", "/v1/chat/completions", Some(Dialect::OpenaiChat)),
            ("post", "/openai/deployments/d/chat/completions?api-version=1", Some(Dialect::OpenaiChat)),
            ("POST", "/v1beta/openai/chat/completions", Some(Dialect::OpenaiChat)),
            ("POST", "/v1/chat%2Fcompletions", Some(Dialect::OpenaiChat)),
            ("POST", "/v1/responses/", Some(Dialect::OpenaiResponses)),
            ("POST", "/v1/responses/compact", Some(Dialect::OpenaiResponses)),
            ("POST", "/v1/messages?beta=true", Some(Dialect::AnthropicMessages)),
            ("POST", "/v1beta/interactions", Some(Dialect::GeminiInteractions)),
            ("POST", "/v2/chat", Some(Dialect::CohereChat)),
            ("POST", "/v1/chat", Some(Dialect::CohereChatV1)),
            ("POST", "/api/chat", Some(Dialect::Ollama)),
            ("POST", "/api/embeddings", Some(Dialect::OllamaEmbed)),
            ("POST", "/openai/deployments/d/embeddings?api-version=1", Some(Dialect::OpenaiEmbeddings)),
            ("POST", "/v1/messages/count_tokens", None),
            ("POST", "/v1/messages/batches", None),
            ("POST", "/v1/responses/resp_1/cancel", None),
            ("POST", "/v1beta/interactions/v1_1/cancel", None),
            ("POST", "/v1beta/models/gemini-2.5-flash:countTokens", None),
            ("GET", "/v1beta/models/gemini-2.5-flash:generateContent", None),
            ("POST", "/v1/projects/p/locations/l/publishers/google/models/imagen-4.0-generate-001:predict", None),
            ("GET", "/v1/chat/completions", None),
            ("POST", "/%", None),
            ("POST", "/v1/chat%ff", None),
        ] {
            assert_eq!(Endpoint::of(method, path).map(|it| it.dialect), dialect, "{method} {path}");
        }
    }

    #[test]
    fn googles_paths_name_the_model_and_whether_it_streams() {
        for (path, operation, model, stream) in [
            ("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "generate_content", "gemini-2.5-pro", true),
            (
                "/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-pro%3AgenerateContent",
                "generate_content",
                "gemini-2.5-pro",
                false,
            ),
            ("/v1beta/models/gemini-embedding-001:batchEmbedContents", "embeddings", "gemini-embedding-001", false),
            ("/v1/publishers/google/models/text-embedding-005:predict", "embeddings", "text-embedding-005", false),
        ] {
            let endpoint = Endpoint::of("POST", path).unwrap();
            assert_eq!(endpoint.operation.name(), operation, "{path}");
            assert_eq!((endpoint.model.as_deref(), endpoint.stream), (Some(model), Some(stream)), "{path}");
        }
    }
}
