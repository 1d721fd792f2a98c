//! The heads of a request and a response, as a gateway shows them.
//!
//! Must not know: which gateway.

/// Header fields in the order in which they came; names are compared without case.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a>(&'a [(&'a str, &'a str)]);

impl<'a> Headers<'a> {
    /// Wraps name and value pairs.
    #[must_use]
    pub const fn new(pairs: &'a [(&'a str, &'a str)]) -> Self {
        Self(pairs)
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
    /// All other headers.
    pub headers: Headers<'a>,
}

/// The head of a response.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseHead<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Headers<'a>,
}
