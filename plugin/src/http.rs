//! One request: the gateway's callbacks in the order of a call's life, each turned into a step of the meter.
//!
//! ```text
//! request headers -> body -> [deny | forward] -> response headers -> body* -> end
//! ```
//! Traffic that is no LLM call is not changed, and not buffered or read where its head says so. A request that only its
//! body can tell from a call is doubtful until then, and leaves no trace where it is none. Every call ends exactly once:
//! at the response's end, when it is refused, or when the gateway lets go of it (`on_log`; `on_done` on APISIX;
//! `on_delete`).
//! Must not know: wire formats, prices, limits.

use crate::abi::{self, Action, Buffer, Headers, LogLevel};
use crate::body::Buffered;
use crate::brake;
use crate::host::Shows;
use crate::operator;
use crate::output::{self, Published};
use crate::root::{Root, now};
use tollgate_core::head::{self, RequestHead, ResponseHead};
use tollgate_core::meter::{Body, Call, Denial, Ending, Verdict};
use tollgate_core::metrics::Counted;
use tollgate_core::names::header;
use tollgate_core::retrieval::created_by;
use tollgate_core::time::Timestamp;

/// The state of one request.
pub(crate) struct Http {
    context: u32,
    root: u32,
    /// The call, while it runs; `None` for other traffic, and once it is over.
    call: Option<Call>,
    published: Published,
    /// The request was shown.
    has_begun: bool,
    is_admitted: bool,
    /// Bytes of the request's body that are buffered so far.
    buffered: usize,
    /// The request's body, while the call waits for the other gateways of its fleet, and since when.
    waiting: Option<(Buffered, Timestamp)>,
    /// They could not be asked, and this is the callback that says so.
    is_unheard: bool,
    /// Bytes of the response's body still to come, where only its length tells the end.
    awaited: Option<usize>,
}

impl Http {
    pub(crate) fn new(context: u32, root: u32) -> Self {
        Self {
            context,
            root,
            call: None,
            published: Published::default(),
            has_begun: false,
            is_admitted: false,
            buffered: 0,
            waiting: None,
            is_unheard: false,
            awaited: None,
        }
    }

    pub(crate) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Whether it is of the call with this id.
    pub(crate) fn is_of(&self, id: &str) -> bool {
        self.call.as_ref().is_some_and(|call| call.id() == id)
    }

    pub(crate) fn on_request_headers(&mut self, root: &mut Root, end_of_stream: bool) -> Action {
        self.has_begun = true;
        let host = root.host();
        let now = now();
        let pairs = root.metrics.note("get_header_map_pairs", abi::header_pairs(Headers::Request)).unwrap_or_default();
        let pairs = abi::pairs(&pairs);
        let headers = head::Headers::new(&pairs);
        #[cfg(feature = "trap")]
        if headers.get("x-tollgate-trap").is_some() {
            std::process::abort();
        }
        let field = |name| headers.get(name).unwrap_or_default();
        let route = if root.meter.config().asks_for_routes() { host.route() } else { String::new() };
        let request = RequestHead {
            route: &route,
            method: field(":method"),
            path: field(":path"),
            host: host.host_of(field(":authority"), field("host")),
            headers,
        };
        if operator::answer(root, &request, now).is_some() {
            return Action::Pause;
        }
        let Some(call) = root.meter.open(&request, root.vm.call_id(now.millis()), now) else {
            return Action::Continue;
        };
        let is_doubtful = call.is_doubtful();
        self.call = Some(call);
        if root.is_misconfigured && !is_doubtful {
            return self.deny(root, &misconfigured(self.call.as_ref()));
        }
        if let Some(upgrade) = request.upgrade() {
            return self.admit(root, Buffered::Upgraded(upgrade));
        }
        if !is_doubtful {
            self.prepare(root, &headers);
        }
        if self.call.as_ref().is_some_and(Call::is_silent) {
            // Nothing is judged, so nothing waits for a body.
            self.is_admitted = true;
            return Action::Continue;
        }
        if end_of_stream && host.reports_missing_body() {
            return self.admit(root, Buffered::Whole(Vec::new()));
        }
        root.metrics.note("set_property", host.ask_for_request_body());
        host.until_body(root.meter.config().hold_headers)
    }

    pub(crate) fn on_request_body(&mut self, root: &mut Root, size: usize, end_of_stream: bool) -> Action {
        if self.call.is_none() || self.is_admitted {
            return Action::Continue;
        }
        self.buffered = size;
        if !end_of_stream {
            if self.is_ruled_out(root) {
                return self.leave_alone();
            }
            return root.host().until_rest_of_body();
        }
        self.admit_buffered(root)
    }

