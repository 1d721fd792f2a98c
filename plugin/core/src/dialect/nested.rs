//! Content made of blocks that hold content: what Anthropic's and Google's newer requests have in common.
//!
//! Must not know: roles, which block belongs to which component.

use super::medium;
use super::object::{items, member, members, string};
use crate::frame::raw::Raw;
use crate::prompt::Piece;
use std::borrow::Cow;

/// Content holds blocks that hold content: a tool's result holds a search result, which holds text. What a hostile
/// body nests deeper is not looked into; it would cost stack and time without end.
pub(super) const NESTING_MAX: u8 = 4;

/// A text, or blocks.
pub(super) fn read_content<'a>(content: Raw<'a>, nesting: u8, piece: &mut dyn FnMut(Piece<'a>)) {
    match string(content) {
        Some(text) => piece(Piece::Text(text)),
        None => _ = items(content.get(), |block| read_block(block, nesting, piece)),
    }
}

/// Text, thinking, tool use with its input, tool results with content of their own; the rest is media.
pub(super) fn read_block<'a>(block: Raw<'a>, nesting: u8, piece: &mut dyn FnMut(Piece<'a>)) {
    let Some(deeper) = nesting.checked_sub(1) else { return piece(Piece::Unseen) };
    let mut is_text = false;
    members(block.get(), |key, value| match &*key {
        "text" | "thinking" | "name" => {
            is_text = true;
            string(value).into_iter().for_each(|text| piece(Piece::Text(text)));
        }
        "input" | "arguments" | "result" => {
            is_text = true;
            piece(Piece::Text(Cow::Borrowed(value.get())));
        }
        "content" => {
            is_text = true;
            read_content(value, deeper, piece);
        }
        // A document that is text, and one that is blocks.
        "source" => {
            let of = |key| member(value.get(), key);
            match (of("type").and_then(string).as_deref(), of("data"), of("content")) {
                (Some("text"), Some(data), _) => {
                    is_text = true;
                    string(data).into_iter().for_each(|text| piece(Piece::Text(text)));
                }
                (Some("content"), _, Some(content)) => {
                    is_text = true;
                    read_content(content, deeper, piece);
                }
                _ => {}
            }
        }
        // Thinking that only the provider can read.
        "type" if string(value).as_deref() == Some("redacted_thinking") => {
            is_text = true;
            piece(Piece::Unseen);
        }
        _ => {}
    });
    if !is_text {
        piece(Piece::Media(medium::read(block)));
    }
}
