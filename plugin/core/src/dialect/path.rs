//! Which endpoint a request's path names, and what else the path says.
//!
//! Paths end alike whatever a gateway or a cloud puts in front of them (`/openai/deployments/D/...`), so only their
//! ends are looked at. Some clouds put the model and the wish for a stream into the path instead of the body.
//! Invariants: only requests that create something billed have an endpoint; every spelling that servers take for a
//! path is that path (case, percent-encoding, doubled slashes, dots, `;parameters`).
//! Must not know: hosts, bodies.

use super::{Dialect, Evidence, Operation};
use crate::head::percent_decoded;
use std::borrow::Cow;

/// An endpoint that creates something billed, as its path names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// The wire format.
    pub(super) dialect: Dialect,
    /// What a call does there.
    pub(super) operation: Operation,
    /// Whether the path alone shows that a request is a call.
    pub(super) evidence: Evidence,
    /// The model, where the path names it.
    pub(super) model: Option<String>,
    /// What the path or the query names in the place of a model that the body leaves out.
    pub(super) fallback_model: Option<String>,
    /// Whether the answer is streamed, where the path tells.
    pub(super) stream: Option<bool>,
    /// The provider that alone has such paths.
    pub(super) provider: Option<&'static str>,
}

impl Endpoint {
    /// The endpoint that a path names; `None` for all paths where nothing billed is created.
    pub(super) fn of(path: &str) -> Option<Self> {
        let clean = normalised(path);
        let found = google(&clean).or_else(|| by_ending(&clean)).or_else(|| with_model(&clean))?;
        let fallback_model = if found.model.is_some() { None } else { fallback_model(path) };
        Some(Self { fallback_model, ..found })
    }

    const fn new(dialect: Dialect, operation: Operation, evidence: Evidence) -> Self {
        Self { dialect, operation, evidence, model: None, fallback_model: None, stream: None, provider: None }
    }
}

/// Endpoints that are free, whatever a configured route says of the paths around them.
pub(super) fn is_free(path: &str) -> bool {
    const FREE: [&str; 13] = [
        "/count_tokens",
        "/count-tokens:rawpredict",
        ":counttokens",
        ":computetokens",
        "/input_tokens",
        "/tokenize",
        "/detokenize",
        "/moderations",
        "/batches",
        "/files",
        "/uploads",
        "/cancel",
        "/models",
    ];
    let path = normalised(path);
    FREE.iter().any(|ending| ends_with(&path, ending))
}

/// Where a connection is taken over by another protocol that speaks to a model.
pub(super) fn is_live(path: &str) -> bool {
    let path = normalised(path);
    ends_with(&path, "/realtime") || ends_with(&path, "bidigeneratecontent")
}

use Evidence::{Body, Head};

