//! Request bodies in one piece, as Kong and APISIX show them: headers first, then, if the filter lets them pass and
//! there is a body, one callback with all of it; nothing goes upstream before that.

use super::{PAUSE, Runner};
use crate::gateway::{
    exchange::{Ending, Paused},
    vm::{Health, Phase},
};

impl Runner {
    /// Shows the request headers.
    pub(super) fn whole_headers(&self, id: u32) {
        let profile = self.settings.profile;
        let (count, ended) = self.edit(id, |exchange| (exchange.request.headers.len(), exchange.request.end_arrived));
        let count = u32::try_from(profile.header_count(count)).unwrap_or(u32::MAX);
        let args = [id, count, u32::from(profile.request_headers_end(ended))];
        let Some(action) = self.call(id, "proxy_on_request_headers", Phase::RequestHeaders, &args) else { return };
        if !self.apply_local_reply(id) {
            self.obey(id, action);
            self.whole_advance(id);
        }
    }

    /// Moves the request on as far as it can go.
    pub(super) fn whole_advance(&self, id: u32) {
        let ready = self.edit(id, |exchange| {
            let request = &exchange.request;
            exchange.is_open() && request.paused == Paused::No && request.end_arrived && !request.complete
        });
        if !ready {
            return;
        }
        let show = self.is_body_shown(id)
            && self.edit(id, |exchange| !exchange.request.body_shown && !exchange.request.queue.is_empty());
        if show && !self.show_whole_body(id) {
            return;
        }
        self.edit(id, |exchange| {
            let request = &mut exchange.request;
            let body = [std::mem::take(&mut request.buffer), std::mem::take(&mut request.queue)].concat();
            if request.replaced && request.headers.get("content-length").is_some() {
                request.headers.set("content-length", body.len().to_string());
            }
            request.sent = body;
            (request.readable, request.headers_sent, request.complete) = (false, true, true);
        });
    }

    /// The one body callback; whether the request goes on.
    fn show_whole_body(&self, id: u32) -> bool {
        let length = self.edit(id, |exchange| {
            let request = &mut exchange.request;
            request.body_shown = true;
            request.buffer = std::mem::take(&mut request.queue);
            request.spilled = self.settings.profile.spills(request.buffer.len(), &self.settings);
            request.readable = !request.spilled;
            request.buffer.len()
        });
        let args = [id, u32::try_from(length).unwrap_or(u32::MAX), 1];
        let Some(action) = self.call(id, "proxy_on_request_body", Phase::RequestBody, &args) else { return false };
        let hidden = self.settings.profile.hides_body_after_callback();
        self.edit(id, |exchange| exchange.request.readable &= !hidden);
        if self.apply_local_reply(id) {
            return false;
        }
        self.obey(id, action)
    }

    /// Does what the action of a request callback means here; whether the request goes on.
    fn obey(&self, id: u32, action: u32) -> bool {
        let profile = self.settings.profile;
        let waits = self.has_callout(id);
        if action != PAUSE {
            if profile.drops_callouts_on_continue() {
                self.process.borrow_mut().callouts.retain(|callout| callout.context != id);
            }
            return true;
        }
        if !waits && profile.crashes_on_idle_pause() {
            self.crash(id, "Pause with no pending HTTP call: segmentation fault");
            return false;
        }
        debug_assert!(waits || profile.hangs_on_idle_pause());
        self.edit(id, |exchange| exchange.request.paused = Paused::Everything);
        false
    }

    /// The worker process dies, with every stream in it.
    fn crash(&self, id: u32, reason: &str) {
        self.lose_vm(reason);
        *self.health.borrow_mut() = Health::Crashed(reason.to_owned());
        self.edit(id, |exchange| exchange.trap = Some(reason.to_owned()));
        let open: Vec<u32> = {
            let process = self.process.borrow();
            let own = process.exchanges.iter().filter(|(_, e)| e.worker == self.index && e.is_open());
            own.map(|(id, _)| *id).collect()
        };
        for id in open {
            self.end(id, Ending::WorkerCrashed(reason.to_owned()));
        }
    }
}
