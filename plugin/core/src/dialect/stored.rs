//! Which paths come back for what an earlier request created: responses that were made in the background, and batches.
//!
//! Only what creates is billed. These requests create nothing, but they may be the first to be told what something
//! that was created consumed. Their paths are looked at whole, and the id must look like one, since other services have
//! responses, files and batches too.
//! Invariants: a percent-encoded spelling of a path is the path.
//! Must not know: hosts, bodies, what was billed.

use super::{Dialect, Layout};
use crate::head::percent_decoded;

/// What a request does with what is billed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It creates something billed.
    Creates,
    /// It creates a batch, which states nothing before its results are told.
    CreatesBatch,
    /// It comes back for something.
    Retrieves(Stored),
}

/// Something that is kept at the provider and told as often as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What it is.
    pub kind: StoredKind,
    /// The provider's id of it; of a page of results, with the page.
    pub id: String,
}

/// What is kept at a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredKind {
    /// An answer.
    Response,
    /// A batch, or a page of its results.
    Batch,
    /// A file with the results of a batch.
    File,
}

impl StoredKind {
    /// The name used in keys.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Batch => "batch",
            Self::File => "file",
        }
    }
}

/// The wire format and the role of a request that creates no answer; `None` for all others. `is_known` says that the
/// host is a provider's, so that any id is one.
pub(super) fn role(method: &str, path: &str, is_known: bool) -> Option<(Dialect, Role)> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = percent_decoded(path);
    let mut segments = path.trim_matches('/').rsplit('/');
    let mut next = || segments.next().unwrap_or_default();
    let tail = [next(), next(), next(), next()];
    let looks_right = |id: &str, start: &str| id.starts_with(start) || (is_known && !id.is_empty());
    let stored = |kind, id: &str| Role::Retrieves(Stored { kind, id: id.to_owned() });
    let is_get = method.eq_ignore_ascii_case("GET");
    let is_post = method.eq_ignore_ascii_case("POST");
    match tail {
        [id, "responses", "v1" | "openai", _] if is_get && looks_right(id, "resp") => {
            Some((Dialect::OpenaiResponses, stored(StoredKind::Response, id)))
        }
        ["cancel", id, "responses", "v1" | "openai"] if is_post && looks_right(id, "resp") => {
            Some((Dialect::OpenaiResponses, stored(StoredKind::Response, id)))
        }
        [id, "interactions", "v1beta" | "v1alpha" | "global", _] if is_get => {
            Some((Dialect::GeminiInteractions, stored(StoredKind::Response, id)))
        }
        ["cancel", id, "interactions", "v1beta" | "v1alpha" | "global"] if is_post => {
            Some((Dialect::GeminiInteractions, stored(StoredKind::Response, id)))
        }
        ["results", id, "batches", "messages"] if is_get => {
            Some((Dialect::Batch(Layout::Anthropic), stored(StoredKind::Batch, id)))
        }
        ["results", id, "batches", _] if is_get && looks_right(id, "batch") => {
            let id = page(query).map_or_else(|| id.to_owned(), |page| format!("{id}?{page}"));
            Some((Dialect::Batch(Layout::Xai), stored(StoredKind::Batch, &id)))
        }
        [id, "batches", "v1beta" | "v1alpha", _] if is_get => {
            Some((Dialect::Batch(Layout::Gemini), stored(StoredKind::Batch, id)))
        }
        [id, "jobs", "batch", _] if is_get => Some((Dialect::Batch(Layout::Mistral), stored(StoredKind::Batch, id))),
        [id, "batches", "v1" | "openai", _] if is_get && looks_right(id, "batch") => {
            Some((Dialect::Batch(Layout::Openai), stored(StoredKind::Batch, id)))
        }
        ["content", id, "files", "v1" | "openai"] if is_get && looks_right(id, "file") => {
            Some((Dialect::Batch(Layout::OpenaiFile), stored(StoredKind::File, id)))
        }
        [id, "files", "v1beta" | "v1alpha", _] if is_get => {
            let id = id.strip_suffix(":download")?;
            Some((Dialect::Batch(Layout::GeminiFile), stored(StoredKind::File, id)))
        }
        ["batches", "messages", _, _] if is_post => Some((Dialect::Batch(Layout::Anthropic), Role::CreatesBatch)),
        ["jobs", "batch", _, _] if is_post => Some((Dialect::Batch(Layout::Mistral), Role::CreatesBatch)),
        ["batches", "v1" | "openai", _, _] if is_post => Some((Dialect::Batch(Layout::Openai), Role::CreatesBatch)),
        [model, "models", _, _] if is_post && model.ends_with(":batchGenerateContent") => {
            Some((Dialect::Batch(Layout::Gemini), Role::CreatesBatch))
        }
        _ => None,
    }
}

