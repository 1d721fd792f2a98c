//! The hot path: one call from its first byte to its event. Start reading here.
//!
//! ```text
//! open -> admit -> respond -> read* -> end
//! head    body     head       chunks   event
//! ```
//! Where a head alone does not show that a request is a call, [`Call::recognise`] asks the body before `admit`.
//! [`Meter`] holds what calls share, [`Call`] what one call knows so far. [`Meter::end`] consumes the call, so every
//! call settles exactly once, whatever its ending.
//! Invariants: values in, effects out; time is an argument; nothing a client or provider sends can make this fail.
//! Must not know: gateways, their callbacks, how events travel.

pub use crate::call::{Body, Call, Denial, Ending, Unmetered, Verdict};
pub use crate::limit::{Change, Claims, Done};

use crate::attribution::bounded;
use crate::calibration::{Learned, Lessons, Observation, Subject};
use crate::call::Asked;
use crate::change;
use crate::config::Config;
use crate::config::raw::FailureMode;
use crate::counting::Remembered;
use crate::event::{Event, Outcome, Progress, UsageSource};
use crate::few_shot;
use crate::frame::inflate::{Codings, Inflate};
use crate::frame::raw::Raw;
use crate::head::{RequestHead, ResponseHead};
use crate::limit::Outputs;
use crate::metrics::{Counted, Measurement, Measurer};
use crate::refusal;
use crate::response_cache;
use crate::series::Admitted;
use crate::settlement::Settlement;
use crate::task_outcome::TaskOutcome;
use crate::time::Timestamp;
use crate::tokens::Counter;
use crate::tokens::memo::Memo;
use std::borrow::Cow;

/// Longer ones than any version of the header needs are not looked at.
const TRACEPARENT_MAX: usize = 256;

/// What calls share: the configuration, the token counter's caches, the labels seen so far.
pub struct Meter {
    pub(crate) config: Config,
    pub(crate) counter: Counter,
    pub(crate) memo: Memo<Remembered>,
    pub(crate) learned: Learned,
    /// How much models usually put out.
    pub(crate) outputs: Outputs,
    measurer: Measurer,
}

impl Meter {
    /// A meter for a configuration. Costs next to nothing; tables are part of the program.
    ///
    /// `secret` keys the memo of counts and the fingerprints of prompts: 128 bits that nobody outside can guess, drawn
    /// anew for every VM. A secret of the configuration takes its place.
    #[must_use]
    pub fn new(config: Config, secret: [u64; 2]) -> Self {
        let measurer = Measurer::new(&config);
        let counter = Counter::new();
        let secret = config.sources.fingerprint_key().unwrap_or(secret);
        let (memo, learned, outputs) = (Memo::new(secret), Learned::default(), Outputs::default());
        Self { config, counter, memo, learned, outputs, measurer }
    }

