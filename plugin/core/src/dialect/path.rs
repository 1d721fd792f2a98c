//! Which endpoint a request's path names, and what else the path says.
//!
//! Paths end alike whatever a gateway or a cloud puts in front of them (`/openai/deployments/D/...`), so only their
//! ends are looked at. Some clouds put the model and the wish for a stream into the path instead of the body.
//! Invariants: only requests that create something billed have an endpoint; a percent-encoded spelling of a path is
//! the path.
//! Must not know: hosts, bodies.

use super::{Dialect, Operation};
use crate::head::percent_decoded;

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
    /// The provider that alone has such paths.
    pub(super) provider: Option<&'static str>,
}

impl Endpoint {
    /// The endpoint of a request; `None` for all traffic that creates nothing billed.
    pub(super) fn of(method: &str, path: &str) -> Option<Self> {
        if !method.eq_ignore_ascii_case("POST") {
            return None;
        }
        let path = path.split(['?', '#']).next().unwrap_or(path).trim_end_matches('/');
        let path = percent_decoded(path);
        google(&path).or_else(|| by_ending(&path)).or_else(|| with_model(&path))
    }
}

/// Endpoints whose body says everything else. The first ending that fits counts.
const ENDINGS: [(&str, Dialect, Operation); 25] = [
    ("/chat/completions", Dialect::OpenaiChat, Operation::Chat),
    // Not `/completions` alone: searches and forms have such paths too, and must pass untouched.
    ("/v1/completions", Dialect::OpenaiCompletions, Operation::TextCompletion),
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
    Some(Endpoint { dialect, operation, model: None, stream: None, provider: None })
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
    Some(Endpoint { dialect, operation, model, stream: Some(stream), provider: None })
}

/// Paths that hold the model between two fixed parts, the second at the end.
struct WithModel {
    before: &'static str,
    after: &'static str,
    dialect: Dialect,
    stream: Option<bool>,
    provider: &'static str,
}

const BEDROCK: &str = "/model/";
const VERTEX_ANTHROPIC: &str = "/publishers/anthropic/models/";

const WITH_MODEL: [WithModel; 6] = [
    bedrock("/converse", Dialect::BedrockConverse, false),
    bedrock("/converse-stream", Dialect::BedrockConverse, true),
    bedrock("/invoke", Dialect::BedrockInvoke, false),
    bedrock("/invoke-with-response-stream", Dialect::BedrockInvoke, true),
    vertex_anthropic(":rawPredict", None),
    vertex_anthropic(":streamRawPredict", Some(true)),
];

const fn bedrock(after: &'static str, dialect: Dialect, stream: bool) -> WithModel {
    WithModel { before: BEDROCK, after, dialect, stream: Some(stream), provider: "aws.bedrock" }
}

const fn vertex_anthropic(after: &'static str, stream: Option<bool>) -> WithModel {
    let (before, dialect) = (VERTEX_ANTHROPIC, Dialect::AnthropicMessages);
    WithModel { before, after, dialect, stream, provider: "gcp.vertex_ai" }
}

/// What stands in a model's place on Vertex for a request that only counts tokens, which is free.
const NO_MODELS: [&str; 1] = ["count-tokens"];

/// Endpoints that name the model between two fixed parts.
fn with_model(path: &str) -> Option<Endpoint> {
    WITH_MODEL.into_iter().find_map(|row| {
        let (_, model) = path.strip_suffix(row.after)?.rsplit_once(row.before)?;
        let is_model = !model.is_empty() && !NO_MODELS.contains(&model);
        is_model.then(|| Endpoint {
            dialect: row.dialect,
            operation: row.dialect.operation(),
            model: Some(model.to_owned()),
            stream: row.stream,
            provider: Some(row.provider),
        })
    })
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
            ("POST", "/v1/completions", Some(Dialect::OpenaiCompletions)),
            ("POST", "/search/completions", None),
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

    #[test]
    fn a_path_with_a_model_tells_it_decoded_and_whether_it_streams() {
        let (converse, invoke) = (Dialect::BedrockConverse, Dialect::BedrockInvoke);
        let vertex = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x@20260801";
        for (path, dialect, model, stream) in [
            (
                "/model/us.amazon.nova-lite-v1%3A0/converse".to_owned(),
                converse,
                "us.amazon.nova-lite-v1:0",
                Some(false),
            ),
            (
                "/aws/model/amazon.nova-lite-v1:0/converse-stream/".to_owned(),
                converse,
                "amazon.nova-lite-v1:0",
                Some(true),
            ),
            ("/model/a%2fb%zz%4/invoke?x=/converse".to_owned(), invoke, "a/b%zz%4", Some(false)),
            (
                "/model/arn:aws:bedrock:r:1:p/x/invoke-with-response-stream".to_owned(),
                invoke,
                "arn:aws:bedrock:r:1:p/x",
                Some(true),
            ),
            (format!("{vertex}:rawPredict"), Dialect::AnthropicMessages, "claude-x@20260801", None),
            (format!("{vertex}:streamRawPredict"), Dialect::AnthropicMessages, "claude-x@20260801", Some(true)),
        ] {
            let found = Endpoint::of("POST", &path).map(|found| (found.dialect, found.model, found.stream));
            assert_eq!(found, Some((dialect, Some(model.to_owned()), stream)), "{path}");
        }
    }
}
