//! The hot path: one call from its first byte to its event. Start reading here.
//!
//! ```text
//! open -> admit -> respond -> read* -> end
//! head    body     head       chunks   event
//! ```
//! [`Meter`] holds what calls share, [`Call`] what one call knows so far. [`Meter::end`] consumes the call, so every
//! call settles exactly once, whatever its ending.
//! Invariants: values in, effects out; time is an argument; nothing a client or provider sends can make this fail.
//! Must not know: gateways, their callbacks, how events travel.

use crate::attribution::{Attribution, bounded};
use crate::calibration::Tokenizer;
use crate::config::Config;
use crate::config::raw::FailureMode;
use crate::dialect::{Dialect, Request, RequestError, ResponseReader, Route, UsagePart};
use crate::event::Event;
use crate::frame::Wellformedness;
use crate::frame::withhold::Withhold;
use crate::head::{RequestHead, ResponseHead};
use crate::limit::{Estimate, Finding};
use crate::metrics::{Measurement, Measurer};
use crate::money::Usd;
use crate::names::header;
use crate::price::{Lookup, Terms};
use crate::prompt::{Kind, Part, Piece, Prompt};
use crate::settlement::Settlement;
use crate::time::Timestamp;
use crate::tokens::{Budget, Counter};
use crate::usage::{Bucket, Usage};

/// What calls share: the configuration, the token counter's caches, the labels seen so far.
pub struct Meter {
    config: Config,
    counter: Counter,
    measurer: Measurer,
}

/// One call, as far as it is known.
pub struct Call {
    pub(crate) id: String,
    pub(crate) opened: Timestamp,
    pub(crate) route: Route,
    pub(crate) attribution: Attribution,
    pub(crate) asked: Asked,
    pub(crate) prompt: Prompt,
    pub(crate) findings: Vec<Finding>,
    pub(crate) status: Option<u16>,
    pub(crate) reader: Option<Box<dyn ResponseReader>>,
    pub(crate) wellformedness: Wellformedness,
    pub(crate) first_byte: Option<Timestamp>,
    pub(crate) usage: Option<Vec<UsagePart>>,
    pub(crate) unmetered: Option<Unmetered>,
    may_rewrite: bool,
    /// Takes out of the answer what only we asked for.
    withhold: Option<Withhold>,
}

/// What the request asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) model: Option<String>,
    pub(crate) stream: bool,
    pub(crate) speed: Option<String>,
    pub(crate) service_tier: Option<String>,
    /// The most output tokens, all choices together.
    pub(crate) max_output_tokens: Option<u64>,
}

/// A request body, as far as the gateway lets it be read.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// There are this many bytes, more than are read.
    TooLarge(usize),
    /// There are this many bytes, but the gateway does not hand them over (Kong, once they are on disk).
    Unreadable(usize),
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
    /// The request body is not what the dialect says it is.
    #[error("request_malformed")]
    RequestMalformed,
    /// There was no response.
    #[error("no_response")]
    NoResponse,
    /// The response is compressed.
    #[error("response_encoded")]
    ResponseEncoded,
    /// The gateway did not hand over a part of the response.
    #[error("response_unreadable")]
    ResponseUnreadable,
    /// The response is no JSON and no stream of it.
    #[error("response_unknown")]
    ResponseUnknown,
    /// The response states no usage and holds no output that could be counted.
    #[error("usage_unreported")]
    UsageUnreported,
}

/// What is to be done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it on.
    Forward,
    /// Send it on with this body instead.
    Rewrite(Vec<u8>),
    /// Answer it here.
    Deny(Denial),
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
    /// Tollgate refused the call.
    Denied,
}

impl Meter {
    /// A meter for a configuration. Costs next to nothing; tables are part of the program.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let measurer = Measurer::new(config.labels.clone(), config.max_label_values);
        Self { config, counter: Counter::new(), measurer }
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// A request arrives: `None` when it is no LLM call and must be left alone.
    #[must_use]
    pub fn open(&self, head: &RequestHead<'_>, id: String, now: Timestamp) -> Option<Call> {
        let route = self.config.route(head)?;
        let attribution = self.config.sources.resolve(&head.headers);
        Some(Call::new(id, now, route, attribution))
    }

    /// The request body is there: counts the prompt and asks every limit.
    pub fn admit(&mut self, call: &mut Call, body: Body<'_>) -> Verdict {
        let request = match call.request_of(body) {
            Ok(request) => call.route.outrank(request),
            Err((reason, message)) => return self.cannot_judge(call, reason, &message),
        };
        call.asked = Asked::of(&request);
        request.end_user.iter().for_each(|user| call.attribution.set_end_user(user));
        call.prompt = self.count(call.route.dialect, &request);
        match (self.limit(call), body) {
            (Verdict::Forward, Body::Whole(bytes)) if self.must_ask_for_usage(call) => self.ask_for_usage(call, bytes),
            (verdict, _) => verdict,
        }
    }

