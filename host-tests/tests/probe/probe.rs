//! The probe: a filter that does what its configuration says, and logs what came back.
//!
//! The configuration is lines of `<callback> <operation> <argument>...`. Each operation logs
//! `<callback> <operation>=<status>` with the value behind it, if any; each callback logs its arguments as
//! `<callback>(<number>, <end>)`. It calls the host through raw imports, so it sees every status.
//! Compiled by the tests with rustc alone. Must not know: which gateway it runs in.
#![allow(clippy::missing_safety_doc)]

use std::cell::RefCell;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(kind: u32, start: usize, max: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_buffer_bytes(kind: u32, start: usize, size: usize, data: *const u8, length: usize) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_value(map: u32, k: *const u8, ks: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_replace_header_map_value(map: u32, k: *const u8, ks: usize, v: *const u8, vs: usize) -> u32;
    fn proxy_remove_header_map_value(map: u32, k: *const u8, ks: usize) -> u32;
    fn proxy_get_property(path: *const u8, size: usize, data: *mut *mut u8, length: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, size: usize, value: *const u8, length: usize) -> u32;
    fn proxy_get_shared_data(k: *const u8, ks: usize, data: *mut *mut u8, size: *mut usize, cas: *mut u32) -> u32;
    fn proxy_set_shared_data(k: *const u8, ks: usize, v: *const u8, vs: usize, cas: u32) -> u32;
    fn proxy_continue_stream(kind: u32) -> u32;
    fn proxy_close_stream(kind: u32) -> u32;
    #[rustfmt::skip]
    fn proxy_send_local_response(status: u32, d: *const u8, ds: usize, b: *const u8, bs: usize, h: *const u8, hs: usize, grpc: i32) -> u32;
    #[rustfmt::skip]
    fn proxy_http_call(u: *const u8, us: usize, h: *const u8, hs: usize, b: *const u8, bs: usize, t: *const u8, ts: usize, timeout: u32, token: *mut u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_done() -> u32;
    #[cfg(with_get_metric)]
    fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
    #[cfg(with_log_level)]
    fn proxy_get_log_level(level: *mut u32) -> u32;
}

thread_local! {
    static SCRIPT: RefCell<Vec<Vec<String>>> = const { RefCell::new(Vec::new()) };
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    let mut block = Vec::with_capacity(size);
    let pointer = block.as_mut_ptr();
    std::mem::forget(block);
    pointer
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_context_create(_: u32, _: u32) {}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_vm_start(_: u32, size: u32) -> u32 {
    log(&format!("vm_start({size})"));
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_configure(_: u32, size: u32) -> u32 {
    let config = get(|data, length| unsafe { proxy_get_buffer_bytes(7, 0, size as usize, data, length) });
    let text = String::from_utf8(config.1.unwrap_or_default()).unwrap();
    SCRIPT.set(text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect());
    1 - (run("configure", size, false) & 1)
}

macro_rules! callbacks {
    ($($export:ident $name:literal;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $export(_: u32, number: u32, end: u32) -> u32 {
            run($name, number, end != 0)
        }
    )*};
}

callbacks! {
    proxy_on_request_headers "request_headers";
    proxy_on_request_body "request_body";
    proxy_on_response_headers "response_headers";
    proxy_on_response_body "response_body";
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_trailers(_: u32, number: u32) -> u32 {
    run("request_trailers", number, true)
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_trailers(_: u32, number: u32) -> u32 {
    run("response_trailers", number, true)
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_http_call_response(_: u32, token: u32, headers: u32, body: u32, trailers: u32) {
    log(&format!("call(token {token}, {headers} headers, {body} bytes, {trailers} trailers)"));
    run("call", headers, true);
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_tick(_: u32) {
    run("tick", 0, false);
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_done(_: u32) -> u32 {
    run("done", 0, false);
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_log(_: u32) {
    run("log", 0, false);
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_delete(_: u32) {
    run("delete", 0, false);
}

/// Runs the lines of one callback; `<callback>_end` lines only at the end of the stream. 1 is Pause.
fn run(callback: &str, number: u32, end: bool) -> u32 {
    log(&format!("{callback}({number}, {end})"));
    let script = SCRIPT.with_borrow(Clone::clone);
    let mut action = 0;
    for line in &script {
        let words: Vec<&str> = line.iter().map(String::as_str).collect();
        let [when, operation, args @ ..] = words.as_slice() else { continue };
        let at_end = format!("{callback}_end");
        if *when != callback && !(end && *when == at_end) {
            continue;
        }
        match *operation {
            "pause" => action = 1,
            "pause_until_end" => action = u32::from(!end),
            "trap_if_header" => {
                let (status, _) = header(0, args[0]);
                if status == 0 {
                    std::process::abort();
                }
            }
            _ => {
                let (status, value) = operate(operation, args);
                let value = value.map(|value| format!(" {}", String::from_utf8_lossy(&value))).unwrap_or_default();
                log(&format!("{callback} {operation}={status}{value}"));
            }
        }
    }
    action
}

fn operate(operation: &str, args: &[&str]) -> (u32, Option<Vec<u8>>) {
    let number = |index: usize| args.get(index).map_or(0, |arg| arg.parse::<u32>().unwrap());
    let text = |index: usize| args.get(index).copied().unwrap_or_default();
    let status = match operation {
        "get_shared" => {
            let (key, mut cas) = (text(0), 0);
            let (status, value) =
                get(|data, size| unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &mut cas) });
            return (status, value.map(|value| [value, format!("@{cas}").into_bytes()].concat()));
        }
        "set_shared" => {
            let (key, value) = (text(0), text(1));
            let cas = if text(2) == "max" { u32::MAX } else { number(2) };
            unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) }
        }
        "delete_shared" => unsafe {
            proxy_set_shared_data(text(0).as_ptr(), text(0).len(), std::ptr::null(), 0, number(1))
        },
        "fill_shared" => {
            let value = vec![b'x'; number(1) as usize];
            let set = |index| {
                let key = format!("fill{index}");
                unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), 0) }
            };
            (0..number(0)).map(set).max().unwrap_or(0)
        }
        "header" => return header(number(0), text(1)),
        "pairs" => return get(|data, size| unsafe { proxy_get_header_map_pairs(number(0), data, size) }),
        "set_header" => unsafe {
            let (name, value) = (text(1), text(2));
            proxy_replace_header_map_value(number(0), name.as_ptr(), name.len(), value.as_ptr(), value.len())
        },
        "remove_header" => unsafe { proxy_remove_header_map_value(number(0), text(1).as_ptr(), text(1).len()) },
        "property" => {
            let path = text(0).replace('/', "\0");
            let (status, value) = get(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) });
            // a number is shown by its bytes
            let shown = value.map(|value| match std::str::from_utf8(&value) {
                Ok(text) if !text.contains('\0') => value,
                _ => format!("{value:?}").into_bytes(),
            });
            return (status, shown);
        }
        "set_property" => unsafe {
            let path = text(0).replace('/', "\0");
            proxy_set_property(path.as_ptr(), path.len(), text(1).as_ptr(), text(1).len())
        },
        "body" => {
            let max = args.get(2).map_or(i32::MAX as u32, |_| number(2));
            return get(|data, size| unsafe {
                proxy_get_buffer_bytes(number(0), number(1) as usize, max as usize, data, size)
            });
        }
        "replace" => unsafe {
            let size = if text(1) == "all" { i32::MAX as u32 } else { number(1) };
            proxy_set_buffer_bytes(number(0), 0, size as usize, text(2).as_ptr(), text(2).len())
        },
        "reply" => unsafe {
            let (null, body) = (std::ptr::null(), text(1));
            proxy_send_local_response(number(0), null, 0, body.as_ptr(), body.len(), null, 0, -1)
        },
        "dispatch" => {
            let (mut token, null, target) = (0, std::ptr::null(), text(0));
            let headers = pairs(&[(":method", "GET"), (":path", "/budget"), (":authority", "store")]);
            let (size, timeout) = (headers.len(), number(1));
            let target_size = target.len();
            unsafe {
                let (target, headers) = (target.as_ptr(), headers.as_ptr());
                proxy_http_call(target, target_size, headers, size, null, 0, null, 0, timeout, &mut token)
            }
        }
        "metric" => unsafe {
            let (mut id, name) = (0, text(1).replace('~', &"n".repeat(256)));
            let defined = proxy_define_metric(number(0), name.as_ptr(), name.len(), &mut id);
            let value = number(2);
            let used = if number(0) == 2 {
                proxy_record_metric(id, u64::from(value))
            } else {
                proxy_increment_metric(id, i64::from(value))
            };
            return (defined.max(used), Some(format!("id {id}").into_bytes()));
        },
        "tick" => unsafe { proxy_set_tick_period_milliseconds(number(0)) },
        "now" => {
            let mut time = 0;
            let status = unsafe { proxy_get_current_time_nanoseconds(&mut time) };
            return (status, (status == 0).then(|| time.to_string().into_bytes()));
        }
        "wasi_now" => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            return (0, Some(now.as_nanos().to_string().into_bytes()));
        }
        "environment" => return (0, std::env::var(text(0)).ok().map(String::into_bytes)),
        "random" => {
            let state = std::hash::RandomState::new();
            return (0, Some(std::hash::BuildHasher::hash_one(&state, 1).to_string().into_bytes()));
        }
        "print" => {
            eprintln!("printed");
            0
        }
        "continue" => unsafe { proxy_continue_stream(number(0)) },
        "close" => unsafe { proxy_close_stream(number(0)) },
        // the root context, which every VM has
        "context" => unsafe { proxy_set_effective_context(1) },
        "done" => unsafe { proxy_done() },
        "trap" => std::process::abort(),
        "spin" => loop {
            std::hint::black_box(0);
        },
        "hoard" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(vec![1; 1 << 20]);
                std::hint::black_box(&hoard);
            }
        }
        "work" => {
            let sum: u32 = (0..number(0)).map(std::hint::black_box).fold(0, u32::wrapping_add);
            return (0, Some(sum.to_string().into_bytes()));
        }
        #[cfg(with_get_metric)]
        "get_metric" => unsafe {
            let (mut id, mut value, name) = (0, 0, text(1));
            proxy_define_metric(number(0), name.as_ptr(), name.len(), &mut id);
            let status = proxy_get_metric(id, &mut value);
            return (status, Some(value.to_string().into_bytes()));
        },
        #[cfg(with_log_level)]
        "log_level" => unsafe { proxy_get_log_level(&mut 0) },
        unknown => panic!("the probe has no operation {unknown}"),
    };
    (status, None)
}

fn header(map: u32, name: &str) -> (u32, Option<Vec<u8>>) {
    get(|data, size| unsafe { proxy_get_header_map_value(map, name.as_ptr(), name.len(), data, size) })
}

fn get(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> (u32, Option<Vec<u8>>) {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    let status = call(&mut data, &mut size);
    if status != 0 {
        return (status, None);
    }
    let value = if data.is_null() { Vec::new() } else { unsafe { Vec::from_raw_parts(data, size, size) } };
    (status, Some(value))
}

fn pairs(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut wire = (fields.len() as u32).to_le_bytes().to_vec();
    for (name, value) in fields {
        wire.extend((name.len() as u32).to_le_bytes());
        wire.extend((value.len() as u32).to_le_bytes());
    }
    for (name, value) in fields {
        wire.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    wire
}

fn log(text: &str) {
    unsafe { proxy_log(2, text.as_ptr(), text.len()) };
}
