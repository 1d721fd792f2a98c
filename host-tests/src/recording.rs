//! Recorded exchanges: one JSON object a file, with a request, a response and when it was recorded.
//!
//! Must not know: gateways, what the exchange means.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tollgate_core::time::Timestamp;

/// Why a file is no recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It cannot be read.
    #[error("{}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        why: std::io::Error,
    },
    /// It is not of the expected form.
    #[error("{}: not a recorded exchange: {why}; expected {{\"request\": {{...}}, \"response\": {{...}}}}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// A request and its response.
#[derive(Clone, Debug, Deserialize)]
pub struct Recording {
    /// What was sent.
    pub request: Request,
    /// What came back.
    pub response: Response,
    /// RFC 3339; absent when nothing tells.
    #[serde(default)]
    pub recorded_at: Option<String>,
}

/// What was sent.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    /// `POST`.
    pub method: String,
    /// With scheme and host; absent where only the response was recorded.
    #[serde(default)]
    pub url: Option<String>,
    /// Names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Absent when there was none.
    #[serde(default)]
    pub body: Option<String>,
}

/// What came back.
#[derive(Clone, Debug, Deserialize)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A text body.
    #[serde(default)]
    pub body: Option<String>,
    /// A binary body.
    #[serde(default)]
    pub body_base64: Option<String>,
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// [`RecordingError`] when there is none, or it is something else.
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        let bytes = std::fs::read(path).map_err(|why| RecordingError::Unreadable { path: path.to_owned(), why })?;
        let malformed = |why: String| RecordingError::Malformed { path: path.to_owned(), why };
        let recording: Self = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        recording.response.bytes().map_err(malformed)?;
        Ok(recording)
    }

    /// When it was recorded.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        // Offsets other than UTC do not occur; the test data writes them as +00:00.
        Timestamp::parse(&self.recorded_at.as_deref()?.replace("+00:00", "Z"))
    }
}

impl Recording {
    /// Host and path of the request. Where only the response was recorded, those of the API that answers like it.
    #[must_use]
    pub fn target(&self) -> (&str, &str) {
        let Some(url) = &self.request.url else {
            let body = self.response.body.as_deref().unwrap_or_default();
            let speaks = |mark: &str| {
                body.contains(&format!("\"type\":\"{mark}")) || body.contains(&format!("\"type\": \"{mark}"))
            };
            return match () {
                () if speaks("message") => ("api.anthropic.com", "/v1/messages"),
                () if speaks("response.") => ("api.openai.com", "/v1/responses"),
                () => ("", "/v1/chat/completions"),
            };
        };
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash))
    }
}

impl Response {
    /// The body.
    ///
    /// # Errors
    /// When `body_base64` is not base64.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        use base64::Engine;
        match (&self.body, &self.body_base64) {
            (Some(text), _) => Ok(text.clone().into_bytes()),
            (None, Some(coded)) => {
                base64::engine::general_purpose::STANDARD.decode(coded).map_err(|error| error.to_string())
            }
            (None, None) => Ok(Vec::new()),
        }
    }
}
