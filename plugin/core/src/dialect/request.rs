//! What a request body asks for, borrowed from its bytes.
//!
//! Invariants: bounded parts, whatever the body.
//! Must not know: single wire formats.

use crate::frame::raw::{Cursor, Raw};
use crate::prompt::Element;
use std::borrow::Cow;

/// What a request asks for.
#[derive(Debug, Default)]
pub struct Request<'a> {
    /// The model asked for.
    pub model: Option<Cow<'a, str>>,
    /// The answer is to be streamed.
    pub stream: bool,
    /// The most output tokens the caller allows, per choice.
    pub max_output_tokens: Option<u64>,
    /// The provider takes no smaller maximum than this: more than what is to be thought.
    pub least_output_tokens: Option<u64>,
    /// How many answers are asked for (`n`); `None` means one.
    pub choices: Option<u64>,
    /// The end user the body names.
    pub end_user: Option<Cow<'a, str>>,
    /// What else the body says of the caller: an object of the caller's own members.
    pub metadata: Option<Raw<'a>>,
    /// The processing speed asked for (Anthropic `speed`).
    pub speed: Option<Cow<'a, str>>,
    /// The service tier asked for.
    pub service_tier: Option<Cow<'a, str>>,
    /// How much of the web is to be searched (Perplexity `web_search_options.search_context_size`).
    pub search_context_size: Option<Cow<'a, str>>,
    /// The provider may search the web as often as it likes, without a tool for it.
    pub may_search: bool,
    /// The provider adds to the prompt what the request only points to (an earlier response, a stored prompt).
    pub has_unseen: bool,
    /// The model must call a tool, which some are told in other words.
    pub must_call_tool: bool,
    /// The model is asked to think first (Anthropic `thinking`), which adds instructions.
    pub asks_to_think: bool,
    /// The prompt is to be cached as far as it goes (Anthropic's `cache_control` of the request itself).
    pub asks_for_cache: bool,
    /// The parts of the prompt, in the order in which the provider renders and caches them.
    pub elements: Vec<Element<'a>>,
}

/// More parts than any conversation has. A part costs more memory than the three bytes that make one, so without
/// this bound a hostile body would grow to many times its size.
pub(super) const ELEMENTS_MAX: usize = 65_536;

impl<'a> Request<'a> {
    /// Nothing that the dialect reads is there.
    pub(crate) fn is_unknown(&self) -> bool {
        self.elements.is_empty() && !self.has_unseen
    }

    /// Adds parts, up to the bound.
    pub(super) fn extend(&mut self, elements: impl IntoIterator<Item = Element<'a>>) {
        let room = ELEMENTS_MAX.saturating_sub(self.elements.len());
        self.elements.extend(elements.into_iter().take(room));
    }
}

/// Cuts an array into elements, up to the bound; `None` where there is no array.
pub(super) fn collect<'a>(
    array: Option<Raw<'a>>,
    mut element: impl FnMut(Raw<'a>, &mut Vec<Element<'a>>),
) -> Option<Vec<Element<'a>>> {
    gather(&mut array?.cursor(), |item, elements| {
        if let Some(item) = item.raw() {
            element(item, elements);
        }
    })
}

/// Cuts the array that is next into elements, with a look into each item while it is passed over.
pub(super) fn gather<'a>(
    array: &mut Cursor<'a>,
    mut element: impl FnMut(&mut Cursor<'a>, &mut Vec<Element<'a>>),
) -> Option<Vec<Element<'a>>> {
    let mut elements = Vec::new();
    let is_array = array.items(|item| {
        if elements.len() < ELEMENTS_MAX {
            element(item, &mut elements);
        }
    });
    is_array.then_some(elements)
}

/// Why a request body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no body, or only white space.
    #[error("the request has no body")]
    Empty,
    /// Not UTF-8.
    #[error("the request body is not UTF-8 from byte {at} on")]
    NotUtf8 {
        /// Offset of the first byte that is not UTF-8.
        at: usize,
    },
    /// Not JSON.
    #[error("the request body is not JSON")]
    NotJson,
    /// Starts as a form does, and is none.
    #[error("the request body is no form")]
    NotAForm,
    /// JSON, but not an object.
    #[error("the request body is JSON, but not an object")]
    NotAnObject,
    /// A field is there in another case: servers differ on whether it is that field.
    #[error("the request body has a field in unusual case")]
    AmbiguousNames,
    /// More messages and tools than are looked at.
    #[error("the request body has too many parts")]
    TooManyParts,
}
