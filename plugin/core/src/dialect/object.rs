//! Reading request JSON: objects and arrays whose members stay raw text.
//!
//! Every member is looked at on its own, so that one field of an odd type costs that field and not the request.
//! Invariants: borrows from the body; a key given twice is reported twice, so the last one wins as it does at
//! the providers; nesting is walked without recursion.
//! Must not know: what a field means.

use crate::frame::raw::{Cursor, Raw};
use std::borrow::Cow;

/// Calls `each` with every member of the object `json`; `false` when `json` is no object.
pub(crate) fn members<'a>(json: &'a str, mut each: impl FnMut(Cow<'a, str>, Raw<'a>)) -> bool {
    look(json, |key, value| {
        if let Some(value) = value.raw() {
            each(key, value);
        }
    })
}

/// Calls `each` at every member of the object `json`, which it may look into or leave; `false` when `json` is no
/// object. So a long member is passed over once.
pub(super) fn look<'a>(json: &'a str, each: impl FnMut(Cow<'a, str>, &mut Cursor<'a>)) -> bool {
    Cursor::new(json).members(each)
}

/// Calls `each` with every item of the array `json`; `false` when `json` is no array.
pub(crate) fn items<'a>(json: &'a str, mut each: impl FnMut(Raw<'a>)) -> bool {
    Cursor::new(json).items(|item| {
        if let Some(item) = item.raw() {
            each(item);
        }
    })
}

/// The member `key` of the object `json`, the last one where it is given more than once.
pub(super) fn member<'a>(json: &'a str, key: &str) -> Option<Raw<'a>> {
    let mut found = None;
    look(json, |name, value| {
        if name == key {
            found = value.raw();
        }
    });
    found
}

/// Passes over the value that is next, with the strings that its members of these names are, if it is an object.
pub(super) fn strings<'a, const N: usize>(
    value: &mut Cursor<'a>,
    names: [&str; N],
) -> Option<(Raw<'a>, [Option<Cow<'a, str>>; N])> {
    let mut found = [const { None }; N];
    let raw = value.raw_after(|value| {
        value.members(|key, member| {
            if let Some((_, found)) = names.iter().zip(&mut found).find(|(name, _)| **name == key) {
                *found = member.raw().and_then(string);
            }
        });
    })?;
    Some((raw, found))
}

/// The value as a string.
pub(super) fn string(value: Raw<'_>) -> Option<Cow<'_, str>> {
    value.string()
}

/// The value as a whole number that is not negative.
pub(super) fn count(value: Raw<'_>) -> Option<u64> {
    value.get().parse().ok()
}

/// The value as true or false.
pub(super) fn boolean(value: Raw<'_>) -> Option<bool> {
    value.get().parse().ok()
}

/// Whether the text is one JSON object.
pub(super) fn is_object(json: &str) -> bool {
    members(json, |_, _| {})
}

/// Whether the text is one JSON document and nothing else.
pub(super) fn is_json(text: &str) -> bool {
    Raw::of(text).is_some()
}