/// Endpoints whose body says everything else. The first ending that fits counts.
const ENDINGS: [(&str, Dialect, Operation, Evidence); 31] = [
    ("/chat/completions", Dialect::OpenaiChat, Operation::Chat, Head),
    // Searches and forms have such paths too.
    ("/completions", Dialect::OpenaiCompletions, Operation::TextCompletion, Body),
    ("/v1/responses", Dialect::OpenaiResponses, Operation::Chat, Body),
    ("/v1/responses/compact", Dialect::OpenaiResponses, Operation::Chat, Head),
    ("/openai/responses", Dialect::OpenaiResponses, Operation::Chat, Head),
    ("/v1/messages", Dialect::AnthropicMessages, Operation::Chat, Body),
    ("/anthropic/messages", Dialect::AnthropicMessages, Operation::Chat, Head),
    ("/v1beta/interactions", Dialect::GeminiInteractions, Operation::GenerateContent, Head),
    ("/v1alpha/interactions", Dialect::GeminiInteractions, Operation::GenerateContent, Head),
    ("/locations/global/interactions", Dialect::GeminiInteractions, Operation::GenerateContent, Head),
    ("/v2/chat", Dialect::CohereChat, Operation::Chat, Body),
    ("/v1/chat", Dialect::CohereChatV1, Operation::Chat, Body),
    ("/v2/embed", Dialect::CohereRetrieval, Operation::Embeddings, Body),
    ("/v1/embed", Dialect::CohereRetrieval, Operation::Embeddings, Body),
    ("/v2/rerank", Dialect::CohereRetrieval, Operation::Rerank, Body),
    ("/v1/rerank", Dialect::CohereRetrieval, Operation::Rerank, Body),
    ("/api/chat", Dialect::Ollama, Operation::Chat, Body),
    ("/api/generate", Dialect::Ollama, Operation::TextCompletion, Body),
    ("/api/embed", Dialect::OllamaEmbed, Operation::Embeddings, Body),
    // Older, and without counts.
    ("/api/embeddings", Dialect::OllamaEmbed, Operation::Embeddings, Body),
    // Voyage's other endpoints answer like its embeddings.
    ("/v1/multimodalembeddings", Dialect::OpenaiEmbeddings, Operation::Embeddings, Head),
    ("/v1/contextualizedembeddings", Dialect::OpenaiEmbeddings, Operation::Embeddings, Head),
    ("/openai/embeddings", Dialect::OpenaiEmbeddings, Operation::Embeddings, Head),
    ("/models/embeddings", Dialect::OpenaiEmbeddings, Operation::Embeddings, Head),
    ("/images/generations", Dialect::OpenaiImages, Operation::ImageGeneration, Head),
    ("/images/edits", Dialect::OpenaiImages, Operation::ImageGeneration, Head),
    ("/images/variations", Dialect::OpenaiImages, Operation::ImageGeneration, Head),
    ("/audio/transcriptions", Dialect::OpenaiAudio, Operation::SpeechToText, Head),
    ("/audio/translations", Dialect::OpenaiAudio, Operation::SpeechToText, Head),
    ("/audio/speech", Dialect::OpenaiAudio, Operation::TextToSpeech, Head),
    // What is left: `/v1/embeddings`, `/openai/deployments/D/embeddings`.
    ("/embeddings", Dialect::OpenaiEmbeddings, Operation::Embeddings, Body),
];

/// Endpoints that some serve without a version or a prefix. With one they would be anybody's.
const WHOLE: [(&str, Dialect, Operation, Evidence); 2] = [
    ("/responses", Dialect::OpenaiResponses, Operation::Chat, Body),
    ("/rerank", Dialect::CohereRetrieval, Operation::Rerank, Body),
];

fn by_ending(path: &str) -> Option<Endpoint> {
    let whole = WHOLE.iter().find(|(whole, ..)| path.eq_ignore_ascii_case(whole));
    let (_, dialect, operation, evidence) =
        whole.or_else(|| ENDINGS.iter().find(|(ending, ..)| ends_with(path, ending)))?;
    Some(Endpoint::new(*dialect, *operation, *evidence))
}

/// Whether a path ends like this, in any case.
fn ends_with(path: &str, ending: &str) -> bool {
    let at = path.len().checked_sub(ending.len());
    at.and_then(|at| path.as_bytes().get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(ending.as_bytes()))
}

