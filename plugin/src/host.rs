//! What differs between the gateways, as one type.
//!
//! Everything else in the filter is written once, for all of them. Facts were measured on Envoy 1.40, Kong 3.9 and
//! APISIX 3.11.
//! Must not know: what is metered.

use crate::abi::{self, Action, Status};
use tollgate_core::config::raw::{HostChoice, SharedData};
use tollgate_core::event;
use tollgate_core::meter::Ending;
use tollgate_core::names::state;

/// The gateway that runs the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Envoy,
    Kong,
    Apisix,
}

/// The nginx variable that carries the event, as Kong's filters call it.
const KONG_VARIABLE: [&str; 2] = ["ngx", "tollgate_event"];
/// The same on APISIX.
const APISIX_VARIABLE: [&str; 1] = ["tollgate_event"];

/// What a gateway shows of a call before it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    /// Single values, for spans.
    Values,
    /// The event as it stands.
    Event,
}

impl Host {
    /// The configured gateway, else what the properties of a request tell. Only while a request runs: APISIX has
    /// no properties before.
    pub(crate) fn detect(choice: HostChoice) -> Self {
        match choice {
            HostChoice::Envoy => Self::Envoy,
            HostChoice::Kong => Self::Kong,
            HostChoice::Apisix => Self::Apisix,
            HostChoice::Auto if abi::property(&["ngx", "pid"]).is_some() => Self::Kong,
            HostChoice::Auto if abi::property(&["remote_addr"]).is_some() => Self::Apisix,
            HostChoice::Auto => Self::Envoy,
        }
    }

    /// Whether the end of stream that the request's headers report is true: Kong always says no, APISIX always yes.
    pub(crate) const fn reports_missing_body(self) -> bool {
        matches!(self, Self::Envoy)
    }

    /// Whether the end of every response's body is reported: Kong never reports it of some that have a length.
    pub(crate) const fn reports_end_of_response(self) -> bool {
        match self {
            Self::Envoy | Self::Apisix => true,
            Self::Kong => false,
        }
    }

    /// Asks for the request's body, where that must be said.
    pub(crate) fn ask_for_request_body(self) -> Result<(), Status> {
        match self {
            Self::Envoy | Self::Kong => Ok(()),
            Self::Apisix => abi::set_property(&["wasm_process_req_body"], "true"),
        }
    }

    /// Asks for the response's body, where that must be said.
    pub(crate) fn ask_for_response_body(self) -> Result<(), Status> {
        match self {
            Self::Envoy | Self::Kong => Ok(()),
            Self::Apisix => abi::set_property(&["wasm_process_resp_body"], "true"),
        }
    }

    /// What the request's headers do until the body has been judged. Only Envoy can hold them, and only where the
    /// operator allowed it; a pause hangs the request on Kong and crashes the worker on APISIX.
    pub(crate) const fn until_body(self, hold_headers: bool) -> Action {
        match self {
            Self::Envoy if hold_headers => Action::Pause,
            Self::Envoy | Self::Kong | Self::Apisix => Action::Continue,
        }
    }

    /// Whether the request's headers can still be changed when its body is there.
    pub(crate) const fn holds_headers_until_body(self, hold_headers: bool) -> bool {
        match self {
            Self::Envoy => hold_headers,
            Self::Kong | Self::Apisix => true,
        }
    }

    /// What a piece of the request's body does until the rest is there: Envoy buffers it; the others hand it over
    /// whole in the first place.
    pub(crate) const fn until_rest_of_body(self) -> Action {
        match self {
            Self::Envoy => Action::Pause,
            Self::Kong | Self::Apisix => Action::Continue,
        }
    }

    /// Whether a part of a body can be read from where it starts; Kong hands over the beginning whatever is asked for.
    pub(crate) const fn reads_windows(self) -> bool {
        matches!(self, Self::Envoy | Self::Apisix)
    }

    /// The host a request is for. On Kong `:authority` is the name of the server, not what the client asked for.
    pub(crate) fn host_of<'a>(self, authority: &'a str, host: &'a str) -> &'a str {
        match self {
            Self::Kong if !host.is_empty() => host,
            _ if authority.is_empty() => host,
            _ => authority,
        }
    }

