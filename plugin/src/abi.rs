//! The proxy-wasm ABI 0.2.1 as it really is: imports that return statuses, exports that never trap.
//!
//! Gateways return statuses that the ABI does not name (APISIX: 12) and call contexts that they never created, so
//! nothing here unwraps: a status that is not 0 is an [`Status`] error, an unknown context is left alone (in
//! `contexts`). Only functions that Envoy, Kong and APISIX all link may be declared; a test reads the import list
//! of the built module. ABI: proxy-wasm/spec, abi-versions/v0.2.1.
//! Must not know: what the bytes mean.
#![expect(unsafe_code, reason = "the boundary to the gateway is raw memory; this is the only module that touches it")]

use crate::contexts;
use crate::root::Root;

/// A status other than 0 that a host function returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u32);

/// What the gateway is to do after a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Continue,
    Pause,
}

/// Whose headers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Headers {
    Request = 0,
    Response = 2,
    /// Of the answer to a call of our own.
    CalloutResponse = 6,
}

/// Which bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    /// Of the answer to a call of our own.
    CalloutBody = 4,
    PluginConfiguration = 7,
}

/// How urgent a log line is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LogLevel {
    Info = 2,
    Warn = 3,
    Critical = 5,
}

/// Counters add up, gauges are set, histograms record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MetricKind {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

mod imports {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(super) fn proxy_log(level: u32, message: *const u8, length: usize) -> u32;
        pub(super) fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, length: *mut usize) -> u32;
        pub(super) fn proxy_replace_header_map_value(
            map: u32,
            key: *const u8,
            key_length: usize,
            value: *const u8,
            value_length: usize,
        ) -> u32;
        pub(super) fn proxy_remove_header_map_value(map: u32, key: *const u8, key_length: usize) -> u32;
        pub(super) fn proxy_set_buffer_bytes(
            buffer: u32,
            start: usize,
            size: usize,
            data: *const u8,
            length: usize,
        ) -> u32;
        pub(super) fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            max: usize,
            data: *mut *mut u8,
            length: *mut usize,
        ) -> u32;
        pub(super) fn proxy_get_property(
            path: *const u8,
            path_length: usize,
            data: *mut *mut u8,
            length: *mut usize,
        ) -> u32;
        pub(super) fn proxy_set_property(
            path: *const u8,
            path_length: usize,
            value: *const u8,
            value_length: usize,
        ) -> u32;
        pub(super) fn proxy_close_stream(stream: u32) -> u32;
        pub(super) fn proxy_continue_stream(stream: u32) -> u32;
        pub(super) fn proxy_set_effective_context(context: u32) -> u32;
        pub(super) fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_length: usize,
            body: *const u8,
            body_length: usize,
            headers: *const u8,
            headers_length: usize,
            grpc_status: i32,
        ) -> u32;
        pub(super) fn proxy_get_shared_data(
            key: *const u8,
            key_length: usize,
            data: *mut *mut u8,
            length: *mut usize,
            cas: *mut u32,
        ) -> u32;
        pub(super) fn proxy_set_shared_data(
            key: *const u8,
            key_length: usize,
            value: *const u8,
            value_length: usize,
            cas: u32,
        ) -> u32;
        pub(super) fn proxy_define_metric(kind: u32, name: *const u8, length: usize, id: *mut u32) -> u32;
        pub(super) fn proxy_increment_metric(id: u32, amount: i64) -> u32;
        pub(super) fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        pub(super) fn proxy_http_call(
            upstream: *const u8,
            upstream_length: usize,
            headers: *const u8,
            headers_length: usize,
            body: *const u8,
            body_length: usize,
            trailers: *const u8,
            trailers_length: usize,
            timeout_ms: u32,
            token: *mut u32,
        ) -> u32;
        pub(super) fn proxy_record_metric(id: u32, value: u64) -> u32;
    }
}

fn check(status: u32) -> Result<(), Status> {
    if status == 0 { Ok(()) } else { Err(Status(status)) }
}