    /// With trailers, the body's last piece does not say that it is the last.
    pub(crate) fn on_request_trailers(&mut self, root: &mut Root) -> Action {
        if self.call.is_none() || self.is_admitted {
            return Action::Continue;
        }
        self.admit_buffered(root)
    }

    pub(crate) fn on_response_headers(&mut self, root: &mut Root, end_of_stream: bool) -> Action {
        let Some(call) = &mut self.call else { return Action::Continue };
        let host = root.host();
        if call.is_doubtful() {
            // It is answered before its body was whole, or has none.
            return self.leave_alone();
        }
        if !self.is_admitted && !host.reports_missing_body() {
            // It is answered, and no body was shown: there was none. To refuse it now would be too late.
            self.is_admitted = true;
            brake::admit_at_once(root, call, Body::Whole(&[]), now());
        }
        let pairs = root.metrics.note("get_header_map_pairs", abi::header_pairs(Headers::Response)).unwrap_or_default();
        let pairs = abi::pairs(&pairs);
        let headers = head::Headers::new(&pairs);
        let status = headers.get(":status").and_then(|status| status.parse().ok()).unwrap_or(0);
        root.meter.respond(call, &ResponseHead { status, headers });
        host.attempts().into_iter().for_each(|attempts| call.sent(attempts));
        if call.withholds() {
            let removed = abi::remove_header(Headers::Response, "content-length");
            if root.metrics.note("remove_header_map_value", removed).is_none() {
                call.stop_withholding();
            }
        }
        let told = [(header::WARNING, call.warning()), (header::CHANGED, call.changed())];
        for (name, value) in told.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            let set = abi::replace_header(Headers::Response, name, value);
            root.metrics.note("replace_header_map_value", set);
        }
        root.metrics.note("set_property", host.ask_for_response_body());
        if !host.reports_end_of_response() {
            self.awaited = headers.get("content-length").and_then(|length| length.parse().ok());
        }
        if (end_of_stream && host.reports_missing_body()) || self.awaited == Some(0) {
            self.end_whole(root);
        }
        Action::Continue
    }

    pub(crate) fn on_response_body(&mut self, root: &mut Root, size: usize, end_of_stream: bool) -> Action {
        let Some(call) = &mut self.call else { return Action::Continue };
        let (host, now) = (root.host(), now());
        if call.is_upgraded() {
            return Action::Continue;
        }
        self.awaited = self.awaited.map(|awaited| awaited.saturating_sub(size));
        let end_of_stream = end_of_stream || self.awaited == Some(0);
        let mut piece = Vec::new();
        if size > 0 {
            let read = root.metrics.note("get_buffer_bytes", abi::buffer(Buffer::ResponseBody, size)).flatten();
            piece = read.unwrap_or_default();
            if piece.len() < size {
                call.miss_response();
                call.stop_withholding();
            }
            brake::renew(root, call, now);
            let has_changed = root.meter.read(call, &piece, now);
            // The last piece is followed by the event of the call that is over.
            if has_changed && !end_of_stream {
                show(root, &mut self.published, call);
            }
        }
        if host.can_close_response()
            && !end_of_stream
            && let Some(limit) = brake::must_cut(root, call, now)
        {
            return self.cut(root, &limit);
        }
        // The last piece may be empty, and still let go what was held back.
        if let Some(passed) = call.pass(&piece, end_of_stream) {
            let replaced = abi::replace_buffer(Buffer::ResponseBody, &passed);
            if root.metrics.note("set_buffer_bytes", replaced).is_none() {
                call.stop_withholding();
            }
        }
        if end_of_stream {
            self.end_whole(root);
        }
        Action::Continue
    }

    /// With trailers, the body's last piece does not say that it is the last.
    pub(crate) fn on_response_trailers(&mut self, root: &mut Root) -> Action {
        self.end_whole(root);
        Action::Continue
    }

    pub(crate) fn on_log(&mut self, root: &mut Root) -> Action {
        if self.call.is_some() {
            let ending = root.host().ending(false);
            self.end(root, ending);
        }
        Action::Continue
    }

    pub(crate) fn on_done(&mut self, root: &mut Root) -> Action {
        if root.host().ends_with_done() { self.on_log(root) } else { Action::Continue }
    }

    /// The last chance: a gateway that skipped everything else.
    pub(crate) fn on_delete(&mut self, root: &mut Root) {
        self.end(root, Ending::ClientGone);
    }

    fn admit_buffered(&mut self, root: &mut Root) -> Action {
        let is_encoded = self.call.as_ref().is_some_and(Call::is_encoded);
        let body = Buffered::read(root, self.buffered, is_encoded);
        self.admit(root, body)
    }

    /// Readies the request's headers for what metering needs. Only while they have not gone on.
    fn prepare(&mut self, root: &mut Root, headers: &head::Headers<'_>) {
        let Some(call) = &mut self.call else { return };
        let host = root.host();
        let may_withhold = root.meter.may_ask_for_usage(call) && host.can_change_answers();
        if let Some(codings) = root.meter.accept_encoding(headers, may_withhold) {
            let replaced = abi::replace_header(Headers::Request, "accept-encoding", &codings);
            root.metrics.note("replace_header_map_value", replaced);
        }
        if root.meter.may_change(call) {
            // Where a body's length cannot be corrected once headers have gone on, they go without.
            let removed = match host.corrects_length() {
                true => Ok(()),
                false => abi::remove_header(Headers::Request, "content-length"),
            };
            if root.metrics.note("remove_header_map_value", removed).is_some() {
                call.allow_changes(host.can_change_requests(), host.can_change_answers());
            }
        }
    }

    /// Whether the beginning of a doubtful request's body already shows that it is no call.
    fn is_ruled_out(&self, root: &mut Root) -> bool {
        /// Enough to see how a body begins.
        const BEGINNING: usize = 64;
        let is_to_see = self.call.as_ref().is_some_and(|call| call.is_doubtful() && !call.is_encoded());
        if !is_to_see || self.buffered == 0 {
            return false;
        }
        let beginning = abi::buffer(Buffer::RequestBody, self.buffered.min(BEGINNING));
        let beginning = root.metrics.note("get_buffer_bytes", beginning).flatten().unwrap_or_default();
        Call::may_begin(&beginning) == Some(false)
    }

    /// It is no call: from here on the filter never looks at it again.
    fn leave_alone(&mut self) -> Action {
        self.call = None;
        Action::Continue
    }

    /// The body of a doubtful request is there: whether it is a call. If so, it is treated as one from here on.
    fn recognise(&mut self, root: &mut Root, body: Body<'_>) -> bool {
        let Some(call) = self.call.as_mut().filter(|call| call.is_doubtful()) else { return true };
        if !root.meter.recognise(call, body) {
            return false;
        }
        if root.host().holds_headers_until_body(root.meter.config().hold_headers) {
            let read = abi::header_pairs(Headers::Request);
            let pairs = root.metrics.note("get_header_map_pairs", read).unwrap_or_default();
            self.prepare(root, &head::Headers::new(&abi::pairs(&pairs)));
        }
        true
    }

    fn admit(&mut self, root: &mut Root, body: Buffered) -> Action {
        if !self.recognise(root, body.as_body()) {
            return self.leave_alone();
        }
        if root.is_misconfigured {
            return self.deny(root, &misconfigured(self.call.as_ref()));
        }
        let Some(call) = &mut self.call else { return Action::Continue };
        self.is_admitted = true;
        root.agree_on_secret();
        let now = now();
        let verdict = brake::admit(root, call, body.as_body(), now);
        self.decide(root, verdict, body, now)
    }

    /// The other gateways of the fleet said what the call waited for, or cannot be asked.
    pub(crate) fn on_heard(&mut self, root: &mut Root, is_answered: bool) -> Action {
        let Some((body, since)) = self.waiting.take() else { return Action::Continue };
        let Some(call) = &mut self.call else { return Action::Continue };
        let verdict = brake::heard(root, call, body.as_body(), is_answered, now());
        self.is_unheard = !is_answered;
        self.decide(root, verdict, body, since)
    }

    /// Carries out what is decided of a call that came at a time.
    fn decide(&mut self, root: &mut Root, mut verdict: Verdict, body: Buffered, since: Timestamp) -> Action {
        let Some(call) = &mut self.call else { return Action::Continue };
        let decided = loop {
            verdict = match verdict {
                Verdict::Wait if root.may_wait(since) && root.wait(self.context, self.root, call) => {
                    self.waiting = Some((body, since));
                    return Action::Pause;
                }
                Verdict::Wait => brake::heard(root, call, body.as_body(), false, now()),
                Verdict::Forward => match change(root, call, body.as_body()) {
                    Verdict::Forward => break None,
                    changed => changed,
                },
                Verdict::Deny(denial) => break Some(denial),
            }
        };
        match decided {
            None => {
                show(root, &mut self.published, call);
                Action::Continue
            }
            Some(denial) => self.deny(root, &denial),
        }
    }

    /// Answers in the provider's place. Pausing is right on every gateway once the answer is sent.
    fn deny(&mut self, root: &mut Root, denial: &Denial) -> Action {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(denial.headers.iter().map(|(name, value)| (*name, value.as_str())));
        let is_bare = self.is_unheard && !root.host().answers_after_failures();
        let body = if is_bare { "" } else { &*denial.body };
        let sent = abi::send_local_response(denial.status, "tollgate_denied", &headers, body);
        if root.metrics.note("send_local_response", sent).is_none() {
            abi::log(LogLevel::Critical, "tollgate cannot refuse a call: the gateway does not send the answer");
            return Action::Continue;
        }
        if let Some(call) = &mut self.call {
            call.refuse(denial.status);
        }
        self.end(root, Ending::Denied);
        Action::Pause
    }

    /// Ends a stream at a limit. The gateway may call back meanwhile, so the call is over before.
    fn cut(&mut self, root: &mut Root, limit: &str) -> Action {
        self.end(root, Ending::Cut);
        abi::log(LogLevel::Warn, &format!("tollgate ends a stream at limit {limit}"));
        let closed = abi::close_response();
        root.metrics.note("close_stream", closed);
        Action::Pause
    }

    /// The response's end was passed on, be it the provider's or the gateway's own.
    fn end_whole(&mut self, root: &mut Root) {
        if self.call.is_some() {
            let ending = root.host().ending(true);
            self.end(root, ending);
        }
    }

    /// The call is over; does nothing when it already was.
    fn end(&mut self, root: &mut Root, ending: Ending) {
        let Some(mut call) = self.call.take().filter(|call| !call.is_doubtful()) else { return };
        let (host, now) = (root.host(), now());
        // A call that nobody waits for any more was sent nowhere.
        let ending = if brake::abandon(root, &mut call, now) { Ending::LocalReply } else { ending };
        if self.waiting.take().is_some() {
            root.fleet.iter_mut().for_each(|fleet| _ = fleet.forget(self.context));
        }
        if !root.has_event(&mut call, now) {
            return;
        }
        let (told_later, opened) = (call.told_later(), call.opened());
        let claims = call.take_claims();
        let mut event = root.meter.end(call, ending, now);
        brake::settle(root, &claims, &mut event, now);
        if let Some(keys) = told_later {
            root.remember_created(&keys, &created_by(&event, opened), now);
        }
        let is_shared = root.store.is_shared();
        if is_shared && let Some((task, charge)) = event.task_charge() {
            event.task = root.charge_task(&task, &charge, now).as_ref().map(Into::into);
        }
        root.compare(&mut event, now);
        if let Some(taught) = event.taught.as_ref().filter(|taught| is_shared && root.meter.is_to_share(taught)) {
            root.share_lesson(taught, now);
        }
        root.follow(&mut event, now);
        root.report(&mut event, now);
        let json = event.json();
        root.export(&event, &json);
        root.admit_series(Counted::Event(&event), now);
        let measured = root.meter.measure(&event);
        let to_log = root.meter.config().log_events;
        output::emit(host, &mut root.metrics, &mut self.published, (&event, &json), &measured, to_log);
    }
}