    /// Whether the request may have to be changed so that its stream states usage. Then the gateway must be ready for
    /// a body of another length.
    #[must_use]
    pub fn may_ask_for_usage(&self, call: &Call) -> bool {
        self.config.include_usage && call.route.dialect.must_ask_for_usage()
    }

    /// The response's head arrives.
    pub fn respond(&self, call: &mut Call, head: &ResponseHead<'_>) {
        call.status = Some(head.status);
        match head.headers.get("content-encoding") {
            Some(coding) if !coding.eq_ignore_ascii_case("identity") => {
                call.unmetered = Some(Unmetered::ResponseEncoded);
            }
            _ => call.reader.insert(call.route.dialect.response_reader()).head(head),
        }
        // Only streams have the chunk; anything else must pass as it comes.
        let is_stream = head.headers.get("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        if !is_stream || call.reader.is_none() {
            call.withhold = None;
        }
    }

    /// A piece of the response arrives: `true` when it changed the reported usage.
    pub fn read(&self, call: &mut Call, piece: &[u8], now: Timestamp) -> bool {
        if !piece.is_empty() {
            call.first_byte.get_or_insert(now);
        }
        let Some(reader) = &mut call.reader else { return false };
        let statements = reader.statements();
        reader.feed(piece);
        if reader.statements() == statements {
            return false;
        }
        let usage = reader.usage();
        let has_changed = usage != call.usage;
        call.usage = usage;
        has_changed
    }

    /// The call is over: settles it.
    pub fn end(&mut self, mut call: Call, ending: Ending, now: Timestamp) -> Event {
        if let Some(reader) = &mut call.reader {
            call.wellformedness = reader.end();
            call.usage = reader.usage();
        }
        let settlement = Settlement::of(&call, Some(ending), &mut self.counter);
        settlement.event(&call, &self.config.prices, now)
    }

    /// What is known of a call that still runs.
    #[must_use]
    pub fn so_far(&mut self, call: &Call, now: Timestamp) -> Event {
        let settlement = Settlement::of(call, None, &mut self.counter);
        settlement.event(call, &self.config.prices, now)
    }

    /// What the gateway counts for an event of a call that is over.
    pub fn measure(&mut self, event: &Event) -> Vec<Measurement> {
        self.measurer.measure(event)
    }

    /// Only providers that are known to understand the question are asked: others refuse fields they do not know.
    fn must_ask_for_usage(&self, call: &Call) -> bool {
        const UNDERSTAND: [&str; 4] = ["openai", "azure.ai.openai", "azure.ai.inference", "x_ai"];
        /// By the price list's names, where the host does not tell: whose model it is.
        const MAKERS: [&str; 2] = ["openai", "x-ai"];
        if !call.may_rewrite || !call.asked.stream {
            return false;
        }
        match (&call.route.provider, &call.asked.model) {
            (Some(provider), _) => UNDERSTAND.contains(&provider.as_ref()),
            (None, Some(model)) => {
                let lookup = Lookup { provider: None, model, at: call.opened, terms: Terms::default() };
                let quote = self.config.prices.quote(&lookup);
                quote.is_ok_and(|quote| quote.provider().is_some_and(|maker| MAKERS.contains(&maker)))
            }
            (None, None) => false,
        }
    }

    fn ask_for_usage(&self, call: &mut Call, body: &[u8]) -> Verdict {
        match call.route.dialect.asking_for_usage(body) {
            Some(body) => {
                call.withhold = Some(Withhold::default());
                Verdict::Rewrite(body)
            }
            None => Verdict::Forward,
        }
    }

    fn cannot_judge(&self, call: &mut Call, reason: Unmetered, message: &str) -> Verdict {
        let code = reason.to_string();
        call.unmetered = Some(reason);
        match self.config.failure_mode {
            FailureMode::Open => Verdict::Forward,
            FailureMode::Closed => {
                let message = format!("{message}; this gateway only forwards calls that it can meter");
                Verdict::Deny(Denial {
                    status: 400,
                    headers: vec![(header::SHOULD_RETRY, "false".to_owned())],
                    body: call.route.dialect.error_body("invalid_request_error", &code, &message),
                })
            }
        }
    }

