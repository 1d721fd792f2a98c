//! A request and its response, as far as they were pasted or dropped.
//!
//! Besides the texts of [`pasted`](crate::pasted), this reads recorded exchanges: one JSON object with `request` and
//! `response`, as `tollgate replay` takes them.
//! Must not know: what the bodies mean.

use crate::pasted::{Message, PastedError};
use base64::Engine as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use tollgate_core::time::Timestamp;

/// A request with its response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    /// Empty where nothing names it.
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) request_headers: Vec<(String, String)>,
    pub(crate) request: Vec<u8>,
    pub(crate) response: Option<Response>,
    /// When it was recorded.
    pub(crate) at: Option<Timestamp>,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Why there is no exchange.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("there is nothing to open: paste a request, a response, or both")]
    Nothing,
    #[error("the request is not understood: {0}")]
    Request(PastedError),
    #[error("the response is not understood: {0}")]
    Response(PastedError),
    #[error("the recorded exchange is not understood: {0}")]
    Recording(String),
    #[error("`{0}` is no address: expected https://host/path")]
    Address(String),
}

/// An exchange in a file.
#[derive(Deserialize)]
struct Recording {
    request: RecordedRequest,
    response: Option<RecordedResponse>,
    #[serde(default)]
    recorded_at: Option<String>,
}

#[derive(Deserialize)]
struct RecordedRequest {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<String>,
}

#[derive(Deserialize)]
struct RecordedResponse {
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    body_base64: Option<String>,
}

/// What tells a recorded exchange from a request's body.
#[derive(Deserialize)]
struct Outline {
    #[serde(rename = "request")]
    _request: serde::de::IgnoredAny,
}

impl Exchange {
    /// Reads what was pasted; an address outranks what the texts say of one.
    pub(crate) fn read(request: &str, response: &str, address: &str) -> Result<Self, ExchangeError> {
        if request.trim().is_empty() && response.trim().is_empty() {
            return Err(ExchangeError::Nothing);
        }
        let mut exchange = match serde_json::from_str::<Outline>(request) {
            Ok(_) => Self::recorded(request)?,
            Err(_) => Self::pasted(request)?,
        };
        if !response.trim().is_empty() {
            let message = Message::response(response).map_err(ExchangeError::Response)?;
            exchange.response = Some(Response::of(message));
        }
        if !address.trim().is_empty() {
            (exchange.host, exchange.path) = target(address.trim())?;
        }
        Ok(exchange)
    }

    fn pasted(request: &str) -> Result<Self, ExchangeError> {
        let message = Message::request(request).map_err(ExchangeError::Request)?;
        let (host, path) = match message.target.as_deref() {
            Some(path) if path.starts_with('/') => {
                (message.header("host").unwrap_or_default().to_owned(), path.to_owned())
            }
            Some(url) => target(url)?,
            None => (String::new(), "/".to_owned()),
        };
        let body = if message.body.trim().is_empty() { "{}" } else { &message.body };
        Ok(Self {
            method: message.method.unwrap_or_else(|| "POST".to_owned()),
            host,
            path,
            request: body.as_bytes().to_vec(),
            request_headers: message.headers,
            response: None,
            at: None,
        })
    }

    fn recorded(file: &str) -> Result<Self, ExchangeError> {
        let recording: Recording =
            serde_json::from_str(file).map_err(|why| ExchangeError::Recording(why.to_string()))?;
        let (host, path) = match recording.request.url.as_deref().filter(|url| !url.is_empty()) {
            Some(url) => target(url)?,
            None => (String::new(), "/".to_owned()),
        };
        let response = recording.response.map(Response::recorded).transpose()?;
        Ok(Self {
            method: recording.request.method.unwrap_or_else(|| "POST".to_owned()),
            host,
            path,
            request_headers: recording.request.headers.into_iter().collect(),
            request: recording.request.body.unwrap_or_else(|| "{}".to_owned()).into_bytes(),
            response,
            at: recording.recorded_at.as_deref().and_then(Timestamp::parse),
        })
    }
}

impl Response {
    fn of(message: Message) -> Self {
        let mut headers = message.headers;
        let says_type = headers.iter().any(|(name, _)| name == "content-type");
        if !says_type {
            headers.push(("content-type".to_owned(), content_type(&message.body).to_owned()));
        }
        // Bodies are pasted as they read, whatever their coding was.
        headers.retain(|(name, _)| name != "content-encoding");
        Self { status: message.status.unwrap_or(200), headers, body: message.body.into_bytes() }
    }

    fn recorded(recorded: RecordedResponse) -> Result<Self, ExchangeError> {
        let decode = |coded: String| base64::engine::general_purpose::STANDARD.decode(coded);
        let body = match (recorded.body, recorded.body_base64) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(coded)) => decode(coded).map_err(|why| ExchangeError::Recording(why.to_string()))?,
            (None, None) => Vec::new(),
        };
        let headers = recorded.headers.into_iter().collect();
        Ok(Self { status: recorded.status.unwrap_or(200), headers, body })
    }
}

/// Host and path of a URL.
fn target(url: &str) -> Result<(String, String), ExchangeError> {
    let (_, rest) = url.split_once("://").ok_or_else(|| ExchangeError::Address(url.to_owned()))?;
    let (host, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    if host.is_empty() { Err(ExchangeError::Address(url.to_owned())) } else { Ok((host.to_owned(), path.to_owned())) }
}

/// What a body without a head is.
fn content_type(body: &str) -> &'static str {
    let is_stream = ["data:", "event:", "id:", ":"].iter().any(|start| body.starts_with(start));
    if is_stream { "text/event-stream" } else { "application/json" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_exchange_a_command_and_a_body_alone_are_told_apart() {
        let recorded = r#"{"request":{"method":"POST","url":"https://h.test/v1/messages","body":"{\"a\":1}"},
            "response":{"status":201,"body_base64":"AQID"},"recorded_at":"2026-11-20T09:30:00Z"}"#;
        let exchange = Exchange::read(recorded, "", "").unwrap();
        assert_eq!((exchange.host.as_str(), exchange.path.as_str()), ("h.test", "/v1/messages"));
        assert_eq!(exchange.at.map(|at| at.to_string()).as_deref(), Some("2026-11-20T09:30:00.000Z"));
        let response = exchange.response.unwrap();
        assert_eq!((response.status, response.body), (201, vec![1, 2, 3]));
        let pasted = Exchange::read("curl https://h.test/a -d '{}'", "data: {}\n\n", "").unwrap();
        assert_eq!(pasted.response.unwrap().headers[0].1, "text/event-stream");
        let body = Exchange::read("{\"model\":\"m\"}", "", "https://x.test/v1/chat/completions").unwrap();
        assert_eq!((body.host.as_str(), body.path.as_str()), ("x.test", "/v1/chat/completions"));
        assert_eq!(body.request, b"{\"model\":\"m\"}");
    }

    #[test]
    fn nothing_and_half_an_address_are_refused() {
        assert!(matches!(Exchange::read(" ", "\n", ""), Err(ExchangeError::Nothing)));
        assert!(matches!(Exchange::read("{}", "", "api.openai.com"), Err(ExchangeError::Address(_))));
        assert!(matches!(Exchange::read(r#"{"request":7}"#, "", ""), Err(ExchangeError::Recording(_))));
    }
}
