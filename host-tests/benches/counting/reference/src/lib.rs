//! `tiktoken-rs` in WebAssembly, compiled like the filter: the counting bench runs both in one engine.
//!
//! A text is put where `allocate` says, and `count` counts its tokens in `o200k_base` and lets go of it.
//! Must not know: what is measured.

use std::mem::ManuallyDrop;

/// Room for a text of `size` bytes.
#[unsafe(no_mangle)]
pub extern "C" fn allocate(size: usize) -> *mut u8 {
    ManuallyDrop::new(Vec::<u8>::with_capacity(size)).as_mut_ptr()
}

/// The tokens of the text of `size` bytes that is where `allocate` made room for it.
///
/// # Safety
/// `text` was given by `allocate(size)`, and all of it has been written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn count(text: *mut u8, size: usize) -> u32 {
    // SAFETY: as promised by the caller.
    let text = unsafe { Vec::from_raw_parts(text, size, size) };
    let tokens = tiktoken_rs::o200k_base_singleton().encode_ordinary(&String::from_utf8_lossy(&text)).len();
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
