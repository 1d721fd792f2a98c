//! [`Profile`]: every difference between the gateways as hosts of a filter, with the fact behind it.
//!
//! Invariant: no other file compares profiles to decide a behaviour; it asks a question here. The two exceptions are
//! tables, not behaviour: `imports` (what links) and `properties` (which names exist).
//! Facts were measured on Envoy 1.40.0, Kong Gateway 3.9.3 (WasmX) and APISIX 3.11.0
//! (wasm-nginx-module 0.7.0); "[source]" marks what was read in the host's source and not seen running, and
//! "[assumed]" what was neither.

use super::{
    hostcalls::{Refusal, Status},
    settings::Settings,
    vm::Phase,
};

/// Which gateway is imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// Envoy 1.40.
    Envoy,
    /// Kong Gateway 3.9 with WasmX.
    Kong,
    /// Apache APISIX 3.11 with wasm-nginx-module 0.7.0.
    Apisix,
}

/// What a call does that the gateway links and does not implement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// The call returns status 12, which the Rust SDK's `Status` does not have.
    Status12,
    /// The call ends the VM.
    Trap,
}

/// In which order the last callbacks of a stream come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastCallback {
    Done,
    Log,
    Delete,
}

impl Profile {
    /// All of them, for tests that hold everywhere.
    pub const ALL: [Self; 3] = [Self::Envoy, Self::Kong, Self::Apisix];

    /// The calls that are linked and do nothing useful, and how they fail.
    pub(crate) fn unsupported(self, function: &str) -> Option<Unsupported> {
        match self {
            Self::Envoy => None,
            // A host trap: done, grpc_*, get_status, close_stream, resolve_shared_queue, call_foreign_function;
            // clear_route_cache and continue_response are in the same list [source].
            Self::Kong => match function {
                "proxy_done"
                | "proxy_get_status"
                | "proxy_close_stream"
                | "proxy_resolve_shared_queue"
                | "proxy_call_foreign_function"
                | "proxy_clear_route_cache"
                | "proxy_continue_response" => Some(Unsupported::Trap),
                name if name.starts_with("proxy_grpc_") => Some(Unsupported::Trap),
                _ => None,
            },
            // Stubs with status 12: shared data, queues, the clock call, ticks, body rewriting, foreign calls; whole
            // header maps and moving a stream on are stubs too [source], of the same status [assumed].
            // set_effective_context is none: the Rust SDK calls it before each callout callback, and those work.
            Self::Apisix => match function {
                "proxy_get_shared_data"
                | "proxy_set_shared_data"
                | "proxy_register_shared_queue"
                | "proxy_resolve_shared_queue"
                | "proxy_dequeue_shared_queue"
                | "proxy_enqueue_shared_queue"
                | "proxy_get_current_time_nanoseconds"
                | "proxy_set_tick_period_milliseconds"
                | "proxy_set_buffer_bytes"
                | "proxy_done"
                | "proxy_get_status"
                | "proxy_continue_request"
                | "proxy_continue_response"
                | "proxy_continue_stream"
                | "proxy_close_stream"
                | "proxy_clear_route_cache"
                | "proxy_set_header_map_pairs"
                | "proxy_call_foreign_function" => Some(Unsupported::Status12),
                name if name.starts_with("proxy_grpc_") => Some(Unsupported::Status12),
                _ => None,
            },
        }
    }

    /// `end_of_stream` of the request headers callback. Envoy tells the truth, Kong always says false, APISIX true.
    pub(crate) fn request_headers_end(self, really: bool) -> bool {
        match self {
            Self::Envoy => really,
            Self::Kong => false,
            Self::Apisix => true,
        }
    }

    /// `num_headers` of a headers callback. APISIX always passes 0.
    pub(crate) fn header_count(self, really: usize) -> usize {
        if self == Self::Apisix { 0 } else { really }
    }

    /// Kong and APISIX call the filter once with the whole request body; Envoy calls it per chunk.
    pub(crate) fn whole_request_body(self) -> bool {
        self != Self::Envoy
    }

