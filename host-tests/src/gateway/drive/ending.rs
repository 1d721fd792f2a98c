//! How streams end: local replies, answers of the gateway itself, traps, and the last callbacks.

use super::Runner;
use crate::gateway::{
    exchange::{Direction, Ending, Exchange, Paused},
    headers::Headers,
    profile::{LastCallback, Profile, ReplyInResponse},
    properties,
    vm::{Health, Phase},
};

impl Runner {
    /// The client went away.
    pub(crate) fn client_gone(&self, id: u32) {
        self.explain(id, "downstream_remote_disconnect");
        self.end(id, Ending::ClientGone);
    }

    /// The upstream went away, or could not be reached.
    pub(crate) fn upstream_reset(&self, id: u32) {
        let (open, answered) = self.edit(id, |exchange| (exchange.is_open(), exchange.response.arrived));
        if !open {
            return;
        }
        if answered {
            self.explain(id, "upstream_reset_after_response_started{connection_termination}");
            self.end(id, Ending::UpstreamReset);
        } else {
            let status = self.settings.profile.status_after_upstream_reset();
            let details = "upstream_reset_before_response_started{connection_termination}";
            self.gateway_reply(id, status, details, b"upstream connect error");
            self.after_all();
        }
    }

    /// The test is done with a stream: if it is still open, the client gives up.
    pub(crate) fn give_up(&self, id: u32) {
        self.explain(id, "downstream_remote_disconnect");
        let stuck =
            self.edit(id, |exchange| exchange.request.paused != Paused::No || exchange.response.paused != Paused::No);
        self.end(id, if stuck { Ending::Hung } else { Ending::ClientGone });
    }

    /// Carries out a local reply the filter asked for; true if the stream was taken over.
    pub(super) fn apply_local_reply(&self, id: u32) -> bool {
        let profile = self.settings.profile;
        let reply = self.edit(id, |exchange| {
            let new = exchange.is_open() && !exchange.local_reply_applied;
            let reply = exchange.local_reply.clone().filter(|_| new)?;
            exchange.local_reply_applied = true;
            Some((reply, exchange.response.arrived, exchange.response.headers_sent))
        });
        let Some((reply, response_arrived, response_sent)) = reply else { return !self.is_open(id) };
        self.explain(id, &reply.details);
        let body = [reply.body, profile.local_reply_suffix().into()].concat();
        if !response_arrived {
            self.answer_through_filter(id, reply.status, &reply.headers, &body, Ending::LocalReply);
            return true;
        }
        match profile.local_reply_in_response() {
            ReplyInResponse::Replaces if response_sent => {
                self.end(id, Ending::Broken("local reply after response headers".to_owned()));
                true
            }
            ReplyInResponse::Replaces => {
                self.edit(id, |exchange| exchange.answer(reply.status, reply.headers, body));
                self.end(id, Ending::LocalReply);
                true
            }
            ReplyInResponse::BreaksConnection if !response_sent => {
                self.edit(id, |exchange| exchange.response.headers.set(":status", "499"));
                self.end(id, Ending::Broken("local reply in response headers, logged as 499".to_owned()));
                true
            }
            ReplyInResponse::BreaksConnection | ReplyInResponse::Ignored => false,
        }
    }

    /// The gateway answers by itself; response callbacks run.
    pub(super) fn gateway_reply(&self, id: u32, status: u32, details: &str, body: &[u8]) {
        self.explain(id, details);
        self.answer_through_filter(id, status, &Headers::new(), body, Ending::GatewayReply);
    }

    /// Says why the response is what it is; of a stream that has ended, that stays as it was.
    fn explain(&self, id: u32, details: &str) {
        self.edit(id, |exchange| {
            if exchange.is_open() {
                details.clone_into(&mut exchange.code_details);
            }
        });
    }

    fn answer_through_filter(&self, id: u32, status: u32, extra: &Headers, body: &[u8], ending: Ending) {
        let mut headers = Headers::from([(":status", status.to_string().as_str())]);
        for (name, value) in extra.iter() {
            headers.add(name, value);
        }
        headers.set("content-length", body.len().to_string());
        self.edit(id, |exchange| {
            exchange.ending_when_complete = ending;
            exchange.request.paused = Paused::No;
            exchange.local_reply_applied = true;
            exchange.response =
                Direction { headers, arrived: true, headers_only: body.is_empty(), ..Direction::default() };
            exchange.response.end_arrived = body.is_empty();
        });
        self.headers(id, false);
        if self.is_open(id) && !body.is_empty() {
            if self.settings.profile.shows_body_of_local_reply() {
                self.body(id, false, body, true);
            } else {
                self.edit(id, |exchange| {
                    exchange.response.end_arrived = true;
                    exchange.response.buffer = body.to_vec();
                });
                self.release(id, false);
            }
        }
        // such an answer waits for nobody
        if self.is_open(id) {
            self.edit(id, |exchange| {
                let queue = std::mem::take(&mut exchange.response.queue);
                exchange.response.buffer.extend(queue);
            });
            self.release(id, false);
        }
    }

