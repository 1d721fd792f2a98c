//! The heads of a request and a response, as a gateway shows them.
//!
//! Must not know: which gateway.

use std::borrow::Cow;

/// Header fields in the order in which they came; names are compared without case.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a>(&'a [(&'a str, &'a str)]);

impl<'a> Headers<'a> {
    /// Wraps name and value pairs.
    #[must_use]
    pub const fn new(pairs: &'a [(&'a str, &'a str)]) -> Self {
        Self(pairs)
    }

    /// Every header, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().copied()
    }

    /// The values of a header, which may be spread over several lines.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.0.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// The first value of a header; an empty value counts as none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty()).map(|(_, value)| *value)
    }
}

/// The head of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestHead<'a> {
    /// `:method`.
    pub method: &'a str,
    /// `:path`, query included.
    pub path: &'a str,
    /// `:authority`, or the `host` header.
    pub host: &'a str,
    /// The gateway's name of the route that it takes; empty where it has none, or none is asked for.
    pub route: &'a str,
    /// All other headers.
    pub headers: Headers<'a>,
}

/// A protocol that takes the connection over, so that there is no body to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// WebSocket.
    WebSocket,
    /// Any other, and tunnels.
    Other,
}

impl RequestHead<'_> {
    /// The protocol that the request asks to go on in.
    #[must_use]
    pub fn upgrade(&self) -> Option<Upgrade> {
        let asked = self.headers.get(":protocol").or_else(|| self.headers.get("upgrade"));
        match asked {
            Some(protocol) if protocol.trim().eq_ignore_ascii_case("websocket") => Some(Upgrade::WebSocket),
            // HTTP/2 is HTTP; gateways speak it or ignore the wish.
            Some(protocol) if protocol.trim().eq_ignore_ascii_case("h2c") => None,
            Some(_) => Some(Upgrade::Other),
            None => self.method.eq_ignore_ascii_case("CONNECT").then_some(Upgrade::Other),
        }
    }
}

/// The head of a response.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseHead<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Headers<'a>,
}

/// A text without percent-encoding; as it is where that leaves no text.
pub(crate) fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let encoded = after.split_at_checked(2).filter(|_| byte == b'%').and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        let (byte, after) = encoded.unwrap_or((byte, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}
