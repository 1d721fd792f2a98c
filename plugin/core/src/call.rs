//! One call: what is known of it so far, and what can be done with it.
//!
//! Invariants: values that a client sends are bounded before they are kept.
//! Must not know: gateways; the stages, which [`Meter`](crate::meter::Meter) wires together.

use crate::attribution::{Attribution, bounded};
use crate::change::{Changes, Fixed};
use crate::cut::Cut;
use crate::dialect::{Answer, Evidence, Request, RequestError, ResponseReader, Route, UsagePart};
use crate::estimate::Bound;
use crate::frame::Wellformedness;
use crate::frame::inflate::{Codings, Inflate, UnknownCoding};
use crate::frame::reduce::{Cuts, Reduced};
use crate::frame::withhold::Withhold;
use crate::head::Upgrade;
use crate::health::RateLimits;
use crate::ledger::Key;
use crate::limit::{Account, Claims, Done, Finding};
use crate::price::Unpriced;
use crate::prompt::Prompt;
use crate::retry::Step;
use crate::routing::Decision;
use crate::step::Turn;
use crate::task_outcome::TaskOutcome;
use crate::time::Timestamp;

/// One call, as far as it is known.
pub struct Call {
    pub(crate) id: String,
    pub(crate) opened: Timestamp,
    pub(crate) route: Route,
    pub(crate) attribution: Attribution,
    /// The caller's span.
    pub(crate) traceparent: Option<String>,
    /// The gateway's id of the request.
    pub(crate) request_id: Option<String>,
    pub(crate) asked: Asked,
    pub(crate) prompt: Prompt,
    pub(crate) findings: Vec<Finding>,
    /// Ceilings at which its stream is ended.
    pub(crate) cuts: Vec<Cut>,
    /// Tells its step from others.
    pub(crate) mark: Option<u64>,
    /// What the user said last.
    pub(crate) turn: Option<Turn>,
    /// Tells its step, and the call itself, from others.
    pub(crate) step: Option<Step>,
    /// How many tries came before, as the client says.
    pub(crate) told_tries: Option<u64>,
    /// How often the gateway sent it.
    pub(crate) attempts: Option<u64>,
    /// What a router decided.
    pub(crate) decision: Decision,
    /// What its request reports of a task.
    pub(crate) reported: Option<TaskOutcome>,
    /// The provider's rate limits.
    pub(crate) rate_limits: RateLimits,
    /// What it takes of budgets.
    pub(crate) claims: Claims,
    pub(crate) status: Option<u16>,
    /// The codings of the request's body.
    pub(crate) codings: Result<Codings, UnknownCoding>,
    /// Undoes those of the response's.
    pub(crate) inflate: Inflate,
    pub(crate) reader: Option<Box<dyn ResponseReader>>,
    pub(crate) wellformedness: Wellformedness,
    pub(crate) first_byte: Option<Timestamp>,
    pub(crate) usage: Option<Vec<UsagePart>>,
    /// The answer was read to its end.
    pub(crate) is_read: bool,
    /// When what it is charged for was consumed: what is told later was consumed when it was created.
    pub(crate) consumed: Timestamp,
    /// The event of the call that created what this one is charged for.
    pub(crate) billed_for: Option<String>,
    /// A part of what the answer states was charged before.
    pub(crate) is_rest: bool,
    pub(crate) unmetered: Option<Unmetered>,
    /// Why it was refused for having no price.
    pub(crate) unpriced: Option<Unpriced>,
    /// The gateway's name of its route.
    pub(crate) gateway_route: Option<String>,
    /// Its path names the model.
    pub(crate) is_model_in_path: bool,
    /// It carries a signature of its own bytes.
    pub(crate) is_signed: bool,
    /// The header that says that a cache in the gateway served the response.
    pub(crate) served_by: Option<String>,
    pub(crate) may_change_request: bool,
    pub(crate) may_change_answer: bool,
    /// Why its request cannot be changed.
    pub(crate) fixed: Option<Fixed>,
    /// What is changed in its request.
    pub(crate) changes: Changes,
    /// How its searches are bounded, where its upper bound matters.
    pub(crate) bound: Option<Bound>,
    /// Takes out of the answer what only we asked for.
    pub(crate) withhold: Option<Withhold>,
}

/// What the request asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) model: Option<String>,
    pub(crate) stream: bool,
    pub(crate) speed: Option<String>,
    pub(crate) service_tier: Option<String>,
    /// How much of the web is to be searched.
    pub(crate) search_context_size: Option<String>,
    /// The most output tokens, all choices together.
    pub(crate) max_output_tokens: Option<u64>,
    /// The smallest maximum that each choice may have.
    pub(crate) least_output_tokens: u64,
    /// How many answers.
    pub(crate) choices: u64,
}

/// A request body, as far as the gateway lets it be read.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// A large one, with long strings cut short. It can be judged, but not changed.
    Reduced(&'a Reduced),
    /// There are this many bytes, more than are read.
    TooLarge(usize),
    /// There are this many bytes, but the gateway does not hand them over (Kong, once they are on disk).
    Unreadable(usize),
    /// None: another protocol takes the connection over.
    Upgraded(Upgrade),
}