    fn count(&mut self, dialect: Dialect, request: &Request<'_>) -> Prompt {
        let model = request.model.as_deref().unwrap_or_default();
        let tokenizer = Tokenizer::of(model);
        let mut budget = Budget::per_request();
        let mut prompt = Prompt {
            exact: tokenizer.permille == 1_000 && !request.has_unseen,
            priming: if request.elements.is_empty() { 0 } else { dialect.priming(model) },
            ..Prompt::default()
        };
        for element in &request.elements {
            // Providers do not render a tool's definition as the JSON that is counted.
            prompt.exact &= element.kind != Kind::Tool;
            let (mut tokens, mut characters) = (0_u64, 0_u64);
            dialect.read_element(element, &mut |piece| match piece {
                Piece::Text(text) => {
                    let count = self.counter.count(tokenizer.encoding, &text, &mut budget);
                    tokens = tokens.saturating_add(tokenizer.scale(count.tokens));
                    characters = characters.saturating_add(crate::settlement::characters(&text));
                    prompt.exact &= count.exact;
                }
                Piece::Framing(around) => tokens = tokens.saturating_add(around),
                Piece::Media => prompt.exact = false,
            });
            prompt.characters = prompt.characters.saturating_add(characters);
            let name = element.name.as_deref().map(bounded);
            prompt.parts.push(Part { component: element.component, kind: element.kind, name, tokens });
        }
        prompt
    }

    /// Asks every limit; the first that denies is the answer.
    fn limit(&self, call: &mut Call) -> Verdict {
        if self.config.limits.is_empty() {
            return Verdict::Forward;
        }
        let estimate = Estimate {
            model: call.asked.model.as_deref(),
            provider: Some(call.provider()),
            attribution: &call.attribution,
            input_tokens: call.prompt.tokens(),
            output_tokens: call.asked.max_output_tokens,
            cost: self.most_cost(call),
        };
        let findings: Vec<Finding> = self.config.limits.iter().filter_map(|limit| limit.judge(&estimate)).collect();
        let verdict = findings.iter().find(|found| found.denies()).map_or(Verdict::Forward, |found| {
            Verdict::Deny(Denial {
                status: 429,
                headers: vec![(header::SHOULD_RETRY, "false".to_owned()), (header::LIMIT, found.id.clone())],
                body: call.route.dialect.error_body("rate_limit_error", "limit_exceeded", &found.message()),
            })
        });
        call.findings = findings;
        verdict
    }

    /// What the call may cost at most: its counted input at list price and all the output it allows.
    fn most_cost(&self, call: &Call) -> Option<Usd> {
        let lookup = Lookup {
            provider: call.route.provider.as_deref(),
            model: call.asked.model.as_deref()?,
            at: call.opened,
            terms: Terms {
                service_tier: call.asked.service_tier.as_deref(),
                speed: call.asked.speed.as_deref(),
                inference_geo: call.route.region,
                ..Terms::default()
            },
        };
        let quote = self.config.prices.quote(&lookup).ok()?;
        let mut usage = Usage::default();
        usage.set(Bucket::InputUncached, call.prompt.tokens());
        usage.set(Bucket::Output, call.asked.max_output_tokens?);
        Some(quote.cost(&usage).total)
    }
}

impl Call {
    fn new(id: String, opened: Timestamp, route: Route, attribution: Attribution) -> Self {
        // What the path says is known even of a body that cannot be read.
        let asked = Asked::of(&route.outrank(Request::default()));
        Self {
            id,
            opened,
            route,
            attribution,
            asked,
            prompt: Prompt::default(),
            findings: Vec::new(),
            status: None,
            reader: None,
            wellformedness: Wellformedness::default(),
            first_byte: None,
            usage: None,
            unmetered: None,
            may_rewrite: false,
            withhold: None,
        }
    }

    /// The gateway did not hand over this many bytes of the response.
    pub fn miss_response(&mut self) {
        self.unmetered = Some(Unmetered::ResponseUnreadable);
    }

    /// The gateway can change this call's bodies.
    pub const fn allow_rewrite(&mut self) {
        self.may_rewrite = true;
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

    fn request_of<'a>(&self, body: Body<'a>) -> Result<Request<'a>, (Unmetered, String)> {
        match body {
            Body::Whole(bytes) => self.route.read_request(bytes).map_err(|error| {
                let reason = match error {
                    RequestError::TooManyParts => Unmetered::RequestTooLarge,
                    _ => Unmetered::RequestMalformed,
                };
                (reason, error.to_string())
            }),
            Body::TooLarge(size) => {
                let message = format!("the request body of {size} bytes is larger than the configured maximum");
                Err((Unmetered::RequestTooLarge, message))
            }
            Body::Unreadable(size) => {
                let message = format!("the gateway does not hand over the request body of {size} bytes");
                Err((Unmetered::RequestUnreadable, message))
            }
        }
    }
}

impl Asked {
    fn of(request: &Request<'_>) -> Self {
        let choices = request.choices.unwrap_or(1);
        Self {
            model: request.model.as_deref().map(bounded),
            stream: request.stream,
            speed: request.speed.as_deref().map(bounded),
            service_tier: request.service_tier.as_deref().map(bounded),
            max_output_tokens: request.max_output_tokens.map(|tokens| tokens.saturating_mul(choices)),
        }
    }
}