    /// A callback of a stream trapped. `Some(0)` if the stream goes on without its filter.
    pub(super) fn trapped(&self, id: u32, phase: Phase, reason: String) -> Option<u32> {
        let profile = self.settings.profile;
        self.edit(id, |exchange| exchange.trap = Some(reason.clone()));
        self.lose_vm(&reason);
        let (open, response, sent) =
            self.edit(id, |exchange| (exchange.is_open(), exchange.response.arrived, exchange.response.headers_sent));
        if !open || matches!(phase, Phase::Done | Phase::Log | Phase::Delete) {
            return None;
        }
        match (response, sent) {
            (true, _) if profile.response_survives_trap(phase == Phase::ResponseHeaders) => Some(0),
            (true, true) => {
                self.end(id, Ending::Broken("trap after response headers".to_owned()));
                None
            }
            _ => {
                self.edit(id, |exchange| exchange.answer(profile.status_after_trap(), Headers::new(), Vec::new()));
                self.end(id, Ending::GatewayReply);
                None
            }
        }
    }

    /// The VM is gone: its streams lose their filter, and the gateway does what it does then.
    pub(super) fn lose_vm(&self, reason: &str) {
        let profile = self.settings.profile;
        *self.vm.borrow_mut() = None;
        {
            let mut process = self.process.borrow_mut();
            let generation = self.generation.get();
            for exchange in process.exchanges.values_mut().filter(|exchange| exchange.filter == Some(generation)) {
                exchange.filter = None;
            }
            process.callouts.retain(|callout| callout.generation != generation);
            process.wishes.clear();
            process.live_vms = process.live_vms.saturating_sub(1);
            let main = self.settings.main_thread_vm && profile.runs_main_thread_vm();
            if process.live_vms == 0 && !main && profile.data_dies_with_last_vm() {
                process.shared_data.forget(&self.settings.vm_id);
            }
        }
        *self.health.borrow_mut() = Health::Failed(reason.to_owned());
        if profile.replaces_trapped_vm(&self.settings) {
            self.rebuild();
        }
    }

    /// A callback is due on a stream whose filter is gone or never was.
    pub(super) fn without_filter(&self, id: u32) -> Option<u32> {
        let (open, sent) = self.edit(id, |exchange| (exchange.is_open(), exchange.response.headers_sent));
        if !self.settings.profile.fails_streams_without_filter() || !open {
            return Some(0);
        }
        if sent {
            self.end(id, Ending::Broken("the filter's VM failed".to_owned()));
        } else {
            self.edit(id, |exchange| exchange.answer(503, Headers::new(), Vec::new()));
            self.end(id, Ending::GatewayReply);
        }
        None
    }

    /// Ends a stream once, with the gateway's last callbacks.
    pub(super) fn end(&self, id: u32, ending: Ending) {
        let first = self.edit(id, |exchange| {
            let first = exchange.is_open();
            if first {
                exchange.ending = ending;
                exchange.finalising = true;
            }
            first
        });
        if !first {
            return;
        }
        if self.settings.profile.logs_before_last_callbacks() {
            self.edit(id, |exchange| {
                exchange.logged = Some(properties::visible_in_access_log(self.settings.profile, exchange));
            });
        }
        let mut logged = false;
        for last in self.settings.profile.last_callbacks() {
            if !logged {
                self.edit(id, |exchange| exchange.span = spans(self.settings.profile, exchange));
            }
            // after a trap there is no filter, so nothing of this runs
            let (callback, phase) = match last {
                LastCallback::Done => ("proxy_on_done", Phase::Done),
                LastCallback::Log => ("proxy_on_log", Phase::Log),
                LastCallback::Delete => ("proxy_on_delete", Phase::Delete),
            };
            logged |= phase == Phase::Log;
            self.edit(id, |exchange| exchange.in_log = phase == Phase::Log);
            if self.edit(id, |exchange| exchange.filter.is_some()) {
                self.call(id, callback, phase, &[id]);
            }
        }
        // The context that saw the request ends last.
        if self.edit(id, |exchange| exchange.moved.take()).is_some() {
            self.call(id, "proxy_on_done", Phase::Done, &[id]);
            self.call(id, "proxy_on_delete", Phase::Delete, &[id]);
        }
        let mut process = self.process.borrow_mut();
        process.callouts.retain(|callout| callout.context != id);
        process.wishes.retain(|(context, _)| *context != id);
        if let Some(exchange) = process.exchange(id) {
            exchange.in_log = false;
        }
    }
}

fn spans(profile: Profile, exchange: &Exchange) -> std::collections::BTreeMap<String, Vec<u8>> {
    if profile.has_spans() { properties::visible_in_access_log(profile, exchange) } else { Default::default() }
}