/// Google's custom methods: `.../models/M:generateContent`. Counting tokens is one too, but free.
fn google(path: &str) -> Option<Endpoint> {
    let (_, last) = path.rsplit_once('/')?;
    let (model, method) = last.rsplit_once(':')?;
    let generates = |stream| (Dialect::Gemini, Operation::GenerateContent, stream);
    let embeds = (Dialect::GeminiEmbeddings, Operation::Embeddings, false);
    let (dialect, operation, stream) = match method.to_ascii_lowercase().as_str() {
        "generatecontent" => generates(false),
        "streamgeneratecontent" => generates(true),
        "embedcontent" | "batchembedcontents" => embeds,
        // Vertex predicts anything at all; only embeddings state tokens.
        "predict" if model.contains("embedding") => embeds,
        _ => return None,
    };
    let model = (!model.is_empty()).then(|| model.to_owned());
    Some(Endpoint { model, stream: Some(stream), ..Endpoint::new(dialect, operation, Head) })
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
const VERTEX_MISTRAL: &str = "/publishers/mistralai/models/";

const WITH_MODEL: [WithModel; 8] = [
    bedrock("/converse", Dialect::BedrockConverse, false),
    bedrock("/converse-stream", Dialect::BedrockConverse, true),
    bedrock("/invoke", Dialect::BedrockInvoke, false),
    bedrock("/invoke-with-response-stream", Dialect::BedrockInvoke, true),
    vertex(VERTEX_ANTHROPIC, ":rawpredict", Dialect::AnthropicMessages, None),
    vertex(VERTEX_ANTHROPIC, ":streamrawpredict", Dialect::AnthropicMessages, Some(true)),
    vertex(VERTEX_MISTRAL, ":rawpredict", Dialect::OpenaiChat, None),
    vertex(VERTEX_MISTRAL, ":streamrawpredict", Dialect::OpenaiChat, Some(true)),
];

const fn bedrock(after: &'static str, dialect: Dialect, stream: bool) -> WithModel {
    WithModel { before: BEDROCK, after, dialect, stream: Some(stream), provider: "aws.bedrock" }
}

const fn vertex(before: &'static str, after: &'static str, dialect: Dialect, stream: Option<bool>) -> WithModel {
    WithModel { before, after, dialect, stream, provider: "gcp.vertex_ai" }
}

/// What stands in a model's place on Vertex for a request that only counts tokens, which is free.
const NO_MODELS: [&str; 1] = ["count-tokens"];

/// Endpoints that name the model between two fixed parts.
fn with_model(path: &str) -> Option<Endpoint> {
    // Lower case keeps every byte's place.
    let lower = path.to_ascii_lowercase();
    WITH_MODEL.into_iter().find_map(|row| {
        let (before, _) = lower.strip_suffix(row.after)?.rsplit_once(row.before)?;
        let from = before.len().checked_add(row.before.len())?;
        let model = path.get(from..path.len().checked_sub(row.after.len())?)?;
        let is_model = !model.is_empty() && !NO_MODELS.contains(&model);
        // Bedrock's ids have a maker, a version or a whole resource name in them; what has not may be anybody's.
        let is_known = row.dialect != Dialect::BedrockInvoke || model.contains(['.', ':']);
        let evidence = if is_known { Head } else { Body };
        is_model.then(|| Endpoint {
            model: Some(model.to_owned()),
            stream: row.stream,
            provider: Some(row.provider),
            ..Endpoint::new(row.dialect, row.dialect.operation(), evidence)
        })
    })
}

/// What stands in for a model in the path (a deployment of Azure, an engine of old) or the query.
pub(super) fn fallback_model(path: &str) -> Option<String> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let path = normalised(path);
    let mut segments = path.split('/');
    let in_path = segments.find(|segment| ["deployments", "engines"].contains(segment)).and_then(|_| segments.next());
    let asked = || query.split('&').find_map(|pair| pair.strip_prefix("model=")).map(percent_decoded);
    in_path.map(Cow::Borrowed).or_else(asked).filter(|model| !model.is_empty()).map(Cow::into_owned)
}

/// The path as servers understand it: without scheme and host, query, encoding, parameters and detours.
pub(crate) fn normalised(path: &str) -> Cow<'_, str> {
    let absolute = path.split_once("://").filter(|(scheme, _)| scheme.chars().all(char::is_alphanumeric));
    let path = absolute.map_or(path, |(_, rest)| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"));
    let path = path.split(['?', '#']).next().unwrap_or(path);
    if is_plain(path) {
        return Cow::Borrowed(path);
    }
    let path = fully_decoded(path).replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        let segment = segment.split(';').next().unwrap_or(segment).trim_matches([' ', '\t', '\r', '\n', '\0']);
        match segment {
            "" | "." => {}
            ".." => _ = segments.pop(),
            segment => segments.push(segment),
        }
    }
    Cow::Owned(segments.iter().fold(String::new(), |path, segment| path + "/" + segment))
}

