//! Host calls about the HTTP exchange: headers, bodies, local replies, moving on, and calls to elsewhere.

use super::{Answer, Refusal, Status, guest::Args, guest::Guest};
use crate::gateway::{
    exchange::{Direction, LocalReply},
    headers::Headers,
    process::{Callout, Wish},
    vm::{Phase, VmState},
};

const REQUEST_HEADERS: u32 = 0;
const REQUEST_TRAILERS: u32 = 1;
const RESPONSE_HEADERS: u32 = 2;
const RESPONSE_TRAILERS: u32 = 3;
const CALL_HEADERS: u32 = 6;
const CALL_TRAILERS: u32 = 7;

/// Reads or changes one header map, as far as the gateway allows it at this moment.
fn with_map<T>(
    guest: &mut Guest<'_, '_>,
    map: u32,
    write: bool,
    act: impl FnOnce(&mut Headers, &VmState) -> T,
) -> Result<T, Refusal> {
    let state = guest.state();
    let profile = state.settings.profile;
    if matches!(map, CALL_HEADERS | CALL_TRAILERS) {
        let reply = state.reply.as_ref().filter(|_| !write).ok_or(Status::BAD_ARGUMENT)?;
        let mut fields = if map == CALL_HEADERS { reply.headers.clone() } else { reply.trailers.clone() };
        return Ok(act(&mut fields, state));
    }
    if profile.traps_on_late_response_headers() && map == RESPONSE_HEADERS && state.phase == Phase::ResponseBody {
        return Err(Refusal::Trap("response headers in the response body callback".to_owned()));
    }
    if profile.request_gone_in_done() && state.phase == Phase::Done {
        return Err(Status::BAD_ARGUMENT.into());
    }
    let mut process = guest.process();
    let exchange = process.exchange(state.context).ok_or(Status::BAD_ARGUMENT)?;
    let in_log = exchange.in_log;
    let direction: &mut Direction = match map {
        REQUEST_HEADERS | REQUEST_TRAILERS => &mut exchange.request,
        RESPONSE_HEADERS | RESPONSE_TRAILERS => &mut exchange.response,
        _ => return Err(Status::BAD_ARGUMENT.into()),
    };
    let sent = direction.headers_sent;
    let trailers = matches!(map, REQUEST_TRAILERS | RESPONSE_TRAILERS);
    let gone = !direction.arrived
        || (write && (in_log || (sent && !trailers)))
        || (sent && !trailers && !in_log && profile.loses_sent_headers());
    if gone {
        return Err(Status::BAD_ARGUMENT.into());
    }
    let fields =
        if trailers { direction.trailers.as_mut().ok_or(Status::BAD_ARGUMENT)? } else { &mut direction.headers };
    Ok(act(fields, state))
}

/// The headers as this gateway shows them.
fn shown(map: u32, headers: &Headers, state: &VmState) -> Headers {
    let mut headers = headers.clone();
    if map == REQUEST_HEADERS
        && state.settings.profile.authority_is_server_name()
        && let Some(host) = headers.get(":authority").map(<[u8]>::to_vec)
    {
        if headers.get("host").is_none() {
            headers.add("host", host);
        }
        headers.set(":authority", &state.settings.server_name);
    }
    headers
}

pub(super) fn get_pairs(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let map = args.u32(0);
    let wire = with_map(guest, map, false, |headers, state| shown(map, headers, state).encode())?;
    guest.hand_over(&wire, args.u32(1), args.u32(2))
}

pub(super) fn get_value(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let (map, name) = (args.u32(0), guest.text(args.u32(1), args.u32(2))?);
    let value = with_map(guest, map, false, |headers, state| shown(map, headers, state).joined(&name))?;
    guest.hand_over(&value.ok_or(Status::NOT_FOUND)?, args.u32(3), args.u32(4))
}

