//! Bodies piece by piece: requests on Envoy, responses everywhere.
//!
//! Pause holds what has arrived and lets the filter see it grow; Continue lets go of all that is held.

use super::{PAUSE, Runner};
use crate::gateway::{
    exchange::{Direction, Ending, Paused},
    headers::Headers,
    profile::WhenFull,
    vm::Phase,
};

/// Names and phases of one direction's callbacks.
struct Callbacks {
    headers: (&'static str, Phase),
    body: (&'static str, Phase),
    trailers: (&'static str, Phase),
}

const REQUEST: Callbacks = Callbacks {
    headers: ("proxy_on_request_headers", Phase::RequestHeaders),
    body: ("proxy_on_request_body", Phase::RequestBody),
    trailers: ("proxy_on_request_trailers", Phase::RequestTrailers),
};
const RESPONSE: Callbacks = Callbacks {
    headers: ("proxy_on_response_headers", Phase::ResponseHeaders),
    body: ("proxy_on_response_body", Phase::ResponseBody),
    trailers: ("proxy_on_response_trailers", Phase::ResponseTrailers),
};

fn callbacks(request: bool) -> &'static Callbacks {
    if request { &REQUEST } else { &RESPONSE }
}

fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Runner {
    /// Headers have arrived: shows them and moves on as the filter says.
    pub(super) fn headers(&self, id: u32, request: bool) {
        let profile = self.settings.profile;
        let (count, ended) = self.edit(id, |exchange| {
            let direction = exchange.direction(request);
            (direction.headers.len(), direction.headers_only)
        });
        let end = if request { profile.request_headers_end(ended) } else { profile.response_headers_end(ended) };
        let (callback, phase) = callbacks(request).headers;
        let args = [id, size(profile.header_count(count)), u32::from(end)];
        let Some(action) = self.call(id, callback, phase, &args) else { return };
        if self.apply_local_reply(id) {
            return;
        }
        if action == PAUSE && (request || !profile.ignores_pause_in_response()) {
            // without `allow_on_headers_stop_iteration`, Pause here stops everything: the body is not shown
            let shows_body = profile.shows_body_while_headers_wait(&self.settings);
            let paused = if shows_body && !ended { Paused::Headers } else { Paused::Everything };
            self.edit(id, |exchange| exchange.direction(request).paused = paused);
        } else {
            self.release(id, request);
        }
    }

    /// Body bytes have arrived.
    pub(super) fn body(&self, id: u32, request: bool, chunk: &[u8], end: bool) {
        let held = self.edit(id, |exchange| {
            let direction = exchange.direction(request);
            direction.end_arrived |= end;
            let held = matches!(direction.paused, Paused::Everything | Paused::Trailers);
            if held {
                direction.queue.extend(chunk);
            }
            held
        });
        if held {
            self.check_buffer(id, request);
        } else {
            self.show_body(id, request, chunk, end);
        }
    }

    /// Trailers have arrived; they end the message.
    pub(super) fn trailers(&self, id: u32, request: bool, trailers: Headers) {
        let (held, count) = self.edit(id, |exchange| {
            let direction = exchange.direction(request);
            let count = trailers.len();
            direction.trailers = Some(trailers);
            direction.end_arrived = true;
            (direction.paused == Paused::Everything, count)
        });
        if held {
            return;
        }
        if !self.settings.profile.shows_trailers() {
            return self.show_body(id, request, &[], true);
        }
        self.show_trailers(id, request, count);
    }

    /// The filter resumes a direction.
    pub(super) fn resume(&self, id: u32, request: bool) {
        let (paused, queue, ended, trailers) = self.edit(id, |exchange| {
            let direction = exchange.direction(request);
            let queue = std::mem::take(&mut direction.queue);
            let trailers = direction.trailers.as_ref().map(Headers::len).filter(|_| !direction.trailers_sent);
            let ended = direction.end_arrived && !direction.headers_only;
            (direction.paused, queue, ended, trailers)
        });
        match paused {
            Paused::No => {}
            Paused::Everything => {
                self.edit(id, |exchange| {
                    let direction = exchange.direction(request);
                    (direction.paused, direction.headers_sent) = (Paused::No, true);
                });
                if !queue.is_empty() || (ended && trailers.is_none()) {
                    self.show_body(id, request, &queue, ended && trailers.is_none());
                }
                match trailers {
                    Some(count) if self.is_open(id) => self.show_trailers(id, request, count),
                    _ => self.complete_if_ended(id, request),
                }
            }
            Paused::Headers | Paused::Body | Paused::Trailers => self.release(id, request),
        }
    }

    fn show_trailers(&self, id: u32, request: bool, count: usize) {
        let (callback, phase) = callbacks(request).trailers;
        let Some(action) = self.call(id, callback, phase, &[id, size(count)]) else { return };
        if self.apply_local_reply(id) {
            return;
        }
        if action == PAUSE {
            self.edit(id, |exchange| exchange.direction(request).paused = Paused::Trailers);
        } else {
            self.edit(id, |exchange| exchange.direction(request).trailers_sent = true);
            self.release(id, request);
        }
    }

    fn show_body(&self, id: u32, request: bool, chunk: &[u8], end: bool) {
        let profile = self.settings.profile;
        self.edit(id, |exchange| exchange.direction(request).buffer.extend(chunk));
        if self.check_buffer(id, request) {
            return;
        }
        if !self.shows_body(id, request) {
            return self.release(id, request);
        }
        let (length, end) = self.edit(id, |exchange| {
            let direction = exchange.direction(request);
            direction.readable = true;
            let stated = direction.headers.text("content-length").and_then(|text| text.parse::<usize>().ok());
            let end = if request { end } else { profile.response_body_end(end, stated, &self.settings) };
            (direction.buffer.len(), end)
        });
        let (callback, phase) = callbacks(request).body;
        let action = self.call(id, callback, phase, &[id, size(length), u32::from(end)]);
        let Some(action) = action else { return };
        if self.apply_local_reply(id) {
            return;
        }
        if action == PAUSE && (request || !profile.ignores_pause_in_response()) {
            self.edit(id, |exchange| exchange.direction(request).paused = Paused::Body);
            self.check_buffer(id, request);
        } else {
            self.release(id, request);
        }
    }

    /// APISIX shows bodies only to a filter that set a property first.
    fn shows_body(&self, id: u32, request: bool) -> bool {
        let Some(switch) = self.settings.profile.body_switch(request) else { return true };
        self.edit(id, |exchange| {
            exchange.written_properties.get(&vec![switch.to_owned()]).is_some_and(|on| on == b"true")
        })
    }

    pub(super) fn is_body_shown(&self, id: u32) -> bool {
        self.shows_body(id, true)
    }

    /// Whether what is held is more than the gateway holds; if so it has been dealt with.
    fn check_buffer(&self, id: u32, request: bool) -> bool {
        let (held, paused, sent) = self.edit(id, |exchange| {
            let direction: &Direction = exchange.direction(request);
            let paused = !matches!(direction.paused, Paused::No | Paused::Headers);
            (direction.buffer.len() + direction.queue.len(), paused, direction.headers_sent)
        });
        let (limit, when_full) = self.settings.profile.holds(request, &self.settings);
        if !paused || held <= limit {
            return false;
        }
        match when_full {
            WhenFull::LetGo => {
                self.release(id, request);
            }
            WhenFull::Refuse if request => {
                self.gateway_reply(id, 413, "request_payload_too_large", b"Payload Too Large")
            }
            WhenFull::Refuse if sent => self.end(id, Ending::Broken("response buffer limit".to_owned())),
            WhenFull::Refuse => {
                self.edit(id, |exchange| exchange.answer(500, Headers::new(), b"Internal Server Error".to_vec()));
                self.end(id, Ending::GatewayReply);
            }
        }
        true
    }

    /// Lets go of all that is held in a direction.
    pub(super) fn release(&self, id: u32, request: bool) {
        self.edit(id, |exchange| {
            let direction = exchange.direction(request);
            direction.paused = Paused::No;
            direction.readable = false;
            direction.headers_sent = true;
            let held = std::mem::take(&mut direction.buffer);
            direction.sent.extend(held);
            direction.trailers_sent |= direction.trailers.is_some();
        });
        self.complete_if_ended(id, request);
    }

    fn complete_if_ended(&self, id: u32, request: bool) {
        let ending = self.edit(id, |exchange| {
            let direction = exchange.direction(request);
            let ended = direction.end_arrived && direction.queue.is_empty() && direction.paused == Paused::No;
            direction.complete |= ended;
            (ended && !request && exchange.is_open()).then(|| exchange.ending_when_complete.clone())
        });
        if let Some(ending) = ending {
            self.end(id, ending);
        }
    }
}
