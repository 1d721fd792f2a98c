//! A plain HTTP client: one call, its whole answer, or as much of it as a client reads before it leaves.
//!
//! It speaks to a base URL and adds only the headers it is given, so it goes through a gateway or straight to the stand-in.
//! Must not know: dialects, attribution.

use std::io::Read as _;
use std::time::Duration;

use serde_json::Value;

/// Why there is no answer at all.
#[derive(Debug, thiserror::Error)]
#[error("{method} {url}: {why}")]
pub struct ClientError {
    /// The method.
    pub method: &'static str,
    /// The URL.
    pub url: String,
    /// What went wrong.
    pub why: Box<ureq::Error>,
}

/// An answer, as far as it arrived.
#[derive(Clone, Debug)]
pub struct Sent {
    /// HTTP status.
    pub status: u16,
    /// Response headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it was read.
    pub body: Vec<u8>,
    /// Why the body broke off, when it did.
    pub broken: Option<String>,
}

impl Sent {
    /// The value of a response header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Posts a JSON body and reads the whole answer.
///
/// # Errors
/// When no answer begins.
pub fn post(url: &str, headers: &[(String, String)], body: &Value) -> Result<Sent, ClientError> {
    post_bytes(url, headers, body.to_string().as_bytes(), usize::MAX)
}

/// Posts a JSON body, reads at least `bytes` of the answer, and closes the connection.
///
/// # Errors
/// When no answer begins.
pub fn post_and_leave(
    url: &str,
    headers: &[(String, String)],
    body: &Value,
    bytes: usize,
) -> Result<Sent, ClientError> {
    post_bytes(url, headers, body.to_string().as_bytes(), bytes)
}

/// Posts any bytes, as JSON unless a header says otherwise, and reads the answer up to (about) `most` bytes.
///
/// # Errors
/// When no answer begins.
pub fn post_bytes(url: &str, headers: &[(String, String)], body: &[u8], most: usize) -> Result<Sent, ClientError> {
    let mut request = agent().post(url);
    if !headers.iter().any(|(name, _)| name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = request.send(body).map_err(|why| failed("POST", url, why))?;
    Ok(read(response, most))
}

/// Gets a URL.
///
/// # Errors
/// When no answer begins.
pub fn get(url: &str) -> Result<Sent, ClientError> {
    let response = agent().get(url).call().map_err(|why| failed("GET", url, why))?;
    Ok(read(response, usize::MAX))
}

fn failed(method: &'static str, url: &str, why: ureq::Error) -> ClientError {
    ClientError { method, url: url.to_owned(), why: Box::new(why) }
}

/// One connection per call: dropping the response closes it.
fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_idle_connections(0)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into()
}

fn read(response: ureq::http::Response<ureq::Body>, most: usize) -> Sent {
    let (head, body) = response.into_parts();
    let text = |value: &ureq::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut sent = Sent {
        status: head.status.as_u16(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: Vec::new(),
        broken: None,
    };
    let mut reader = body.into_reader();
    let mut buffer = [0; 16 * 1024];
    while sent.body.len() < most {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => sent.body.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error) => {
                sent.broken = Some(error.to_string());
                break;
            }
        }
    }
    sent
}