/// Runs a call that hands over memory it had `proxy_on_memory_allocate` allocate; `None` when it handed over none.
fn receive(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Option<Vec<u8>>, Status> {
    let mut data: *mut u8 = std::ptr::null_mut();
    let mut length: usize = 0;
    check(call(&raw mut data, &raw mut length))?;
    if data.is_null() {
        return Ok(None);
    }
    // SAFETY: the host filled a buffer that `proxy_on_memory_allocate` made with exactly this capacity, and
    // passes its ownership.
    Ok(Some(unsafe { Vec::from_raw_parts(data, length, length) }))
}

/// Writes a log line. There is nobody to tell when even that fails.
pub(crate) fn log(level: LogLevel, message: &str) {
    // SAFETY: pointer and length are those of a live string; so they are in every call below.
    _ = unsafe { imports::proxy_log(level as u32, message.as_ptr(), message.len()) };
}

/// All header fields, serialised as [`pairs`] reads them.
pub(crate) fn header_pairs(of: Headers) -> Result<Vec<u8>, Status> {
    let bytes = receive(|data, length| unsafe { imports::proxy_get_header_map_pairs(of as u32, data, length) })?;
    Ok(bytes.unwrap_or_default())
}

/// Ends the response that runs, for client and provider. Only Envoy can; Kong kills the request.
pub(crate) fn close_response() -> Result<(), Status> {
    const RESPONSE: u32 = 1;
    check(unsafe { imports::proxy_close_stream(RESPONSE) })
}

/// Sets a header, replacing what it was.
pub(crate) fn replace_header(of: Headers, name: &str, value: &str) -> Result<(), Status> {
    check(unsafe {
        imports::proxy_replace_header_map_value(of as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Removes a header; one that is not there is removed already.
pub(crate) fn remove_header(of: Headers, name: &str) -> Result<(), Status> {
    check(unsafe { imports::proxy_remove_header_map_value(of as u32, name.as_ptr(), name.len()) })
}

/// Puts other bytes in the place of all that a buffer holds.
pub(crate) fn replace_buffer(buffer: Buffer, bytes: &[u8]) -> Result<(), Status> {
    // Hosts cut off what they replace at what they hold.
    const ALL: usize = 0x7FFF_FFFF;
    check(unsafe { imports::proxy_set_buffer_bytes(buffer as u32, 0, ALL, bytes.as_ptr(), bytes.len()) })
}

/// The first `size` bytes of a buffer; `None` when the host has nothing to hand over.
pub(crate) fn buffer(buffer: Buffer, size: usize) -> Result<Option<Vec<u8>>, Status> {
    window(buffer, 0, size)
}

/// `size` bytes of a buffer from `start` on. Kong ignores where to start.
pub(crate) fn window(buffer: Buffer, start: usize, size: usize) -> Result<Option<Vec<u8>>, Status> {
    receive(|data, length| unsafe { imports::proxy_get_buffer_bytes(buffer as u32, start, size, data, length) })
}

/// A property by its path; `None` when there is none.
pub(crate) fn property(path: &[&str]) -> Option<Vec<u8>> {
    let path = path.join("\0");
    receive(|data, length| unsafe { imports::proxy_get_property(path.as_ptr(), path.len(), data, length) }).ok()?
}

/// Whether a property is there, with a value or without.
pub(crate) fn has_property(path: &[&str]) -> bool {
    let path = path.join("\0");
    receive(|data, length| unsafe { imports::proxy_get_property(path.as_ptr(), path.len(), data, length) }).is_ok()
}

/// Sets a property.
pub(crate) fn set_property(path: &[&str], value: &str) -> Result<(), Status> {
    let path = path.join("\0");
    check(unsafe { imports::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

/// Answers the request in the upstream's place.
pub(crate) fn send_local_response(
    status: u16,
    details: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(), Status> {
    const NO_GRPC_STATUS: i32 = -1;
    let headers = serialise(headers);
    check(unsafe {
        imports::proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            NO_GRPC_STATUS,
        )
    })
}

/// A shared value with the number that a write must give to replace just this value; `None` when there is none.
pub(crate) fn shared_data(key: &str) -> Result<Option<(Vec<u8>, u32)>, Status> {
    const NOT_FOUND: Status = Status(1);
    let mut cas: u32 = 0;
    let value = receive(|data, length| unsafe {
        imports::proxy_get_shared_data(key.as_ptr(), key.len(), data, length, &raw mut cas)
    });
    match value {
        Ok(value) => Ok(value.map(|value| (value, cas))),
        Err(NOT_FOUND) => Ok(None),
        Err(status) => Err(status),
    }
}

/// Writes a shared value; what `cas` means where there is none yet differs between gateways.
pub(crate) fn set_shared_data(key: &str, value: &[u8], cas: u32) -> Result<(), Status> {
    check(unsafe { imports::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) })
}

/// Lets a request go on that a callback held.
pub(crate) fn continue_request() -> Result<(), Status> {
    const REQUEST: u32 = 0;
    check(unsafe { imports::proxy_continue_stream(REQUEST) })
}

/// From here to the end of the callback, calls of host functions are those of another context.
pub(crate) fn act_for(context: u32) -> Result<(), Status> {
    check(unsafe { imports::proxy_set_effective_context(context) })
}

/// Asks for `proxy_on_tick` every so many milliseconds.
pub(crate) fn set_tick_period(milliseconds: u32) -> Result<(), Status> {
    check(unsafe { imports::proxy_set_tick_period_milliseconds(milliseconds) })
}

/// Starts an HTTP call of our own and returns the token that its answer will bear.
pub(crate) fn http_call(target: &str, headers: &[(&str, &str)], body: &str, timeout_ms: u32) -> Result<u32, Status> {
    let (headers, trailers) = (serialise(headers), serialise(&[]));
    let mut token: u32 = 0;
    check(unsafe {
        imports::proxy_http_call(
            target.as_ptr(),
            target.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            timeout_ms,
            &raw mut token,
        )
    })?;
    Ok(token)
}

/// Defines a metric and returns its id.
pub(crate) fn define_metric(kind: MetricKind, name: &str) -> Result<u32, Status> {
    let mut id: u32 = 0;
    check(unsafe { imports::proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds to a counter.
pub(crate) fn increment_metric(id: u32, amount: u64) -> Result<(), Status> {
    let amount = i64::try_from(amount).unwrap_or(i64::MAX);
    check(unsafe { imports::proxy_increment_metric(id, amount) })
}

/// Records a value in a histogram.
pub(crate) fn record_metric(id: u32, value: u64) -> Result<(), Status> {
    check(unsafe { imports::proxy_record_metric(id, value) })
}

/// Pairs as the ABI serialises them: a count, the lengths of each key and value, then all of them, each ended by a
/// zero byte; numbers are 32 bits, little-endian.
pub(crate) fn pairs(bytes: &[u8]) -> Vec<(&str, &str)> {
    let mut pairs = Vec::new();
    let word = |at: usize| -> Option<usize> {
        let word = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(word)).ok()
    };
    let Some(count) = word(0) else { return pairs };
    let mut lengths: usize = 4;
    let mut text = count.saturating_mul(8).saturating_add(4);
    let mut next = |length: usize| -> Option<&str> {
        let end = text.checked_add(length)?;
        let part = bytes.get(text..end)?;
        text = end.checked_add(1)?;
        // A header that is not UTF-8 has no meaning here, but must not hide the others.
        Some(std::str::from_utf8(part).unwrap_or_default())
    };
    for _ in 0..count {
        let (Some(key), Some(value)) = (word(lengths), word(lengths.saturating_add(4))) else { break };
        let (Some(key), Some(value)) = (next(key), next(value)) else { break };
        pairs.push((key, value));
        lengths = lengths.saturating_add(8);
    }
    pairs
}

fn serialise(pairs: &[(&str, &str)]) -> Vec<u8> {
    let word = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = word(pairs.len()).to_vec();
    for (key, value) in pairs {
        bytes.extend(word(key.len()));
        bytes.extend(word(value.len()));
    }
    for text in pairs.iter().flat_map(|(key, value)| [key, value]) {
        bytes.extend(text.as_bytes());
        bytes.push(0);
    }
    bytes
}

unsafe extern "C" {
    fn __wasm_call_ctors();
}

// SAFETY of all exports: their names are those of the ABI, and no other crate of the module defines them.

/// The module is loaded.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    // SAFETY: called once, by the host, before anything else.
    unsafe { __wasm_call_ctors() };
}

/// Tells the host which ABI this is.
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// The host needs memory to hand something over; [`receive`] takes it back.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    let mut memory = std::mem::ManuallyDrop::new(Vec::<u8>::with_capacity(size));
    memory.as_mut_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    contexts::create(context, parent);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_vm_start(_context: u32, _configuration_size: usize) -> u32 {
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(context: u32, configuration_size: usize) -> u32 {
    contexts::configure(context, configuration_size);
    // A refusal would let traffic pass unmetered on Kong and fail all of it on APISIX; see `root`.
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(context: u32) {
    contexts::root(context, Root::on_tick);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(context: u32, token: u32, headers: usize, body: usize, _trailers: usize) {
    contexts::on_callout_answered(context, token, headers > 0, body);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _count: usize, end_of_stream: u32) -> u32 {
    contexts::http(context, |http, root| http.on_request_headers(root, end_of_stream != 0))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(context: u32, size: usize, end_of_stream: u32) -> u32 {
    contexts::http(context, |http, root| http.on_request_body(root, size, end_of_stream != 0))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(context: u32, _count: usize) -> u32 {
    contexts::http(context, |http, root| http.on_request_trailers(root))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, _count: usize, end_of_stream: u32) -> u32 {
    contexts::hand_on(context);
    contexts::http(context, |http, root| http.on_response_headers(root, end_of_stream != 0))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(context: u32, size: usize, end_of_stream: u32) -> u32 {
    contexts::http(context, |http, root| http.on_response_body(root, size, end_of_stream != 0))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_trailers(context: u32, _count: usize) -> u32 {
    contexts::http(context, |http, root| http.on_response_trailers(root))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_done(context: u32) -> u32 {
    contexts::http(context, |http, root| http.on_done(root));
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(context: u32) {
    contexts::http(context, |http, root| http.on_log(root));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    contexts::delete(context);
}
