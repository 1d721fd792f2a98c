//! Which paths are LLM calls, and what a path tells of one: its wire format, and for some its model, whether it
//! streams and who provides it.
//!
//! To add an endpoint, add a row to [`ENDINGS`], or to [`WITH_MODEL`] where the model stands in the path.
//! Paths end alike whatever a gateway or a cloud puts in front of them (`/openai/deployments/D/...`).
//! Must not know: hosts, bodies.

use super::{Dialect, Operation};

/// What a path tells of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) dialect: Dialect,
    pub(super) operation: Operation,
    /// The model, decoded; it outranks what the body says, since it is what the provider goes by.
    pub(super) model: Option<String>,
    /// Whether the answer is streamed; `None` where the body decides.
    pub(super) stream: Option<bool>,
    /// The provider that alone has such paths.
    pub(super) provider: Option<&'static str>,
}

/// Paths that end like this.
const ENDINGS: [(&str, Dialect); 5] = [
    ("/chat/completions", Dialect::OpenaiChat),
    ("/v1/responses", Dialect::OpenaiResponses),
    ("/v1/responses/compact", Dialect::OpenaiResponses),
    ("/openai/responses", Dialect::OpenaiResponses),
    ("/v1/messages", Dialect::AnthropicMessages),
];

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

/// The endpoint of a request that creates something billed; `None` for all other traffic.
pub(super) fn endpoint(method: &str, path: &str) -> Option<Endpoint> {
    if !method.eq_ignore_ascii_case("POST") {
        return None;
    }
    let path = path.split(['?', '#']).next().unwrap_or(path).trim_end_matches('/');
    let plain = ENDINGS.into_iter().find(|(ending, _)| path.ends_with(ending));
    if let Some((_, dialect)) = plain {
        return Some(Endpoint { dialect, operation: dialect.operation(), model: None, stream: None, provider: None });
    }
    WITH_MODEL.into_iter().find_map(|row| {
        let (_, model) = path.strip_suffix(row.after)?.rsplit_once(row.before)?;
        let model = decoded(model);
        let is_model = !model.is_empty() && !NO_MODELS.contains(&model.as_str());
        is_model.then(|| Endpoint {
            dialect: row.dialect,
            operation: row.dialect.operation(),
            model: Some(model),
            stream: row.stream,
            provider: Some(row.provider),
        })
    })
}

/// Undoes percent-encoding; what is no escape stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        rest = match (byte, digit(0), digit(1), after.get(2..)) {
            (b'%', Some(high), Some(low), Some(behind)) => {
                bytes.push((high << 4) | low);
                behind
            }
            _ => {
                bytes.push(*byte);
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paths_end_tells_the_dialect_and_only_posts_are_calls() {
        for (method, path, dialect) in [
            ("POST", "/v1/chat/completions", Some(Dialect::OpenaiChat)),
            ("post", "/openai/deployments/d/chat/completions?api-version=1", Some(Dialect::OpenaiChat)),
            ("POST", "/v1/responses/", Some(Dialect::OpenaiResponses)),
            ("POST", "/v1/responses/compact", Some(Dialect::OpenaiResponses)),
            ("POST", "/v1/messages?beta=true", Some(Dialect::AnthropicMessages)),
            ("POST", "/v1/messages/count_tokens", None),
            ("POST", "/v1/messages/batches", None),
            ("POST", "/v1/responses/resp_1/cancel", None),
            ("GET", "/v1/chat/completions", None),
            ("GET", "/model/m/converse", None),
            ("POST", "/model/m/count-tokens", None),
            ("POST", "/model//converse", None),
            ("POST", "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict", None),
        ] {
            assert_eq!(endpoint(method, path).map(|found| found.dialect), dialect, "{method} {path}");
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
            let found = endpoint("POST", &path).map(|found| (found.dialect, found.model, found.stream));
            assert_eq!(found, Some((dialect, Some(model.to_owned()), stream)), "{path}");
        }
    }
}
