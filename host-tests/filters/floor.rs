//! The least a proxy-wasm filter can do with bodies: it has both copied into its memory, and does nothing with them.
//!
//! The gateway bench measures it as the floor: what any filter in this place costs that reads what passes. Requests are
//! buffered whole, as Tollgate does, so that both ask the same of the gateway; responses are copied piece by piece.
//! One file, no crates: `rustc --target wasm32-wasip1` builds it in a second.
#![allow(clippy::missing_safety_doc)]

use std::hint::black_box;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_buffer_bytes(buffer: u32, start: usize, max: usize, data: *mut *mut u8, length: *mut usize) -> u32;
}

const REQUEST_BODY: u32 = 0;
const RESPONSE_BODY: u32 = 1;
const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;

/// Has the gateway copy the first `size` bytes of a body, and lets go of them.
fn copy(buffer: u32, size: usize) {
    let (mut data, mut length) = (std::ptr::null_mut(), 0);
    let status = unsafe { proxy_get_buffer_bytes(buffer, 0, size, &raw mut data, &raw mut length) };
    if status == 0 && !data.is_null() {
        drop(black_box(unsafe { Vec::from_raw_parts(data, length, length) }));
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    std::mem::ManuallyDrop::new(Vec::<u8>::with_capacity(size)).as_mut_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_vm_start(_context: u32, _size: usize) -> u32 {
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(_context: u32, _size: usize) -> u32 {
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(_context: u32, _parent: u32) {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(_context: u32, _count: usize, _end: u32) -> u32 {
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(_context: u32, size: usize, end: u32) -> u32 {
    if end == 0 {
        return PAUSE;
    }
    copy(REQUEST_BODY, size);
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(_context: u32, _count: usize, _end: u32) -> u32 {
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(_context: u32, size: usize, _end: u32) -> u32 {
    copy(RESPONSE_BODY, size);
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(_context: u32) {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(_context: u32) {}