    /// The gateway's name of the route that a request takes; empty where it has none.
    pub(crate) fn route(self) -> String {
        let name = match self {
            Self::Envoy => abi::property(&["xds", "route_name"]),
            Self::Kong => abi::property(&["kong", "route_name"]),
            Self::Apisix => None,
        };
        String::from_utf8_lossy(&name.unwrap_or_default()).into_owned()
    }

    /// Why a stream is over; `is_whole` when the response's end was passed on.
    pub(crate) fn ending(self, is_whole: bool) -> Ending {
        match self {
            Self::Envoy => {
                let details = abi::property(&["response", "code_details"]).unwrap_or_default();
                ending_of(&String::from_utf8_lossy(&details), is_whole)
            }
            // Kong never reports the end of some responses. Its status is 499 only where nothing was sent yet, so a
            // break in the middle is left to what the answer itself tells.
            Self::Kong if is_whole => Ending::Complete,
            Self::Kong => match abi::property(&["response", "code"]).as_deref() {
                Some(b"499") => Ending::ClientGone,
                _ => Ending::Complete,
            },
            // APISIX shows nothing of a request that is over, so whoever broke off is taken for the client.
            Self::Apisix if is_whole => Ending::Complete,
            Self::Apisix => Ending::ClientGone,
        }
    }

    /// Whether the stream's end is only told by `on_done`: APISIX never calls `on_log`.
    pub(crate) const fn ends_with_done(self) -> bool {
        matches!(self, Self::Apisix)
    }

    /// Whether a response that runs can be ended here; Kong kills the request, APISIX does nothing.
    pub(crate) const fn can_close_response(self) -> bool {
        matches!(self, Self::Envoy)
    }

    /// Whether requests can be changed here: APISIX cannot.
    pub(crate) const fn can_change_requests(self) -> bool {
        matches!(self, Self::Envoy | Self::Kong)
    }

    /// Whether answers can be changed here: Kong's were never seen changed.
    pub(crate) const fn can_change_answers(self) -> bool {
        matches!(self, Self::Envoy)
    }

    /// Whether the length of a request is corrected where its body was changed. Envoy has sent the headers by then.
    pub(crate) const fn corrects_length(self) -> bool {
        matches!(self, Self::Kong | Self::Apisix)
    }

    /// Whether requests that are held can be let go by the root: Kong and APISIX go on with a request by themselves, once
    /// the call that it made itself is answered.
    pub(crate) const fn asks_in_root(self) -> bool {
        matches!(self, Self::Envoy)
    }

    /// Whether a local reply may have a body in the callback of a callout that failed. Kong puts it where the callout's body
    /// was, and then empties that: the client's connection is closed without an answer.
    pub(crate) const fn answers_after_failures(self) -> bool {
        matches!(self, Self::Envoy | Self::Apisix)
    }

    /// Whether workers can share state here. Kong kills a request that tries without a configured zone
    /// (`nginx_wasm_shm_kv`), so there the operator must say so; APISIX has nothing of the kind.
    pub(crate) const fn has_shared_data(self, choice: SharedData) -> bool {
        match (self, choice) {
            (_, SharedData::Off) | (Self::Apisix, _) | (Self::Kong, SharedData::Auto) => false,
            (Self::Envoy, _) | (Self::Kong, SharedData::On) => true,
        }
    }

    /// What a write must give so that it creates a shared value only where there is none.
    pub(crate) const fn cas_of_absent(self) -> u32 {
        match self {
            // On Envoy 0 writes unconditionally.
            Self::Envoy => u32::MAX,
            Self::Kong | Self::Apisix => 0,
        }
    }

    /// What is published of a call that has not ended. Kong and APISIX have written their access logs when they tell
    /// that a call broke off, so its event must be there before.
    pub(crate) const fn shows_before_the_end(self) -> Shows {
        match self {
            Self::Envoy => Shows::Values,
            Self::Kong | Self::Apisix => Shows::Event,
        }
    }

    /// The longest line that the log takes, in bytes. nginx cuts a line at 2,048 bytes with what it adds itself.
    pub(crate) const fn log_line_max(self) -> usize {
        match self {
            Self::Envoy => usize::MAX,
            Self::Kong | Self::Apisix => 1_500,
        }
    }

