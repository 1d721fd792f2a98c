//! [`Stream`]: one call through the gateway, driven by the test from both ends.

use std::rc::Rc;

use super::{
    drive::Runner,
    exchange::{Outcome, ResponseHead},
    headers::Headers,
    properties::PropertyValue,
};

/// One stream. Its methods say what arrives at the gateway; what leaves it is in the [`Outcome`].
///
/// After the stream has ended, or where the gateway would not listen (a response to a request that never reached
/// the upstream), they do nothing.
pub struct Stream {
    runner: Rc<Runner>,
    id: u32,
}

impl Stream {
    pub(crate) fn new(runner: Rc<Runner>, id: u32) -> Self {
        Self { runner, id }
    }

    /// The filter's context id, as in `Callout::context`.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The client sends body bytes; `end` with the last.
    pub fn request_body(&self, chunk: impl AsRef<[u8]>, end: bool) -> &Self {
        self.runner.request_body(self.id, chunk.as_ref(), end);
        self
    }

    /// The client sends a body in chunks of `size`.
    pub fn request_chunks(&self, body: impl AsRef<[u8]>, size: usize) -> &Self {
        in_chunks(body.as_ref(), size, |chunk, end| self.runner.request_body(self.id, chunk, end));
        self
    }

    /// The client ends its request with trailers.
    pub fn request_trailers(&self, trailers: Headers) -> &Self {
        self.runner.request_trailers(self.id, trailers);
        self
    }

    /// A plugin of APISIX moves the request to another place of nginx (`proxy-buffering`, from 3.17 on): what comes is told
    /// to a context of its own. The nginx variables stay.
    pub fn moved(&self) -> &Self {
        self.runner.moved(self.id);
        self
    }

    /// The upstream starts its response.
    pub fn respond(&self, head: ResponseHead) -> &Self {
        self.runner.respond(self.id, head);
        self
    }

    /// The upstream sends body bytes; `end` with the last.
    pub fn response_body(&self, chunk: impl AsRef<[u8]>, end: bool) -> &Self {
        self.runner.response_body(self.id, chunk.as_ref(), end);
        self
    }

    /// The upstream sends a body in chunks of `size`.
    pub fn response_chunks(&self, body: impl AsRef<[u8]>, size: usize) -> &Self {
        in_chunks(body.as_ref(), size, |chunk, end| self.runner.response_body(self.id, chunk, end));
        self
    }

    /// The upstream ends its response with trailers.
    pub fn response_trailers(&self, trailers: Headers) -> &Self {
        self.runner.response_trailers(self.id, trailers);
        self
    }

    /// The client goes away.
    pub fn client_gone(&self) -> &Self {
        self.runner.client_gone(self.id);
        self
    }

    /// The upstream resets, or cannot be reached.
    pub fn upstream_reset(&self) -> &Self {
        self.runner.upstream_reset(self.id);
        self
    }

    /// Changes a property of this stream from now on.
    pub fn set_property(&self, path: &[&str], value: impl Into<PropertyValue>) -> &Self {
        if let Some(exchange) = self.runner.process.borrow_mut().exchange(self.id) {
            exchange.properties.set(path, value);
        }
        self
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.runner.is_open(self.id)
    }

    /// What can be seen so far.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let process = self.runner.process.borrow();
        match process.exchanges.get(&self.id) {
            Some(exchange) => exchange.outcome(&self.runner.settings),
            None => super::exchange::Exchange::new(0, super::RequestHead::default(), 0).outcome(&self.runner.settings),
        }
    }

    /// Ends the stream if it is still open (the client gives up) and says what was seen.
    #[must_use]
    pub fn finish(self) -> Outcome {
        self.runner.give_up(self.id);
        self.outcome()
    }
}

/// A stream that is dropped is forgotten, so that long runs do not pile up exchanges.
impl Drop for Stream {
    fn drop(&mut self) {
        self.runner.give_up(self.id);
        self.runner.process.borrow_mut().exchanges.remove(&self.id);
    }
}

fn in_chunks(body: &[u8], size: usize, mut send: impl FnMut(&[u8], bool)) {
    if body.is_empty() {
        return send(&[], true);
    }
    let chunks: Vec<_> = body.chunks(size.max(1)).collect();
    for (index, chunk) in chunks.iter().enumerate() {
        send(chunk, index + 1 == chunks.len());
    }
}