/// Whether a path is spelled as most are, so that there is nothing to do.
fn is_plain(path: &str) -> bool {
    let mut before = b'.';
    path.starts_with('/')
        && path.bytes().all(|byte| {
            let is_plain = match byte {
                b'/' | b'.' => before != b'/',
                _ => byte > b' ' && !matches!(byte, b'%' | b';' | b'\\'),
            };
            before = byte;
            is_plain
        })
        && before != b'/'
}

/// Without percent-encoding, also where it was encoded again on the way.
fn fully_decoded(path: &str) -> Cow<'_, str> {
    /// More rounds than any two proxies make.
    const ROUNDS_MAX: usize = 3;
    let mut path = Cow::Borrowed(path);
    for _ in 0..ROUNDS_MAX {
        let Cow::Owned(once) = percent_decoded(&path) else { break };
        path = Cow::Owned(once);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paths_end_tells_the_dialect_and_whether_only_calls_have_such_paths() {
        let (chat, azure) = (Dialect::OpenaiChat, "/openai/deployments/d");
        for (path, found) in [
            ("/v1/chat/completions".to_owned(), Some((chat, Head))),
            (format!("{azure}/chat/completions?api-version=1"), Some((chat, Head))),
            ("/v1beta/openai/chat/completions".to_owned(), Some((chat, Head))),
            ("/v1/projects/p/locations/l/endpoints/openapi/chat/completions".to_owned(), Some((chat, Head))),
            ("/models/chat/completions".to_owned(), Some((chat, Head))),
            ("/v1/completions".to_owned(), Some((Dialect::OpenaiCompletions, Body))),
            ("/search/completions".to_owned(), Some((Dialect::OpenaiCompletions, Body))),
            ("/v1/responses/".to_owned(), Some((Dialect::OpenaiResponses, Body))),
            ("/responses".to_owned(), Some((Dialect::OpenaiResponses, Body))),
            ("/surveys/7/responses".to_owned(), None),
            ("/v1/responses/compact".to_owned(), Some((Dialect::OpenaiResponses, Head))),
            ("/v1/messages?beta=true".to_owned(), Some((Dialect::AnthropicMessages, Body))),
            ("/anthropic/v1/messages".to_owned(), Some((Dialect::AnthropicMessages, Body))),
            ("/v1beta/interactions".to_owned(), Some((Dialect::GeminiInteractions, Head))),
            ("/v2/chat".to_owned(), Some((Dialect::CohereChat, Body))),
            ("/v1/chat".to_owned(), Some((Dialect::CohereChatV1, Body))),
            ("/api/chat".to_owned(), Some((Dialect::Ollama, Body))),
            ("/api/embeddings".to_owned(), Some((Dialect::OllamaEmbed, Body))),
            (format!("{azure}/embeddings?api-version=1"), Some((Dialect::OpenaiEmbeddings, Body))),
            ("/v1/images/generations".to_owned(), Some((Dialect::OpenaiImages, Head))),
            (format!("{azure}/images/edits?api-version=1"), Some((Dialect::OpenaiImages, Head))),
            ("/openai/v1/audio/transcriptions".to_owned(), Some((Dialect::OpenaiAudio, Head))),
            ("/v1/moderations".to_owned(), None),
            ("/v1/messages/count_tokens".to_owned(), None),
            ("/v1/messages/batches".to_owned(), None),
            ("/v1/responses/resp_1/cancel".to_owned(), None),
            ("/v1beta/interactions/v1_1/cancel".to_owned(), None),
            ("/v1beta/models/gemini-2.5-flash:countTokens".to_owned(), None),
            ("/v1/projects/p/locations/l/publishers/google/models/imagen-4.0-generate-001:predict".to_owned(), None),
            ("/%".to_owned(), None),
            ("/v1/chat%ff".to_owned(), None),
        ] {
            assert_eq!(Endpoint::of(&path).map(|it| (it.dialect, it.evidence)), found, "{path}");
        }
    }

    #[test]
    fn every_spelling_of_a_path_is_that_path() {
        for path in [
            "/V1/Chat/COMPLETIONS",
            "/v1/chat%2Fcompletions",
            "/v1/chat%252fcompletions",
            "/v1/%63hat/completions/",
            "//v1///chat//completions//",
            "/v1/./chat/x/../completions/.",
            "/v1/%2e/chat/%2e%2e/chat/completions",
            "/v1;v=2/chat;a/completions;jsessionid=1",
            "/v1\\chat\\completions",
            "/v1/chat/completions%20",
            "/v1/chat/completions%00",
            "https://api.openai.com/v1/chat/completions",
            "/v1/chat/completions?x=/../y#z",
            "/proxy/v1/acct/gw/openai/chat/completions",
        ] {
            assert_eq!(Endpoint::of(path).map(|it| it.dialect), Some(Dialect::OpenaiChat), "{path}");
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
            let endpoint = Endpoint::of(path).unwrap();
            assert_eq!(endpoint.operation.name(), operation, "{path}");
            assert_eq!((endpoint.model.as_deref(), endpoint.stream), (Some(model), Some(stream)), "{path}");
        }
    }

    #[test]
    fn a_path_with_a_model_tells_it_decoded_and_whether_it_streams() {
        let (converse, invoke) = (Dialect::BedrockConverse, Dialect::BedrockInvoke);
        let vertex = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x@20260801";
        let mistral = "/v1/projects/p/locations/l/publishers/mistralai/models/mistral-medium-3:streamRawPredict";
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
            (mistral.to_owned(), Dialect::OpenaiChat, "mistral-medium-3", Some(true)),
        ] {
            let found = Endpoint::of(&path).map(|found| (found.dialect, found.model, found.stream));
            assert_eq!(found, Some((dialect, Some(model.to_owned()), stream)), "{path}");
        }
    }

    #[test]
    fn only_bedrocks_own_names_make_an_invocation_a_call_by_their_path() {
        for (path, evidence) in [
            ("/model/anthropic.claude-sonnet-4-5/invoke", Head),
            ("/model/churn/invoke", Body),
            ("/model/churn/converse", Head),
        ] {
            assert_eq!(Endpoint::of(path).map(|found| found.evidence), Some(evidence), "{path}");
        }
    }

    #[test]
    fn deployments_engines_and_queries_stand_in_for_a_model() {
        for (path, model) in [
            ("/openai/deployments/prod-4o/chat/completions?api-version=1&model=x", Some("prod-4o")),
            ("/v1/engines/davinci-002/completions", Some("davinci-002")),
            ("/v1/chat/completions?a=1&model=gpt%2D4o", Some("gpt-4o")),
            ("/v1/chat/completions?model=", None),
            ("/v1/chat/completions", None),
        ] {
            let found = Endpoint::of(path).and_then(|found| found.fallback_model);
            assert_eq!(found.as_deref(), model, "{path}");
        }
    }

    #[test]
    fn what_is_free_and_what_is_live_is_told_by_the_end() {
        assert!(is_free("/llm/v1/messages/count_tokens") && is_free("/v1beta/models/m:countTokens"));
        assert!(!is_free("/v1/messages") && !is_free("/v1beta/models/m:generateContent"));
        assert!(is_live("/openai/v1/realtime?model=x") && !is_live("/v1/responses"));
        assert!(is_live("/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"));
    }
}
