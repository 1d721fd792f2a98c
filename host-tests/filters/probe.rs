//! A test-only proxy-wasm filter that keeps Tollgate's promises to the gateway without metering anything.
//!
//! It defines metrics with `;key=value` labels, writes filter state while the call runs, logs one event per call, counts calls
//! in shared data, holds headers when told to, and traps when a request header says so. With it the tests prove what
//! the *gateway* does (labels, access log, span tags, recovery after a trap), apart from what the filter computes.
//! One file, no crates: `rustc --target wasm32-wasip1` builds it in a second.
//!
//! Must not know: providers, prices, tokens. Its numbers are constants, so that a test can recognise them.
#![allow(clippy::missing_safety_doc)]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// The imports of proxy-wasm ABI 0.2.1 that this filter uses. Every one returns a status; 0 is success.
mod abi {
    unsafe extern "C" {
        pub fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
        pub fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> u32;
        pub fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
        pub fn proxy_increment_metric(id: u32, by: i64) -> u32;
        pub fn proxy_record_metric(id: u32, value: u64) -> u32;
        pub fn proxy_get_buffer_bytes(
            kind: u32,
            start: usize,
            max: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
        ) -> u32;
        pub fn proxy_get_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
        ) -> u32;
        pub fn proxy_add_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub fn proxy_get_shared_data(
            key: *const u8,
            key_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
            cas: *mut u32,
        ) -> u32;
        pub fn proxy_set_shared_data(
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
            cas: u32,
        ) -> u32;
    }
}

const REQUEST_HEADERS: u32 = 0;
const RESPONSE_HEADERS: u32 = 2;
const PLUGIN_CONFIGURATION: u32 = 7;
const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;
const COUNTER: u32 = 0;
const HISTOGRAM: u32 = 2;
const INFO: u32 = 2;

fn log(text: &str) {
    unsafe { abi::proxy_log(INFO, text.as_ptr(), text.len()) };
}

fn set_state(name: &str, value: &str) {
    unsafe { abi::proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

fn metric(kind: u32, name: &str) -> u32 {
    let mut id = 0;
    unsafe { abi::proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) };
    id
}

fn count(name: &str, by: i64) {
    unsafe { abi::proxy_increment_metric(metric(COUNTER, name), by) };
}

fn record(name: &str, value: u64) {
    unsafe { abi::proxy_record_metric(metric(HISTOGRAM, name), value) };
}

/// Takes over bytes that the gateway wrote through `proxy_on_memory_allocate`.
fn taken(value: *mut u8, size: usize) -> Vec<u8> {
    if value.is_null() { Vec::new() } else { unsafe { Vec::from_raw_parts(value, size, size) } }
}

fn header(map: u32, name: &str) -> Option<String> {
    let (mut value, mut size) = (std::ptr::null_mut(), 0);
    let status =
        unsafe { abi::proxy_get_header_map_value(map, name.as_ptr(), name.len(), &raw mut value, &raw mut size) };
    (status == 0).then(|| String::from_utf8_lossy(&taken(value, size)).into_owned())
}

fn add_header(map: u32, name: &str, value: &str) -> u32 {
    unsafe { abi::proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) }
}

/// One more call in the shared counter; returns the new count.
fn count_shared() -> u64 {
    let key = "probe.calls";
    loop {
        let (mut value, mut size, mut cas) = (std::ptr::null_mut(), 0, 0);
        let status =
            unsafe { abi::proxy_get_shared_data(key.as_ptr(), key.len(), &raw mut value, &raw mut size, &raw mut cas) };
        let before = if status == 0 {
            String::from_utf8_lossy(&taken(value, size)).parse().unwrap_or(0)
        } else {
            cas = u32::MAX; // Envoy: write only if absent
            0
        };
        let after = (before + 1_u64).to_string();
        if unsafe { abi::proxy_set_shared_data(key.as_ptr(), key.len(), after.as_ptr(), after.len(), cas) } == 0 {
            return before + 1;
        }
    }
}

#[derive(Default)]
struct Call {
    app: String,
    body_bytes: usize,
    chunks: u32,
    complete: bool,
}

thread_local! {
    static CALLS: RefCell<HashMap<u32, Call>> = RefCell::default();
    static HOLD: Cell<bool> = const { Cell::new(false) };
}

fn with_call(context: u32, change: impl FnOnce(&mut Call)) {
    CALLS.with_borrow_mut(|calls| {
        if let Some(call) = calls.get_mut(&context) {
            change(call);
        }
    });
}

