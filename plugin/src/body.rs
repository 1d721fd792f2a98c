//! A request's body in the gateway's buffer: read whole, or in windows where it is large.
//!
//! A VM's memory never shrinks, so one request with twenty megabytes of images must not leave it twenty megabytes larger.
//! Invariants: what is looked at as a whole is at most [`WHOLE_MAX`], and so is what is read at once, but on a gateway that
//! hands bodies over whole or not at all; a body that is not handed over is never taken for an empty one.
//! Must not know: wire formats.

use crate::abi::{self, Buffer};
use crate::root::Root;
use tollgate_core::frame::reduce::{Keep, Reduced, Reducer};
use tollgate_core::head::Upgrade;
use tollgate_core::meter::Body;

/// Bodies up to this size are read whole.
const WHOLE_MAX: usize = 1 << 20;
/// How much of a larger one is read at once.
const WINDOW: usize = 64 << 10;

/// A body, as far as the gateway hands it over.
pub(crate) enum Buffered {
    Whole(Vec<u8>),
    Reduced(Reduced),
    TooLarge(usize),
    Unreadable(usize),
    /// There is none: another protocol takes the connection over.
    Upgraded(Upgrade),
}

impl Buffered {
    /// Reads the `size` bytes that are buffered. What is compressed can only be read whole.
    pub(crate) fn read(root: &mut Root, size: usize, is_encoded: bool) -> Self {
        if size > root.meter.config().max_request_bytes {
            return Self::TooLarge(size);
        }
        if size > WHOLE_MAX && !is_encoded && root.host().reads_windows() {
            return Self::read_windows(root, size);
        }
        let body = match size {
            0 => Some(Vec::new()),
            _ => root.metrics.note("get_buffer_bytes", abi::buffer(Buffer::RequestBody, size)).flatten(),
        };
        match body.filter(|body| body.len() >= size) {
            None => Self::Unreadable(size),
            // Other calls of the worker wait meanwhile, so that a large body is looked at in part wherever it is read.
            Some(body) if size > WHOLE_MAX && !is_encoded => Self::reduce(size, |reducer| {
                reducer.feed(&body);
                true
            }),
            Some(body) => Self::Whole(body),
        }
    }

    pub(crate) const fn as_body(&self) -> Body<'_> {
        match self {
            Self::Whole(body) => Body::Whole(body.as_slice()),
            Self::Reduced(body) => Body::Reduced(body),
            Self::TooLarge(size) => Body::TooLarge(*size),
            Self::Unreadable(size) => Body::Unreadable(*size),
            Self::Upgraded(upgrade) => Body::Upgraded(*upgrade),
        }
    }

    fn read_windows(root: &mut Root, size: usize) -> Self {
        Self::reduce(size, |reducer| {
            let mut at = 0;
            while at < size {
                let window = abi::window(Buffer::RequestBody, at, WINDOW.min(size.saturating_sub(at)));
                let window = root.metrics.note("get_buffer_bytes", window).flatten().unwrap_or_default();
                if window.is_empty() {
                    return false;
                }
                at = at.saturating_add(window.len());
                if !reducer.feed(&window) {
                    break;
                }
            }
            true
        })
    }

    /// Leaves out what is long, and more where that is not enough. `feed` gives the body, and says whether it could.
    fn reduce(size: usize, mut feed: impl FnMut(&mut Reducer) -> bool) -> Self {
        for keep in [Keep::Texts, Keep::Little] {
            let mut reducer = Reducer::new(keep);
            if !feed(&mut reducer) {
                return Self::Unreadable(size);
            }
            if let Some(reduced) = reducer.end() {
                return Self::Reduced(reduced);
            }
        }
        Self::TooLarge(size)
    }
}