    /// What an operator should hear when the filter starts to serve.
    pub(crate) fn advice(self) -> Option<&'static str> {
        match self {
            Self::Kong if !abi::has_property(&KONG_VARIABLE) => Some(
                "the nginx variable tollgate_event is not declared, so logs cannot show events; add \
                 `nginx_proxy_set = $tollgate_event \"\"` to kong.conf",
            ),
            Self::Apisix if !abi::has_property(&APISIX_VARIABLE) => Some(
                "the nginx variable tollgate_event is not declared, so access logs cannot show events; add \
                 `set $tollgate_event '';` to nginx_config.http_server_location_configuration_snippet",
            ),
            Self::Envoy | Self::Kong | Self::Apisix => None,
        }
    }

    /// The id of the call that the variable shows, where a response may be told to another stream than its request: on APISIX,
    /// whose plugin `proxy-buffering` moves requests on within nginx.
    pub(crate) fn shown_call(self) -> Option<String> {
        match self {
            Self::Envoy | Self::Kong => None,
            Self::Apisix => {
                let shown = abi::property(&APISIX_VARIABLE)?;
                event::id_of(&String::from_utf8_lossy(&shown)).map(str::to_owned)
            }
        }
    }

    /// How often the gateway sent a request whose answer has begun, where it says so.
    pub(crate) fn attempts(self) -> Option<u64> {
        match self {
            Self::Envoy => {
                let count = abi::property(&["upstream", "request_attempt_count"])?;
                count.try_into().ok().map(u64::from_le_bytes)
            }
            Self::Kong => sent_by_nginx(&abi::property(&["ngx", "upstream_status"])?),
            Self::Apisix => sent_by_nginx(&abi::property(&["upstream_status"])?),
        }
        .filter(|count| (1..1_000).contains(count))
    }

    /// Makes a value readable for access logs and spans. Envoy: filter state `wasm.<name>`. Kong and APISIX: the event
    /// in the nginx variable `tollgate_event`, where it is declared. Never in Kong's `kong.ctx.shared`: Kong writes that
    /// in Lua, on whichever coroutine called out last. While an answer passes that is another request's or a timer's,
    /// which from then on works with this request's memory, and the worker dies or cuts answers short.
    pub(crate) fn publish(self, name: &str, value: &str) -> Result<(), Status> {
        match self {
            Self::Envoy => abi::set_property(&[name], value),
            // nginx writes an error to its log each time a variable is set that is not declared.
            Self::Kong if name == state::EVENT && abi::has_property(&KONG_VARIABLE) => {
                abi::set_property(&KONG_VARIABLE, value)
            }
            Self::Apisix if name == state::EVENT && abi::has_property(&APISIX_VARIABLE) => {
                abi::set_property(&APISIX_VARIABLE, value)
            }
            Self::Kong | Self::Apisix => Ok(()),
        }
    }
}

/// How many servers nginx asked: it separates their statuses with commas, and with colons where it was sent elsewhere.
fn sent_by_nginx(statuses: &[u8]) -> Option<u64> {
    let separators = statuses.iter().filter(|byte| matches!(byte, b',' | b':')).count();
    u64::try_from(separators).ok()?.checked_add(1)
}

/// What Envoy's `response.code_details` say of a stream that is over.
fn ending_of(details: &str, is_whole: bool) -> Ending {
    /// The provider was never reached, so it consumed nothing.
    const UNREACHED: [&str; 3] = ["connection_failure", "connection_timeout", "overflow"];
    match details {
        "" | "via_upstream" if is_whole => Ending::Complete,
        "" | "via_upstream" => Ending::ClientGone,
        details if details.starts_with("downstream") => Ending::ClientGone,
        details if UNREACHED.iter().any(|reason| details.contains(reason)) => Ending::LocalReply,
        // Resets before and in the middle of the answer, and all of the router's timeouts.
        details if details.starts_with("upstream_") => Ending::UpstreamReset,
        // Timeouts of the connection manager.
        "stream_idle_timeout" | "max_duration_timeout" | "request_overall_timeout" => Ending::UpstreamReset,
        _ => Ending::LocalReply,
    }
}