/// Why the usage of a call, or a part of it, is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmetered {
    /// The request body is larger than `max_request_bytes`, or has more parts than are looked at.
    #[error("request_too_large")]
    RequestTooLarge,
    /// The gateway does not hand the request body over.
    #[error("request_unreadable")]
    RequestUnreadable,
    /// The request body has a content coding that cannot be undone.
    #[error("request_encoded")]
    RequestEncoded,
    /// The request body is not what the dialect says it is.
    #[error("request_malformed")]
    RequestMalformed,
    /// The request body holds nothing that the dialect reads.
    #[error("request_unknown")]
    RequestUnknown,
    /// The connection goes on as a WebSocket, whose messages are not read.
    #[error("websocket")]
    WebSocket,
    /// The connection goes on in another protocol.
    #[error("upgrade")]
    Upgrade,
    /// There was no response.
    #[error("no_response")]
    NoResponse,
    /// The response has a content coding that cannot be undone.
    #[error("response_encoded")]
    ResponseEncoded,
    /// Decoding the response would take more than is granted: output, output for each byte, or a larger window.
    #[error("response_encoding_limit")]
    ResponseEncodingLimit,
    /// The gateway did not hand over a part of the response.
    #[error("response_unreadable")]
    ResponseUnreadable,
    /// The response is no JSON and no stream of it.
    #[error("response_unknown")]
    ResponseUnknown,
    /// The response states no usage and holds no output that could be counted.
    #[error("usage_unreported")]
    UsageUnreported,
    /// The response is made in the background: what it consumes is told, and charged, when it is asked for.
    #[error("usage_pending")]
    UsagePending,
    /// What was made is billed by the picture.
    #[error("billed_by_image")]
    BilledByImage,
    /// What was heard is billed by the second.
    #[error("billed_by_second")]
    BilledBySecond,
    /// What was told could not be compared with what was charged before.
    #[error("store_failed")]
    StoreFailed,
}

/// What is to be done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it on.
    Forward,
    /// Answer it here.
    Deny(Denial),
    /// Hold it until the other gateways of the fleet are heard.
    Wait,
}

/// An answer in the provider's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The HTTP status.
    pub status: u16,
    /// Header fields beside content type and length.
    pub headers: Vec<(&'static str, String)>,
    /// JSON in the provider's error shape.
    pub body: String,
}

/// What ended a call, as the gateway saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The response's end was passed on.
    Complete,
    /// The client went away first.
    ClientGone,
    /// The provider's side broke off.
    UpstreamReset,
    /// The gateway answered by itself.
    LocalReply,
    /// Tollgate ended the stream at a limit.
    Cut,
    /// Tollgate refused the call.
    Denied,
}

impl Call {
    pub(crate) fn new(
        id: String,
        opened: Timestamp,
        route: Route,
        attribution: Attribution,
        codings: Result<Codings, UnknownCoding>,
    ) -> Self {
        // What the path says is known even of a body that cannot be read.
        let asked = Asked::of(&route.outrank(Request::default()));
        Self {
            id,
            opened,
            route,
            attribution,
            traceparent: None,
            request_id: None,
            asked,
            prompt: Prompt::default(),
            findings: Vec::new(),
            cuts: Vec::new(),
            mark: None,
            turn: None,
            step: None,
            told_tries: None,
            attempts: None,
            decision: Decision::default(),
            reported: None,
            rate_limits: RateLimits::default(),
            claims: Claims::default(),
            status: None,
            codings,
            inflate: Inflate::default(),
            reader: None,
            wellformedness: Wellformedness::default(),
            first_byte: None,
            usage: None,
            is_read: false,
            consumed: opened,
            billed_for: None,
            is_rest: false,
            unmetered: None,
            unpriced: None,
            gateway_route: None,
            is_model_in_path: false,
            is_signed: false,
            served_by: None,
            may_change_request: false,
            may_change_answer: false,
            fixed: None,
            changes: Changes::default(),
            bound: None,
            withhold: None,
        }
    }

    /// What the answer says so far.
    pub(crate) fn answer(&self) -> Option<&Answer> {
        self.reader.as_ref().map(|reader| reader.answer())
    }

