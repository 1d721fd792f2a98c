//! OpenAI Completions, the older text interface that vLLM and others still serve.
//!
//! The response is a chat completion's with `text` in the place of a message, so its reader is shared. A prompt is a
//! text, several texts, or tokens that the caller already made.
//! Must not know: prices; how other dialects count.

use super::object::{Form, count, is_on, items, string, whole_fields};
use super::{Request, collect};
use crate::frame::raw::Raw;
use crate::prompt::{Component, Element, Kind, Piece};

pub(super) fn read_request<'a>(json: &'a str, request: &mut Request<'a>) -> Form {
    let (mut prompt, mut suffix): (Option<Raw<'a>>, Option<Raw<'a>>) = (None, None);
    let form = whole_fields(json, |key, value| match &*key {
        "model" => request.model = string(value),
        "stream" => request.stream = is_on(value),
        "max_tokens" => request.max_output_tokens = count(value),
        "n" => request.choices = count(value),
        "user" => request.end_user = string(value),
        "prompt" => prompt = Some(value),
        "suffix" => suffix = Some(value),
        _ => {}
    });
    let user = |raw| Element { component: Component::User, kind: Kind::Message, name: None, raw };
    // Several texts are several prompts; tokens are one.
    let texts = collect(prompt, |item, texts| {
        if string(item).is_some() {
            texts.push(user(item));
        }
    });
    match texts {
        Some(texts) if !texts.is_empty() => request.extend(texts),
        _ => request.extend(prompt.map(user)),
    }
    request.extend(suffix.filter(|raw| raw.get() != "null").map(user));
    form
}

pub(super) fn read_element<'a>(element: &Element<'a>, piece: &mut dyn FnMut(Piece<'a>)) {
    match string(element.raw) {
        Some(text) => piece(Piece::Text(text)),
        None => piece(Piece::Framing(tokens(element.raw))),
    }
}

/// How many tokens an array of them holds, or an array of such arrays.
fn tokens(prompt: Raw<'_>) -> u64 {
    let mut tokens: u64 = 0;
    items(prompt.get(), |item| {
        let mut inner: u64 = 0;
        let is_array = items(item.get(), |_| inner = inner.saturating_add(1));
        tokens = tokens.saturating_add(if is_array { inner } else { 1 });
    });
    tokens
}