/// The page of results that a query asks for.
fn page(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("pagination_token=")).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, path: &str, dialect: Dialect, kind: StoredKind, id: &str) {
        let expected = (dialect, Role::Retrieves(Stored { kind, id: id.to_owned() }));
        assert_eq!(role(method, path, false), Some(expected), "{method} {path}");
    }

    #[test]
    fn paths_that_come_back_name_what_they_come_back_for() {
        use StoredKind::{Batch, File, Response};
        let (responses, interactions) = (Dialect::OpenaiResponses, Dialect::GeminiInteractions);
        check("GET", "/v1/responses/resp_1", responses, Response, "resp_1");
        check("get", "/openai/v1/responses/resp%5F1/?stream=true", responses, Response, "resp_1");
        check("GET", "/openai/responses/resp_1?api-version=1", responses, Response, "resp_1");
        check("POST", "/v1/responses/resp_1/cancel", responses, Response, "resp_1");
        check("GET", "/v1beta/interactions/v1_abc", interactions, Response, "v1_abc");
        check("POST", "/v1beta/interactions/v1_abc/cancel", interactions, Response, "v1_abc");
        let layout = Dialect::Batch;
        check("GET", "/v1/messages/batches/msgbatch_1/results", layout(Layout::Anthropic), Batch, "msgbatch_1");
        check("GET", "/v1/batches/batch_1/results?limit=100", layout(Layout::Xai), Batch, "batch_1");
        let second = "/v1/batches/batch_1/results?limit=9&pagination_token=p2";
        check("GET", second, layout(Layout::Xai), Batch, "batch_1?p2");
        check("GET", "/v1beta/batches/abc", layout(Layout::Gemini), Batch, "abc");
        check("GET", "/v1/batch/jobs/abc?inline=true", layout(Layout::Mistral), Batch, "abc");
        check("GET", "/v1/batches/batch_1", layout(Layout::Openai), Batch, "batch_1");
        check("GET", "/v1/files/file-1/content", layout(Layout::OpenaiFile), File, "file-1");
        check("GET", "/download/v1beta/files/abc:download?alt=media", layout(Layout::GeminiFile), File, "abc");
    }

    #[test]
    fn batches_are_created_by_posts_to_their_collection() {
        for (path, layout) in [
            ("/v1/messages/batches", Layout::Anthropic),
            ("/v1/batches", Layout::Openai),
            ("/openai/v1/batches", Layout::Openai),
            ("/v1/batch/jobs", Layout::Mistral),
            ("/v1beta/models/gemini-2.5-flash:batchGenerateContent", Layout::Gemini),
        ] {
            assert_eq!(role("POST", path, false), Some((Dialect::Batch(layout), Role::CreatesBatch)), "{path}");
        }
    }

    #[test]
    fn other_services_responses_files_and_batches_are_left_alone() {
        for (method, path) in [
            ("GET", "/v1/responses/12"),
            ("GET", "/v1/responses"),
            ("GET", "/v1/files/12/content"),
            ("GET", "/v1/files/file-1"),
            ("GET", "/v1/batches/12"),
            ("GET", "/v1/responses/resp_1/input_items"),
            ("DELETE", "/v1/responses/resp_1"),
            ("POST", "/v1/responses"),
            ("GET", "/v1/messages/batches/msgbatch_1"),
            ("POST", "/v1/batches/batch_1/cancel"),
            ("GET", "/"),
            ("GET", ""),
        ] {
            assert_eq!(role(method, path, false), None, "{method} {path}");
        }
        // Mistral's files and xAI's responses have ids of any look.
        assert!(role("GET", "/v1/files/abbe56be/content", true).is_some());
        assert!(role("GET", "/v1/responses/03b8a8b3", true).is_some());
    }
}
