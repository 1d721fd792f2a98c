//! Reading request JSON: objects and arrays whose members stay raw text.
//!
//! Every member is looked at on its own, so that one field of an odd type costs that field and not the request.
//! Invariants: borrows from the body; a key given twice is reported twice, so the last one wins as it does at
//! the providers; nesting is walked without recursion.
//! Must not know: what a field means.

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Calls `each` with every member of the object `json`; `false` when `json` is no object.
pub(super) fn members<'a>(json: &'a str, each: impl FnMut(Cow<'a, str>, &'a RawValue)) -> bool {
    struct Members<F>(F);
    impl<'de, F: FnMut(Cow<'de, str>, &'de RawValue)> Visitor<'de> for Members<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((Text(key), value)) = map.next_entry()? {
                (self.0)(key, value);
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_map(Members(each)).is_ok()
}

/// Calls `each` with every item of the array `json`; `false` when `json` is no array.
pub(super) fn items<'a>(json: &'a str, each: impl FnMut(&'a RawValue)) -> bool {
    struct Items<F>(F);
    impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Items<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
            while let Some(item) = seq.next_element()? {
                (self.0)(item);
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_seq(Items(each)).is_ok()
}

/// The member `key` of the object `json`, the last one where it is given more than once.
pub(super) fn member<'a>(json: &'a str, key: &str) -> Option<&'a RawValue> {
    let mut found = None;
    members(json, |name, value| {
        if name == key {
            found = Some(value);
        }
    });
    found
}

/// The value as a string.
pub(super) fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(value.get()).ok().map(|Text(text)| text)
}

/// The value as a whole number that is not negative.
pub(super) fn count(value: &RawValue) -> Option<u64> {
    serde_json::from_str(value.get()).ok()
}

/// The value as true or false.
pub(super) fn boolean(value: &RawValue) -> Option<bool> {
    serde_json::from_str(value.get()).ok()
}

/// Whether the text is one JSON document and nothing else.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}
