//! What the filter can call: every function a gateway links, and how it behaves there.
//!
//! A host call is `fn(&mut Guest, Args) -> Answer`. `Ok` is status 0; a [`Refusal`] is another status, or a host trap.
//! [`link`] wraps each with what is common to all: injected faults and what the gateway does not implement.
//! Invariant: no call looks at the real clock, file system or randomness.

mod guest;
mod http;
mod state;
mod wasi;

use wasmtime::{Engine, Linker, Val};

use super::{
    faults::Effect,
    imports::{ENV, WASI, linkable, linkable_wasi},
    profile::{Profile, Unsupported},
    vm::VmState,
};
use guest::{Args, Guest};

/// A status of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u32);

impl Status {
    pub(crate) const NOT_FOUND: Self = Self(1);
    pub(crate) const BAD_ARGUMENT: Self = Self(2);
    pub(crate) const PARSE_FAILURE: Self = Self(4);
    pub(crate) const INVALID_MEMORY: Self = Self(6);
    pub(crate) const EMPTY: Self = Self(7);
    pub(crate) const CAS_MISMATCH: Self = Self(8);
    pub(crate) const INTERNAL_FAILURE: Self = Self(10);
    pub(crate) const UNIMPLEMENTED: Self = Self(12);
}

/// Why a host call did not return status 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Status(Status),
    Trap(String),
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// How a host call went.
pub(crate) type Answer = Result<(), Refusal>;
type HostCall = fn(&mut Guest<'_, '_>, Args<'_>) -> Answer;

/// Links everything a gateway links.
pub(crate) fn link(engine: &Engine, profile: Profile) -> wasmtime::Result<Linker<VmState>> {
    let mut linker = Linker::new(engine);
    for &(name, signature) in linkable(profile) {
        let call = find(name);
        linker.func_new(ENV, name, signature.func_type(engine), move |mut caller, args, results| {
            let mut guest = Guest::new(&mut caller);
            let status = match answer(&mut guest, profile, name, call, Args(args)) {
                Ok(()) => 0,
                Err(Refusal::Status(Status(status))) => status,
                Err(Refusal::Trap(reason)) => return Err(wasmtime::Error::msg(format!("host trap: {name}: {reason}"))),
            };
            if let Some(result) = results.first_mut() {
                *result = Val::I32(status.cast_signed());
            }
            Ok(())
        })?;
    }
    for &(name, signature) in linkable_wasi() {
        linker.func_new(WASI, name, signature.func_type(engine), move |mut caller, args, results| {
            let errno = wasi::call(&mut Guest::new(&mut caller), name, Args(args))?;
            if let Some(result) = results.first_mut() {
                *result = Val::I32(errno);
            }
            Ok(())
        })?;
    }
    Ok(linker)
}

fn answer(guest: &mut Guest<'_, '_>, profile: Profile, name: &str, call: HostCall, args: Args<'_>) -> Answer {
    let struck = guest.process().faults.strike(name);
    match struck {
        Some(Effect::Status(0)) | None => {}
        Some(Effect::Status(status)) => return Err(Status(status).into()),
        Some(Effect::NoData) => return out_data(guest, name, args, &[]),
        Some(Effect::Data(bytes)) => return out_data(guest, name, args, &bytes),
    }
    match profile.unsupported(name) {
        Some(Unsupported::Status12) => Err(Status::UNIMPLEMENTED.into()),
        Some(Unsupported::Trap) => Err(Refusal::Trap("not implemented by this gateway".to_owned())),
        None => call(guest, args),
    }
}

/// Answers a `get_*` call with these bytes instead of its own.
fn out_data(guest: &mut Guest<'_, '_>, name: &str, args: Args<'_>, bytes: &[u8]) -> Answer {
    let first = match name {
        "proxy_get_configuration" => 0,
        "proxy_get_header_map_pairs" | "proxy_dequeue_shared_queue" => 1,
        "proxy_get_property" => 2,
        "proxy_get_buffer_bytes" | "proxy_get_header_map_value" | "proxy_get_shared_data" => {
            if name == "proxy_get_shared_data" {
                guest.write_u32(args.u32(4), 1)?;
            }
            if name == "proxy_get_shared_data" { 2 } else { 3 }
        }
        _ => return Err(Refusal::Trap(format!("the test asks {name} for odd data, which it does not return"))),
    };
    guest.hand_over(bytes, args.u32(first), args.u32(first + 1))
}

fn find(name: &str) -> HostCall {
    match name {
        "proxy_log" => state::log,
        "proxy_get_log_level" => state::log_level,
        "proxy_get_current_time_nanoseconds" => state::now,
        "proxy_set_tick_period_milliseconds" => state::set_tick_period,
        "proxy_get_configuration" => state::configuration,
        "proxy_set_effective_context" => state::set_effective_context,
        "proxy_get_property" => state::get_property,
        "proxy_set_property" => state::set_property,
        "proxy_get_shared_data" => state::get_shared_data,
        "proxy_set_shared_data" => state::set_shared_data,
        "proxy_register_shared_queue" => state::register_queue,
        "proxy_resolve_shared_queue" => state::resolve_queue,
        "proxy_dequeue_shared_queue" => state::dequeue,
        "proxy_enqueue_shared_queue" => state::enqueue,
        "proxy_define_metric" => state::define_metric,
        "proxy_increment_metric" => state::increment_metric,
        "proxy_record_metric" => state::record_metric,
        "proxy_get_metric" => state::get_metric,
        "proxy_get_buffer_bytes" => http::get_buffer,
        "proxy_set_buffer_bytes" => http::set_buffer,
        "proxy_get_header_map_pairs" => http::get_pairs,
        "proxy_set_header_map_pairs" => http::set_pairs,
        "proxy_get_header_map_value" => http::get_value,
        "proxy_add_header_map_value" => http::add_value,
        "proxy_replace_header_map_value" => http::replace_value,
        "proxy_remove_header_map_value" => http::remove_value,
        "proxy_send_local_response" | "proxy_send_http_response" => http::local_reply,
        "proxy_continue_stream" => http::continue_stream,
        "proxy_continue_request" => http::continue_request,
        "proxy_continue_response" => http::continue_response,
        "proxy_close_stream" => http::close_stream,
        "proxy_http_call" => http::dispatch,
        // done, clear_route_cache: nothing to see; grpc, foreign functions: nothing this harness can call
        "proxy_done" | "proxy_clear_route_cache" => |_, _| Ok(()),
        _ => |_, _| Err(Status::NOT_FOUND.into()),
    }
}