pub(super) fn set_pairs(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let new = Headers::decode(&guest.read(args.u32(1), args.u32(2))?).ok_or(Status::PARSE_FAILURE)?;
    with_map(guest, args.u32(0), true, |headers, _| *headers = new)
}

pub(super) fn add_value(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    change(guest, args, |headers, name, value| headers.add(name, value))
}

pub(super) fn replace_value(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    change(guest, args, |headers, name, value| headers.set(name, value))
}

pub(super) fn remove_value(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let name = guest.text(args.u32(1), args.u32(2))?;
    with_map(guest, args.u32(0), true, |headers, _| headers.remove(&name))
}

fn change(guest: &mut Guest<'_, '_>, args: Args<'_>, act: fn(&mut Headers, &str, &[u8])) -> Answer {
    let name = guest.text(args.u32(1), args.u32(2))?;
    let mut value = guest.read(args.u32(3), args.u32(4))?;
    let profile = guest.state().settings.profile;
    let path = args.u32(0) == REQUEST_HEADERS && name == ":path";
    if path && profile.escapes_question_mark_in_path() {
        value = String::from_utf8_lossy(&value).replace('?', "%3F").into_bytes();
    }
    with_map(guest, args.u32(0), true, |headers, _| {
        if !(path && profile.ignores_path_change()) {
            act(headers, &name, &value);
        }
    })
}

pub(super) fn get_buffer(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let (kind, start, max_size) = (args.u32(0), args.u32(1), args.u32(2));
    let part = {
        let state = guest.state();
        let mut process = guest.process();
        let bytes = match kind {
            0 | 1 => {
                let exchange = process.exchange(state.context).ok_or(Status::NOT_FOUND)?;
                let direction = exchange.direction(kind == 0);
                direction.readable.then_some(&direction.buffer).ok_or(Status::NOT_FOUND)?
            }
            4 => &state.reply.as_ref().ok_or(Status::NOT_FOUND)?.body,
            6 => {
                state.settings.profile.vm_configuration()?;
                &state.settings.vm_config
            }
            7 => &state.config,
            _ => return Err(Status::BAD_ARGUMENT.into()),
        };
        let start = if state.settings.profile.ignores_buffer_offset() { 0 } else { start };
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(usize::try_from(max_size).unwrap_or(usize::MAX)).min(bytes.len());
        bytes.get(start..end).unwrap_or_default().to_vec()
    };
    if part.is_empty() && guest.state().settings.profile.misses_empty_bodies() {
        return Err(Status::NOT_FOUND.into());
    }
    guest.hand_over(&part, args.u32(3), args.u32(4))
}

pub(super) fn set_buffer(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let (kind, start, size) = (args.u32(0), args.u32(1), args.u32(2));
    let mut data = guest.read(args.u32(3), args.u32(4))?;
    let state = guest.state();
    let (start, size) = (usize::try_from(start).unwrap_or(usize::MAX), usize::try_from(size).unwrap_or(usize::MAX));
    if kind > 1 {
        return Err(Status::BAD_ARGUMENT.into());
    }
    let mut process = guest.process();
    let exchange = process.exchange(state.context).ok_or(Status::NOT_FOUND)?;
    let direction = exchange.direction(kind == 0);
    if !direction.readable && !direction.spilled {
        return Err(Status::NOT_FOUND.into());
    }
    let length = direction.buffer.len();
    if state.settings.profile.truncates_replacement() {
        data.truncate(size);
        let kept = direction.buffer.get(..start.min(length)).unwrap_or_default().to_vec();
        direction.buffer = [kept, data].concat();
        direction.spilled = false;
        direction.readable = true;
    } else if start == 0 && size == 0 {
        data.append(&mut direction.buffer);
        direction.buffer = data;
    } else if start == 0 && size >= length {
        direction.buffer = data;
    } else if start >= length {
        direction.buffer.append(&mut data);
    } else {
        return Err(Status::BAD_ARGUMENT.into());
    }
    direction.replaced = true;
    Ok(())
}

