//! Any text is JSON to the cursor where it is to serde, and the same value.

use serde_json::value::RawValue;
use tollgate_core::frame::raw::Raw;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(json) = std::str::from_utf8(bytes) else { return };
    let expected: Option<&RawValue> = serde_json::from_str(json).ok();
    assert_eq!(Raw::of(json).map(Raw::get), expected.map(RawValue::get));
}
