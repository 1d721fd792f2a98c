//! Reading request JSON: objects and arrays whose members stay raw text.
//!
//! Every member is looked at on its own, so that one field of an odd type costs that field and not the request.
//! Invariants: borrows from the body; a key given twice is reported twice, so the last one wins as it does at
//! the providers; nesting is walked without recursion.
//! Must not know: what a field means.

use super::shape;
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

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// An object.
    Object,
    /// An object with a field in unusual case, so that servers differ on what it asks for.
    Ambiguous,
    /// Anything else.
    Other,
}

/// Calls `each` at every field of a request body, which it may look into or leave.
pub(super) fn fields<'a>(json: &'a str, mut each: impl FnMut(Cow<'a, str>, &mut Cursor<'a>)) -> Form {
    let mut is_ambiguous = false;
    let is_object = look(json, |key, value| {
        is_ambiguous |= shape::is_ambiguous(&key);
        each(key, value);
    });
    match (is_object, is_ambiguous) {
        (false, _) => Form::Other,
        (true, true) => Form::Ambiguous,
        (true, false) => Form::Object,
    }
}

/// Calls `each` with every field of a request body.
pub(super) fn whole_fields<'a>(json: &'a str, mut each: impl FnMut(Cow<'a, str>, Raw<'a>)) -> Form {
    fields(json, |key, value| {
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
pub(crate) fn member<'a>(json: &'a str, key: &str) -> Option<Raw<'a>> {
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
pub(crate) fn string(value: Raw<'_>) -> Option<Cow<'_, str>> {
    value.string()
}

/// The value as a whole number that is not negative.
pub(super) fn count(value: Raw<'_>) -> Option<u64> {
    value.get().parse().ok()
}

/// The most output that several fields allow together: the largest, since servers differ on which one counts. `None`
/// where none is given, or one that cannot be read.
pub(super) fn bound<const N: usize>(fields: [Option<Raw<'_>>; N]) -> Option<u64> {
    let given = fields.into_iter().flatten().filter(|value| value.get() != "null");
    given.map(count).reduce(|most, bound| Some(most?.max(bound?))).flatten()
}

/// Whether a switch is on, for the most lenient of servers.
pub(super) fn is_on(value: Raw<'_>) -> bool {
    let is_true = |text: &str| ["true", "1", "yes", "on", "y", "t"].iter().any(|on| text.eq_ignore_ascii_case(on));
    is_true(value.get()) || string(value).is_some_and(|text| is_true(&text))
}

/// Whether the text is one JSON object.
pub(super) fn is_object(json: &str) -> bool {
    members(json, |_, _| {})
}

/// Whether the text is one JSON document and nothing else.
pub(super) fn is_json(text: &str) -> bool {
    Raw::of(text).is_some()
}