    /// The same, with what another meter of the VM remembers of words.
    #[must_use]
    pub fn counting_with(self, counter: Counter) -> Self {
        Self { counter, ..self }
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// A request arrives: `None` when it is no LLM call and must be left alone.
    #[must_use]
    #[inline(never)]
    pub fn open(&self, head: &RequestHead<'_>, id: String, now: Timestamp) -> Option<Call> {
        let route = self.config.route(head)?;
        let attribution = self.config.sources.resolve(head, route.key_headers());
        let codings = Codings::of(head.headers.all("content-encoding"));
        let traceparent = head.headers.get("traceparent").filter(|header| header.len() <= TRACEPARENT_MAX);
        let traceparent = traceparent.map(str::to_owned);
        let request_id = head.headers.get("x-request-id").map(bounded).filter(|id| !id.is_empty());
        let is_signed = change::is_signed(head);
        let is_model_in_path = change::is_model_in_path(head, &route);
        let gateway_route = (!head.route.is_empty()).then(|| head.route.to_owned());
        let call = Call::new(id, now, route, attribution, codings);
        let call = self.told(&head.headers, call);
        Some(Call { traceparent, request_id, gateway_route, is_signed, is_model_in_path, ..call })
    }

    /// Whether a doubtful request is a call, now that its body is there. What cannot be seen is taken for one.
    pub fn recognise(&self, call: &mut Call, body: Body<'_>) -> bool {
        match call.decoded(body, self.config.max_request_bytes) {
            Ok(bytes) => call.route.recognise(&bytes),
            Err(_) => call.route.trust(),
        }
    }

    /// The request body is there: counts the prompt and asks every limit on single calls. Budgets are asked next, through
    /// [`Meter::next_change`].
    #[inline(never)]
    pub fn admit(&mut self, call: &mut Call, body: Body<'_>) -> Verdict {
        if call.is_silent() {
            return Verdict::Forward;
        }
        let bytes = match call.decoded(body, self.config.max_request_bytes) {
            Ok(bytes) => bytes,
            Err((reason, message)) => return self.cannot_judge(call, reason, &message),
        };
        let mut request = match call.request_of(&bytes) {
            Ok(request) => call.route.outrank(request),
            Err((reason, message)) => return self.cannot_judge(call, reason, &message),
        };
        call.asked = Asked::of(&request);
        call.take_model();
        request.model = call.asked.model.clone().map(Cow::Owned);
        // The texts of a form with a picture or a recording are not read.
        if request.is_unknown() && !call.route.dialect.delivers_media() {
            call.unmetered = Some(Unmetered::RequestUnknown);
            if self.config.failure_mode == FailureMode::Closed {
                let message = "the request body holds nothing that is known to be read";
                return self.cannot_judge(call, Unmetered::RequestUnknown, message);
            }
        }
        let metadata = request.metadata.map(Raw::get);
        self.config.sources.add_body(&mut call.attribution, request.end_user.as_deref(), metadata);
        few_shot::mark(call.route.dialect, &mut request.elements, &self.config.few_shot_markers);
        call.prompt = self.count(call.route.dialect, &request, body.cuts());
        self.mark_step(call, &request, bytes.len());
        call.fixed = Self::fixed(call, body);
        self.limit(call, &request)
    }

    /// The response's head arrives.
    #[inline(never)]
    pub fn respond(&self, call: &mut Call, head: &ResponseHead<'_>) {
        call.status = Some(head.status);
        if call.is_upgraded() {
            return;
        }
        call.served_by = response_cache::served_by(&self.config.response_cache_headers, &head.headers);
        self.answered(call, &head.headers);
        let codings = Codings::of(head.headers.all("content-encoding"));
        // Only streams have the chunk, and only plain ones can lose it; anything else must pass as it comes.
        let is_stream = head.headers.get("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        if !is_stream || codings.as_ref().map_or(true, |codings| !codings.is_identity()) {
            call.withhold = None;
        }
        match codings {
            Ok(codings) => {
                call.inflate = Inflate::new(&codings);
                call.reader.insert(call.route.dialect.response_reader()).head(head);
            }
            Err(_) => call.unmetered = Some(Unmetered::ResponseEncoded),
        }
    }

    /// A piece of the response arrives: `true` when it changed the reported usage.
    #[inline(never)]
    pub fn read(&self, call: &mut Call, piece: &[u8], now: Timestamp) -> bool {
        if !piece.is_empty() {
            call.first_byte.get_or_insert(now);
        }
        let Some(reader) = &mut call.reader else { return false };
        let statements = reader.statements();
        call.inflate.feed(piece, &mut |bytes| reader.feed(bytes));
        if reader.statements() == statements {
            return false;
        }
        let usage = reader.usage();
        let has_changed = usage != call.usage;
        call.usage = usage;
        has_changed && !call.is_silent()
    }

    /// The call is over: settles it.
    #[inline(never)]
    pub fn end(&mut self, mut call: Call, ending: Ending, now: Timestamp) -> Event {
        call.end_response();
        let settlement = Settlement::of(&call, Some(ending), &mut self.counter);
        let mut event = self.explained(&call, settlement.event(&call, &self.config.prices, now));
        event.sight(call.prompt);
        event.taught.iter().for_each(|observation| self.learned.observe(observation));
        if let (Some(model), Some(tokens), Outcome::Complete) =
            (&event.request_model, event.output_tokens, event.outcome)
            && event.usage_source != UsageSource::None
        {
            self.outputs.learn(model, tokens);
        }
        event
    }

    /// Takes over what all workers together learned of a model's counts.
    pub fn learn(&mut self, subject: Subject, lessons: Lessons) {
        self.learned.replace(subject, lessons);
    }

    /// Fingerprints are made with the secret that all workers agreed on, so that they compare, unless the configuration
    /// has one. What was counted is forgotten, so this is for the beginning.
    pub fn share_secret(&mut self, secret: [u64; 2]) {
        if self.config.sources.fingerprint_key().is_none() {
            self.memo = Memo::new(secret);
        }
    }

    /// Whether the other workers should hear what a call taught that is over.
    #[must_use]
    pub fn is_to_share(&self, taught: &Observation) -> bool {
        self.learned.is_to_share(&taught.subject)
    }

    /// The event of a call that still runs, as far as it is known.
    #[must_use]
    pub fn so_far(&mut self, call: &Call, now: Timestamp) -> Event {
        let settlement = Settlement::of(call, None, &mut self.counter);
        settlement.event(call, &self.config.prices, now)
    }

    /// What is shown of a call that still runs: less than its event, and less work.
    #[must_use]
    pub fn progress<'a>(&mut self, call: &'a Call) -> Progress<'a> {
        Settlement::of(call, None, &mut self.counter).progress(call, &self.config.prices)
    }

    /// Whether the workers must decide together how this is counted, before it is.
    #[must_use]
    pub fn must_admit_series(&self, counted: Counted<'_>) -> bool {
        self.measurer.must_admit(counted)
    }

    /// Admits the series of this to those of all workers, where there is room; `true` when that changes them.
    #[must_use]
    pub fn admit_series(&self, counted: Counted<'_>, admitted: &mut Admitted) -> bool {
        self.measurer.admit(counted, admitted)
    }

    /// Takes over which series all workers admitted.
    pub fn take_series(&mut self, admitted: Admitted) {
        self.measurer.take(admitted);
    }

    /// What the gateway counts for an event of a call that is over.
    #[inline(never)]
    pub fn measure(&mut self, event: &Event) -> Vec<Measurement> {
        self.measurer.measure(event)
    }

    /// What the gateway counts for an operator's report on a task.
    pub fn measure_outcome(&mut self, outcome: &TaskOutcome) -> Vec<Measurement> {
        self.measurer.measure_outcome(outcome)
    }

    fn cannot_judge(&self, call: &mut Call, reason: Unmetered, message: &str) -> Verdict {
        let code = reason.to_string();
        call.unmetered = Some(reason);
        match self.config.failure_mode {
            FailureMode::Open => match self.refuse_unpriced(call) {
                Some(denial) => Verdict::Deny(denial),
                None => self.claim(call, None),
            },
            FailureMode::Closed => {
                let message = format!("{message}; this gateway only forwards calls that it can meter");
                Verdict::Deny(refusal::of_call(call.route.dialect, &code, &message))
            }
        }
    }
}