pub(super) fn local_reply(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let details = String::from_utf8_lossy(&guest.read(args.u32(1), args.u32(2))?).into_owned();
    let body = guest.read(args.u32(3), args.u32(4))?;
    let headers = Headers::decode(&guest.read(args.u32(5), args.u32(6))?).ok_or(Status::PARSE_FAILURE)?;
    let reply = LocalReply { status: args.u32(0), headers, body, details, grpc_status: args.u32(7).cast_signed() };
    let state = guest.state();
    let (context, profile) = (state.context, state.settings.profile);
    let is_failure = state.phase == Phase::CallResponse && state.reply.is_none();
    if is_failure && !reply.body.is_empty() && profile.empties_replies_to_failed_callouts() {
        return Err(Refusal::Trap(
            "the body of a reply to a failed callout is emptied, and nothing is sent".to_owned(),
        ));
    }
    let mut process = guest.process();
    let exchange = process.exchange(context).ok_or(Status::BAD_ARGUMENT)?;
    if exchange.finalising {
        return Err(Status::BAD_ARGUMENT.into());
    }
    if exchange.local_reply.is_some() && profile.traps_on_second_reply() {
        return Err(Refusal::Trap("local response already stashed".to_owned()));
    }
    exchange.local_reply.get_or_insert(reply);
    Ok(())
}

pub(super) fn continue_stream(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    match args.u32(0) {
        0 => request(guest, Wish::ContinueRequest),
        1 => request(guest, Wish::ContinueResponse),
        _ => Err(Status::BAD_ARGUMENT.into()),
    }
}

pub(super) fn continue_request(guest: &mut Guest<'_, '_>, _: Args<'_>) -> Answer {
    request(guest, Wish::ContinueRequest)
}

pub(super) fn continue_response(guest: &mut Guest<'_, '_>, _: Args<'_>) -> Answer {
    request(guest, Wish::ContinueResponse)
}

pub(super) fn close_stream(guest: &mut Guest<'_, '_>, _: Args<'_>) -> Answer {
    request(guest, Wish::Close)
}

fn request(guest: &mut Guest<'_, '_>, wanted: Wish) -> Answer {
    let context = guest.state().context;
    let mut process = guest.process();
    process.exchange(context).ok_or(Status::BAD_ARGUMENT)?;
    process.wishes.push((context, wanted));
    Ok(())
}

pub(super) fn dispatch(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let target = guest.text(args.u32(0), args.u32(1))?;
    let headers = Headers::decode(&guest.read(args.u32(2), args.u32(3))?).ok_or(Status::PARSE_FAILURE)?;
    let body = guest.read(args.u32(4), args.u32(5))?;
    let trailers = Headers::decode(&guest.read(args.u32(6), args.u32(7))?).ok_or(Status::PARSE_FAILURE)?;
    let state = guest.state();
    let (context, profile) = (state.context, state.settings.profile);
    profile.may_dispatch(state.phase)?;
    let unknown = state.settings.clusters.as_ref().is_some_and(|clusters| !clusters.contains(&target));
    if profile.calls_clusters() && unknown {
        return Err(Status::BAD_ARGUMENT.into());
    }
    let complete = [":method", ":path", ":authority"].iter().all(|name| headers.get(name).is_some());
    let token = {
        let mut process = guest.process();
        let busy = process.callouts.iter().any(|callout| callout.context == context);
        if !complete || (busy && profile.one_callout_at_a_time()) {
            return Err(Status::BAD_ARGUMENT.into());
        }
        let token = process.next_token;
        process.next_token += 1;
        let deadline_ns = process.now_ns + u64::from(args.u32(8)) * 1_000_000;
        let (worker, generation) = (state.worker, state.generation);
        process.callouts.push(Callout {
            token,
            worker,
            context,
            target,
            headers,
            body,
            trailers,
            deadline_ns,
            generation,
        });
        token
    };
    guest.write_u32(args.u32(9), token)
}
