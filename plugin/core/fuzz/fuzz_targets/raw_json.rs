//! Any text is JSON to the cursor where it is to serde, and the same value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tollgate_core::frame::raw::Raw;

fuzz_target!(|json: &str| {
    let expected: Option<&RawValue> = serde_json::from_str(json).ok();
    assert_eq!(Raw::of(json).map(Raw::get), expected.map(RawValue::get));
});