    /// Whether only the body can tell that this is a call. Until then nothing of the request may be changed.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.route.evidence != Evidence::Head
    }

    /// Whether the first bytes of the body rule out that this is a call; `None` while they say nothing.
    #[must_use]
    pub fn may_begin(body: &[u8]) -> Option<bool> {
        Route::may_begin(body)
    }

    /// Whether another protocol took the connection over.
    #[must_use]
    pub const fn is_upgraded(&self) -> bool {
        matches!(self.unmetered, Some(Unmetered::WebSocket | Unmetered::Upgrade))
    }

    /// The gateway did not hand over this many bytes of the response.
    pub fn miss_response(&mut self) {
        self.unmetered = Some(Unmetered::ResponseUnreadable);
    }

    /// What its event is known by.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When the request arrived.
    #[must_use]
    pub const fn opened(&self) -> Timestamp {
        self.opened
    }

    /// The gateway sent the request so often.
    pub const fn sent(&mut self, attempts: u64) {
        self.attempts = Some(attempts);
    }

    /// The gateway can change this call's request, and its answer.
    pub const fn allow_changes(&mut self, request: bool, answer: bool) {
        (self.may_change_request, self.may_change_answer) = (request, answer);
    }

    /// What was changed in the request, as a header's value.
    #[must_use]
    pub fn changed(&self) -> Option<String> {
        self.changes.told()
    }

    /// Whether the answer loses a chunk on its way to the client, so that its length is not what the provider says.
    #[must_use]
    pub const fn withholds(&self) -> bool {
        self.withhold.is_some()
    }

    /// The gateway does not change the answer: from here on it passes as it comes.
    pub fn stop_withholding(&mut self) {
        self.withhold = None;
    }

    /// What of a piece of the answer goes on to the client; `None` when all of it does, as it is.
    pub fn pass(&mut self, piece: &[u8], is_last: bool) -> Option<Vec<u8>> {
        let withhold = self.withhold.as_mut()?;
        let mut passed = withhold.feed(piece);
        if is_last {
            passed.append(&mut withhold.end());
        }
        (passed != piece).then_some(passed)
    }

    /// What the call takes of budgets. It is charged when the call is over, so this takes it.
    pub fn take_claims(&mut self) -> Claims {
        std::mem::take(&mut self.claims)
    }

    /// Whether what budgets hold for this call must be renewed, since it still runs.
    #[must_use]
    pub fn must_renew(&self, now: Timestamp) -> bool {
        self.claims.must_renew(now)
    }

    /// What limits tell the caller although the call goes on, as a header's value.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let warnings: Vec<_> = self.findings.iter().filter_map(Finding::warning).collect();
        (!warnings.is_empty()).then(|| warnings.join(", "))
    }

    /// What it takes of budgets, while it runs.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// What it waits for: an account of the fleet, the limit by its place in the configuration, and the amount.
    #[must_use]
    pub fn awaited(&self) -> Option<(&Key<Account>, usize, i128)> {
        self.claims.awaited()
    }

    /// It waits no longer, and is not sent: what it holds is let go, as the next changes.
    pub fn abandon(&mut self) -> bool {
        let waits = self.claims.awaited().is_some();
        if waits {
            self.claims.withdraw();
        }
        waits
    }

    /// How many claims it has on budgets.
    #[must_use]
    pub fn claim_count(&self) -> usize {
        self.claims.len()
    }

    /// What came of the renewal of a claim; `None` when it could not be made.
    pub fn renewed(&mut self, number: usize, done: Option<&Done>, now: Timestamp) {
        self.claims.renewed(number, done, now);
    }

    /// The call is answered in the provider's place.
    pub fn refuse(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// An error body in the shape of the call's dialect.
    #[must_use]
    pub fn error_body(&self, kind: &str, code: &str, message: &str) -> String {
        self.route.dialect.error_body(kind, code, message)
    }

    /// The provider as far as the request tells, else the one that defined the dialect.
    pub(crate) fn provider(&self) -> &str {
        self.route.provider.as_deref().unwrap_or(self.route.dialect.default_provider())
    }

    /// Whose prices the call has: Vercel's gateway takes the list prices of whoever made the model.
    pub(crate) fn priced_at(&self) -> Option<&str> {
        self.route.provider.as_deref().filter(|provider| *provider != "vercel")
    }

    pub(crate) fn request_of<'a>(&self, body: &'a [u8]) -> Result<Request<'a>, (Unmetered, String)> {
        self.route.read_request(body).map_err(|error| {
            let reason = match error {
                RequestError::TooManyParts => Unmetered::RequestTooLarge,
                _ => Unmetered::RequestMalformed,
            };
            (reason, error.to_string())
        })
    }
}

impl<'a> Body<'a> {
    /// All of its bytes, where they are there as they are.
    #[must_use]
    pub const fn whole(&self) -> Option<&'a [u8]> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Reduced(_) | Self::TooLarge(_) | Self::Unreadable(_) | Self::Upgraded(_) => None,
        }
    }

    /// What was left out of it.
    pub(crate) fn cuts(&self) -> Cuts<'a> {
        match self {
            Self::Reduced(reduced) => reduced.cuts(),
            Self::Whole(_) | Self::TooLarge(_) | Self::Unreadable(_) | Self::Upgraded(_) => Cuts::default(),
        }
    }
}

impl Asked {
    pub(crate) fn of(request: &Request<'_>) -> Self {
        let choices = request.choices.unwrap_or(1).max(1);
        Self {
            model: request.model.as_deref().map(bounded),
            stream: request.stream,
            speed: request.speed.as_deref().map(bounded),
            service_tier: request.service_tier.as_deref().map(bounded),
            search_context_size: request.search_context_size.as_deref().map(bounded),
            max_output_tokens: request.max_output_tokens.map(|tokens| tokens.saturating_mul(choices)),
            least_output_tokens: request.least_output_tokens.unwrap_or(0),
            choices,
        }
    }
}