fn publish(call: &Call) {
    let outcome = if call.complete { "complete" } else { "incomplete" };
    let tokens = call.chunks.to_string();
    set_state("tollgate.outcome", outcome);
    set_state("gen_ai.usage.input_tokens", "1200");
    set_state("gen_ai.usage.output_tokens", &tokens);
    set_state("gen_ai.usage.cache_read.input_tokens", "1024");
    set_state("gen_ai.request.model", "probe-4.1/mini");
    set_state("gen_ai.response.model", "probe-4.1/mini-2026");
    set_state("gen_ai.provider.name", "openai");
    set_state("gen_ai.operation.name", "chat");
    set_state("llm.cost", "0.001206");
    set_state("llm.application_id", &call.app);
    let event = format!(
        r#"{{"schema":"tollgate.event.v1","outcome":"{outcome}","input_tokens":1200,"output_tokens":{tokens},"cost_usd":"0.001206","attribution":{{"app":"{}"}},"note":"quote \" and é"}}"#,
        call.app.replace('"', "'"),
    );
    set_state("tollgate.event", &event);
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    let mut bytes = Vec::<u8>::with_capacity(size);
    let start = bytes.as_mut_ptr();
    std::mem::forget(bytes);
    start
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_context_create(_context: u32, _root: u32) {}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_vm_start(_context: u32, _size: usize) -> u32 {
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_configure(_context: u32, size: usize) -> u32 {
    let (mut value, mut length) = (std::ptr::null_mut(), 0);
    let status = unsafe { abi::proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, &raw mut value, &raw mut length) };
    let text = if status == 0 { taken(value, length) } else { Vec::new() };
    let text = String::from_utf8_lossy(&text);
    log(&format!("probe configuration {text}"));
    HOLD.set(text.contains(r#""hold_headers":true"#));
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_headers(context: u32, _count: usize, end_of_stream: u32) -> u32 {
    if header(REQUEST_HEADERS, "x-probe-trap").is_some() {
        panic!("told to trap");
    }
    if header(REQUEST_HEADERS, ":method").as_deref() != Some("POST") {
        return CONTINUE;
    }
    let app = header(REQUEST_HEADERS, "x-tollgate-app").unwrap_or_else(|| "unknown".to_owned());
    let call = Call { app, ..Call::default() };
    publish(&call);
    CALLS.with_borrow_mut(|calls| calls.insert(context, call));
    if HOLD.get() && end_of_stream == 0 { PAUSE } else { CONTINUE }
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_body(context: u32, size: usize, end_of_stream: u32) -> u32 {
    let mut action = CONTINUE;
    with_call(context, |call| {
        // While paused the gateway buffers, and `size` is everything so far.
        call.body_bytes = size;
        if end_of_stream == 0 {
            action = PAUSE;
        } else {
            let status = add_header(REQUEST_HEADERS, "x-probe-body-bytes", &size.to_string());
            log(&format!("probe header after body: status {status}"));
        }
    });
    action
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_headers(context: u32, _count: usize, _end_of_stream: u32) -> u32 {
    with_call(context, |_| {
        add_header(RESPONSE_HEADERS, "x-probe-calls", &count_shared().to_string());
    });
    CONTINUE
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_body(context: u32, _size: usize, end_of_stream: u32) -> u32 {
    with_call(context, |call| {
        call.chunks += 1;
        call.complete = end_of_stream != 0;
        publish(call);
    });
    CONTINUE
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_done(_context: u32) -> u32 {
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_log(context: u32) {
    with_call(context, |call| {
        let outcome = if call.complete { "complete" } else { "incomplete" };
        let app = &call.app;
        set_state("tollgate.finished", "yes"); // too late for spans, in time for the access log
        log(&format!(r#"tollgate event {{"outcome":"{outcome}","app":"{app}"}}"#));
        count(&format!("tollgate_requests_total;app={app};outcome={outcome};provider=openai"), 1);
        for (kind, tokens) in [("input", 1200), ("output", 34)] {
            count(&format!("tollgate_tokens_total;app={app};model=probe-4.1/mini;type={kind}"), tokens);
        }
        // Envoy's own rules take `_rq_500` at the very end of a name for a response code, hence a plain label last.
        count("tollgate_cost_nanousd_total;app=a;team=;user=Zoë \"Z\" \\ 7%;model=gpt-4.1:ft_rq_500;type=input", 1206);
        count("tollgate_unmetered_total;reason=no_usage", 1);
        record(&format!("tollgate_duration_ms;app={app};model=probe-4.1/mini"), 120);
        record("tollgate_ttft_ms;model=probe-4.1/mini", 45);
        record("tollgate_input_tokens;model=probe-4.1/mini", 1200);
    });
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_delete(context: u32) {
    CALLS.with_borrow_mut(|calls| calls.remove(&context));
}