    /// The property a filter must set to be shown bodies at all (APISIX).
    pub(crate) fn body_switch(self, request: bool) -> Option<&'static str> {
        match (self, request) {
            (Self::Apisix, true) => Some("wasm_process_req_body"),
            (Self::Apisix, false) => Some("wasm_process_resp_body"),
            _ => None,
        }
    }

    /// Kong's `get_buffer` ignores the offset: `get(2, 3)` gave bytes 0..3.
    pub(crate) fn ignores_buffer_offset(self) -> bool {
        self == Self::Kong
    }

    /// Kong cuts the data given to `set_buffer` to `size`. Envoy wants a size of at least the buffer's length.
    pub(crate) fn truncates_replacement(self) -> bool {
        self == Self::Kong
    }

    /// On Envoy a header map is gone once the filter let it pass: reading [source] and writing give status 2.
    pub(crate) fn loses_sent_headers(self) -> bool {
        self == Self::Envoy
    }

    /// Touching response headers in the response body callback is a host trap on Kong.
    pub(crate) fn traps_on_late_response_headers(self) -> bool {
        self == Self::Kong
    }

    /// Kong shows nginx's `server_name:port` as `:authority`; the others show the Host header.
    pub(crate) fn authority_is_server_name(self) -> bool {
        self == Self::Kong
    }

    /// Setting `:path` does nothing upstream on Kong.
    pub(crate) fn ignores_path_change(self) -> bool {
        self == Self::Kong
    }

    /// APISIX escapes `?` as `%3F` when the filter sets `:path` (seen in a small nginx host).
    pub(crate) fn escapes_question_mark_in_path(self) -> bool {
        self == Self::Apisix
    }

    /// Kong adds a newline to the body of a local reply.
    pub(crate) fn local_reply_suffix(self) -> &'static str {
        if self == Self::Kong { "\n" } else { "" }
    }

    /// Response body callbacks run for the filter's own local reply on Kong, and on Envoy [assumed]. APISIX runs
    /// the response headers callback only.
    pub(crate) fn shows_body_of_local_reply(self) -> bool {
        self != Self::Apisix
    }

    /// A local reply in response headers: works on Envoy.
    pub(crate) fn local_reply_in_response(self) -> ReplyInResponse {
        match self {
            Self::Envoy => ReplyInResponse::Replaces,
            // broken connection, logged as 499
            Self::Kong => ReplyInResponse::BreaksConnection,
            // the upstream's reply passes
            Self::Apisix => ReplyInResponse::Ignored,
        }
    }

    /// Kong and APISIX have no trailers callbacks [source].
    pub(crate) fn shows_trailers(self) -> bool {
        self == Self::Envoy
    }

    /// The last callbacks of a stream, in order. Kong runs on_log after on_done; APISIX never runs on_log; Envoy
    /// logs, then destroys [assumed].
    pub(crate) fn last_callbacks(self) -> &'static [LastCallback] {
        match self {
            Self::Envoy => &[LastCallback::Log, LastCallback::Done, LastCallback::Delete],
            Self::Kong => &[LastCallback::Done, LastCallback::Log, LastCallback::Delete],
            Self::Apisix => &[LastCallback::Done, LastCallback::Delete],
        }
    }

    /// Kong's log plugins run before on_done and on_log, so they do not see what the filter sets there (seen in nginx
    /// 1.25.3 with WasmX 9136e463 and Kong's own property handlers).
    pub(crate) fn logs_before_last_callbacks(self) -> bool {
        self == Self::Kong
    }

    /// APISIX runs on_done without a request: properties and headers fail there [source].
    pub(crate) fn request_gone_in_done(self) -> bool {
        self == Self::Apisix
    }

    /// APISIX gives a context the id of one that is gone (seen: 2,700 calls under 2 ids).
    pub(crate) fn reuses_contexts(self) -> bool {
        self == Self::Apisix
    }

    /// APISIX configures the plugin at the first request, and answers status 2 to property reads there.
    pub(crate) fn configures_lazily(self) -> bool {
        self == Self::Apisix
    }

    /// Only Envoy passes a VM configuration: Kong has none, APISIX answers 12.
    pub(crate) fn has_vm_configuration(self) -> bool {
        self == Self::Envoy
    }

    /// If `on_configure` refuses at start-up, Kong drops all filter chains of the worker and traffic passes
    /// unfiltered, while readiness stays 200. APISIX answers 503 and tries again at each request. Envoy fails closed.
    pub(crate) fn passes_unfiltered_when_refused(self) -> bool {
        self == Self::Kong
    }

    /// Numbers in properties: little-endian binary on Envoy, decimal text on Kong and APISIX.
    pub(crate) fn binary_numbers(self) -> bool {
        self == Self::Envoy
    }

    /// Kong resumes the request when the last pending callout was answered [source], APISIX likewise; Envoy waits
    /// for `continue_stream`.
    pub(crate) fn resumes_after_callouts(self) -> bool {
        self != Self::Envoy
    }

    /// APISIX ignores the action of response callbacks [source].
    pub(crate) fn ignores_pause_in_response(self) -> bool {
        self == Self::Apisix
    }

    /// Pause without a pending callout: APISIX's worker crashes (a null pointer).
    pub(crate) fn crashes_on_idle_pause(self) -> bool {
        self == Self::Apisix
    }

    /// Pause without a pending callout: Kong hangs, and the body callback never comes.
    pub(crate) fn hangs_on_idle_pause(self) -> bool {
        self == Self::Kong
    }

    /// Kong and APISIX take `set_effective_context` and go on acting for the request that they called back for [source].
    pub(crate) fn ignores_effective_context(self) -> bool {
        self != Self::Envoy
    }

    /// The context that a callout's callback names: Kong and APISIX always name the root (seen with several streams that
    /// wait at a time), Envoy who made the call.
    pub(crate) fn names_root_in_callouts(self) -> bool {
        self != Self::Envoy
    }

    /// A local reply with a body from the callback of a callout that failed: Kong puts the body where that of the callout was
    /// and empties it, so that the client's connection is closed without an answer (seen in Kong 3.9.1). Here a trap.
    pub(crate) fn empties_replies_to_failed_callouts(self) -> bool {
        self == Self::Kong
    }

    /// A second local reply of a stream is a host trap on Kong; the others keep the first.
    pub(crate) fn traps_on_second_reply(self) -> bool {
        self == Self::Kong
    }

    /// APISIX runs one callout of a stream at a time [source].
    pub(crate) fn one_callout_at_a_time(self) -> bool {
        self == Self::Apisix
    }

    /// Whether metrics do anything: APISIX defines everything as id 0 and drops the values.
    pub(crate) fn has_metrics(self) -> bool {
        self != Self::Apisix
    }

    /// The status a client sees when the filter traps in a request callback.
    pub(crate) fn status_after_trap(self) -> u32 {
        match self {
            Self::Kong => 500,
            Self::Envoy | Self::Apisix => 503,
        }
    }

    /// A trap in a response callback: the response still passes on Kong in the body, and on APISIX [assumed].
    pub(crate) fn response_survives_trap(self, in_headers: bool) -> bool {
        match self {
            Self::Envoy => false,
            Self::Kong => !in_headers,
            Self::Apisix => true,
        }
    }

    /// Whether a trapped VM is replaced: on Envoy with `FAIL_RELOAD`, on Kong always; on APISIX the worker is bricked.
    pub(crate) fn replaces_trapped_vm(self, settings: &Settings) -> bool {
        match self {
            Self::Envoy => settings.fail_reload,
            Self::Kong => true,
            Self::Apisix => false,
        }
    }

    /// A stream whose VM is gone: fails on Envoy, goes on without its filter on Kong; APISIX like Kong [assumed].
    pub(crate) fn fails_streams_without_filter(self) -> bool {
        self == Self::Envoy
    }

    /// Shared data is gone with the last VM of its `vm_id` on Envoy; Kong's zones belong to the workers of one
    /// configuration of nginx, so they outlive a VM, and `kong reload` begins with new ones (seen in Kong 3.9.1).
    pub(crate) fn data_dies_with_last_vm(self) -> bool {
        self == Self::Envoy
    }

    /// What the filter sets reaches trace spans on Envoy.
    pub(crate) fn has_spans(self) -> bool {
        self == Self::Envoy
    }

    /// `end_of_stream` of the response headers callback; APISIX always says true [source].
    pub(crate) fn response_headers_end(self, really: bool) -> bool {
        really || self == Self::Apisix
    }

    /// `end_of_stream` of a response body callback. On Kong a response of 200 kB with a Content-Length never had one.
    pub(crate) fn response_body_end(self, really: bool, content_length: Option<usize>, settings: &Settings) -> bool {
        let endless = content_length.is_some_and(|length| length >= settings.no_end_from_content_length);
        really && !(self == Self::Kong && endless)
    }

    /// Pause from a headers callback still shows the body: on Envoy with `allow_on_headers_stop_iteration`.
    pub(crate) fn shows_body_while_headers_wait(self, settings: &Settings) -> bool {
        self == Self::Envoy && settings.allow_on_headers_stop_iteration
    }

    /// How much of a paused direction the gateway holds, and what it does with more.
    pub(crate) fn holds(self, request: bool, settings: &Settings) -> (usize, WhenFull) {
        match self {
            Self::Envoy => (settings.buffer_limit, WhenFull::Refuse),
            Self::Kong if !request => (settings.response_buffers, WhenFull::LetGo),
            Self::Kong | Self::Apisix => (usize::MAX, WhenFull::LetGo),
        }
    }

    /// Kong spills request bodies above `client_body_buffer_size` to disk, where the filter cannot read them: the
    /// callback has the size, and the body is not found. (10,300 bytes were readable with 8k; the harness is strict.)
    pub(crate) fn spills(self, length: usize, settings: &Settings) -> bool {
        self == Self::Kong && length > settings.client_body_buffer_size
    }

    /// APISIX shows a request body only inside its callback.
    pub(crate) fn hides_body_after_callback(self) -> bool {
        self == Self::Apisix
    }

    /// APISIX looks at a callout only when the callback pauses [source].
    pub(crate) fn drops_callouts_on_continue(self) -> bool {
        self == Self::Apisix
    }

    /// Reading an empty body: "not found" on Kong, success with nothing on the others [assumed].
    pub(crate) fn misses_empty_bodies(self) -> bool {
        self == Self::Kong
    }

    /// How a filter reads the VM configuration: Kong has none, APISIX answers 12.
    pub(crate) fn vm_configuration(self) -> Result<(), Status> {
        match self {
            Self::Envoy => Ok(()),
            Self::Kong => Err(Status::NOT_FOUND),
            Self::Apisix => Err(Status::UNIMPLEMENTED),
        }
    }

    /// Where callouts may start. Kong: request phases, call responses and ticks, a host trap elsewhere (seen in response
    /// headers and on_log). APISIX: request phases, a bad argument elsewhere [source]. Envoy: anywhere.
    pub(crate) fn may_dispatch(self, phase: Phase) -> Result<(), Refusal> {
        let in_request = phase.in_request() || phase == Phase::CallResponse;
        match self {
            Self::Kong if !in_request && phase != Phase::Tick => {
                Err(Refusal::Trap(format!("can only dispatch in request phases, not in {phase:?}")))
            }
            Self::Apisix if !in_request => Err(Status::BAD_ARGUMENT.into()),
            _ => Ok(()),
        }
    }

    /// Callouts go to clusters that must exist on Envoy, to `host:port` on the others.
    pub(crate) fn calls_clusters(self) -> bool {
        self == Self::Envoy
    }

    /// APISIX answers 2 to property reads where there is no request: while it configures, and in on_done.
    pub(crate) fn has_properties_in(self, phase: Phase) -> bool {
        self != Self::Apisix || !matches!(phase, Phase::Configure | Phase::Done)
    }

    /// Kong answers for `kong.*` in Lua, on whichever coroutine called out last. While request headers pass that is the
    /// request's own; later it is another request's or a timer's, which from then on works with memory of this request.
    /// Seen in Kong 3.9.1: answers cut short and workers that died, in 1 to 5 of the first 200 calls. Here a trap.
    pub(crate) fn may_touch(self, path: &[u8], phase: Phase) -> Result<(), Refusal> {
        if self == Self::Kong && path.starts_with(b"kong\0") && phase != Phase::RequestHeaders {
            let path = String::from_utf8_lossy(path).replace('\0', ".");
            return Err(Refusal::Trap(format!("{path} in {phase:?} runs Lua on a coroutine of another request")));
        }
        Ok(())
    }

    /// Whose rules shared data follows. (APISIX has none, see `unsupported`.)
    pub(crate) fn shared_data(self) -> SharedDataRules {
        if self == Self::Kong { SharedDataRules::Zones } else { SharedDataRules::PerVmId }
    }

    /// How metrics get their ids.
    pub(crate) fn metric_ids(self) -> MetricIds {
        match self {
            Self::Envoy => MetricIds::Sequence,
            Self::Kong => MetricIds::Crc32OfName,
            Self::Apisix => MetricIds::Zero,
        }
    }

    /// Reading a histogram is a host trap on Kong.
    pub(crate) fn traps_on_reading_histograms(self) -> bool {
        self == Self::Kong
    }

    /// The status when the upstream cannot be reached or resets.
    pub(crate) fn status_after_upstream_reset(self) -> u32 {
        if self == Self::Envoy { 503 } else { 502 }
    }

    /// When auth refuses a call: on APISIX the response headers callback runs without request callbacks; on Kong
    /// the filter does not run at all.
    pub(crate) fn shows_auth_rejections(self) -> bool {
        self == Self::Apisix
    }

    /// nginx cuts a `proxy_log` line at 2,048 bytes (OpenResty at 4,096); Envoy has no limit [source].
    pub(crate) fn log_line_limit(self) -> Option<usize> {
        match self {
            Self::Envoy => None,
            Self::Kong | Self::Apisix => Some(4096),
        }
    }

    /// The resolution of the clock call: Kong reads nginx's cached time, in milliseconds.
    pub(crate) fn clock_resolution_ns(self) -> u64 {
        if self == Self::Kong { 1_000_000 } else { 1 }
    }

    /// Envoy also has a VM on its main thread, which keeps shared data alive.
    pub(crate) fn runs_main_thread_vm(self) -> bool {
        self == Self::Envoy
    }
}

/// What a gateway does when a paused body outgrows its buffers: Envoy refuses the call (413), Kong ends the pause
/// [assumed].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    Refuse,
    LetGo,
}

/// Rules of shared data, see the `shared_data` module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SharedDataRules {
    PerVmId,
    Zones,
}

/// How metrics get their ids. Kong's is the CRC32 of the prefixed name, so names can collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricIds {
    Sequence,
    Crc32OfName,
    Zero,
}

/// What becomes of a local reply that the filter sends while the upstream's response headers pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyInResponse {
    Replaces,
    BreaksConnection,
    Ignored,
}