/// Changes a request that is admitted, where limits or metering want that; what becomes of the call where its gateway does
/// not take the change.
fn change(root: &mut Root, call: &mut Call, body: Body<'_>) -> Verdict {
    let Some(changed) = body.whole().and_then(|body| root.meter.change(call, body)) else { return Verdict::Forward };
    let replaced = abi::replace_buffer(Buffer::RequestBody, &changed);
    match root.metrics.note("set_buffer_bytes", replaced) {
        Some(_) => Verdict::Forward,
        None => brake::admit_unchanged(root, call, body, now()),
    }
}

fn misconfigured(call: Option<&Call>) -> Denial {
    let message = "the gateway's Tollgate filter is misconfigured; its log says how";
    Denial {
        status: 503,
        headers: Vec::new(),
        body: call.map(|call| call.error_body("api_error", "misconfigured", message)).unwrap_or_default(),
    }
}

/// Shows a call that still runs, as far as its gateway takes that.
fn show(root: &mut Root, published: &mut Published, call: &Call) {
    let host = root.host();
    match host.shows_before_the_end() {
        Shows::Values => output::publish(host, &mut root.metrics, published, &root.meter.progress(call)),
        Shows::Event => output::publish_so_far(host, &mut root.metrics, &root.meter.so_far(call, now())),
    }
}
