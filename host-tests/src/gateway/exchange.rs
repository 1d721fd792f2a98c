//! One HTTP exchange as the gateway sees it: [`RequestHead`] and [`ResponseHead`] in, [`Outcome`] out.
//!
//! Invariants: the exchange belongs to the gateway and outlives a trapped VM; `sent` only grows, and only with bytes
//! the filter let pass. Must not know: how callbacks are run (see `drive`).

use std::collections::BTreeMap;

use super::{
    headers::Headers,
    process::FuelReading,
    properties::{self, Properties, PropertyValue},
    settings::Settings,
    vm::ROOT,
};

/// The start of a request.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// All fields, pseudo-headers included.
    pub headers: Headers,
    /// No body and no trailers will follow.
    pub end_of_stream: bool,
    /// Properties of this stream, beside those that follow from it.
    pub properties: Properties,
}

/// The start of a response.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// All fields, `:status` included.
    pub headers: Headers,
    /// No body will follow.
    pub end_of_stream: bool,
}

impl RequestHead {
    /// A request with a body to follow.
    #[must_use]
    pub fn new(method: &str, authority: &str, path: &str) -> Self {
        let pseudo = [(":method", method), (":scheme", "http"), (":authority", authority), (":path", path)];
        Self { headers: Headers::from(pseudo), ..Self::default() }
    }

    /// `POST` of JSON, what an LLM call is.
    #[must_use]
    pub fn post_json(authority: &str, path: &str) -> Self {
        Self::new("POST", authority, path).header("content-type", "application/json")
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.add(name, value);
        self
    }

    /// The same with one more property.
    #[must_use]
    pub fn property(mut self, path: &[&str], value: impl Into<PropertyValue>) -> Self {
        self.properties.set(path, value);
        self
    }

    /// The same without a body.
    #[must_use]
    pub fn without_body(mut self) -> Self {
        self.end_of_stream = true;
        self
    }
}

impl ResponseHead {
    /// A response with a body to follow.
    #[must_use]
    pub fn new(status: u32) -> Self {
        Self { headers: Headers::from([(":status", status.to_string().as_str())]), end_of_stream: false }
    }

    /// A JSON response of this length.
    #[must_use]
    pub fn json(status: u32, length: usize) -> Self {
        Self::new(status).header("content-type", "application/json").header("content-length", &length.to_string())
    }

    /// The start of a stream of server-sent events.
    #[must_use]
    pub fn sse() -> Self {
        Self::new(200).header("content-type", "text/event-stream")
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.add(name, value);
        self
    }

    /// The same without a body.
    #[must_use]
    pub fn without_body(mut self) -> Self {
        self.end_of_stream = true;
        self
    }
}

/// A reply the filter sent itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalReply {
    /// HTTP status.
    pub status: u32,
    /// Extra headers.
    pub headers: Headers,
    /// Body as the filter gave it.
    pub body: Vec<u8>,
    /// What the filter called the reason.
    pub details: String,
    /// The gRPC status, -1 for none.
    pub grpc_status: i32,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Not yet.
    Open,
    /// The response went through to its end.
    Complete,
    /// The filter answered by itself.
    LocalReply,
    /// The gateway answered by itself: 413, 503 and the like.
    GatewayReply,
    /// The client went away.
    ClientGone,
    /// The upstream went away after its response headers.
    UpstreamReset,
    /// The filter cut the stream (`proxy_close_stream`).
    ClosedByFilter,
    /// The gateway broke the connection because the filter did what it must not.
    Broken(String),
    /// The filter paused and nothing ever resumed it; the client gave up.
    Hung,
    /// The worker process crashed (APISIX).
    WorkerCrashed(String),
}

/// What the upstream got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// Request headers.
    pub headers: Headers,
    /// Body bytes.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Option<Headers>,
    /// Whether the request came to its end; if not it was aborted or is still going.
    pub complete: bool,
}

impl Upstream {
    /// Whether `content-length` and the body disagree, which an upstream takes for an error.
    #[must_use]
    pub fn length_mismatch(&self) -> bool {
        let stated = self.headers.text("content-length").and_then(|text| text.parse::<usize>().ok());
        stated.is_some_and(|stated| self.complete && stated != self.body.len())
    }
}

/// What the client got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Downstream {
    /// HTTP status.
    pub status: u32,
    /// Response headers, `:status` included.
    pub headers: Headers,
    /// Body bytes.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Option<Headers>,
    /// Whether the response came to its end.
    pub complete: bool,
}

/// Everything that can be seen of a stream from outside the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// What the upstream got; `None` if nothing.
    pub upstream: Option<Upstream>,
    /// What the client got; `None` if nothing.
    pub downstream: Option<Downstream>,
    /// The reply the filter sent itself, also when the gateway ignored it.
    pub local_reply: Option<LocalReply>,
    /// Why the filter trapped in a callback of this stream.
    pub trap: Option<String>,
    /// Whether the filter saw the stream to its end; false after a trap (its own, or a neighbour's on Kong).
    pub filter_attached: bool,
    /// What the access log can show of what the filter set: `wasm.<name>` on Envoy, `kong.ctx.shared.*` and nginx
    /// variables on Kong, nginx variables on APISIX.
    pub access_log: BTreeMap<String, Vec<u8>>,
    /// What a trace span can show (Envoy); without what was set in `on_log`.
    pub span: BTreeMap<String, Vec<u8>>,
    /// Fuel used by each callback of this stream, in order.
    pub fuel: Vec<FuelReading>,
}

impl Outcome {
    /// The status the client saw; 0 if none.
    #[must_use]
    pub fn status(&self) -> u32 {
        self.downstream.as_ref().map_or(0, |downstream| downstream.status)
    }

    /// What the access log shows under a name, as text.
    #[must_use]
    pub fn logged(&self, name: &str) -> Option<String> {
        self.access_log.get(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// All fuel of the stream.
    #[must_use]
    pub fn fuel_total(&self) -> u64 {
        self.fuel.iter().map(|reading| reading.fuel).sum()
    }
}

/// Why a direction does not move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Paused {
    #[default]
    No,
    /// Headers are held; the body is shown.
    Headers,
    /// Everything is held, and nothing further is shown.
    Everything,
    /// The body (and headers, if not yet sent) is held while the filter sees it grow.
    Body,
    /// Trailers and all before them are held.
    Trailers,
}

/// One direction of an exchange.
#[derive(Clone, Debug, Default)]
pub(crate) struct Direction {
    pub(crate) headers: Headers,
    pub(crate) arrived: bool,
    pub(crate) headers_sent: bool,
    pub(crate) paused: Paused,
    /// Body the filter can see now.
    pub(crate) buffer: Vec<u8>,
    /// Whether the buffer can be read in this callback.
    pub(crate) readable: bool,
    /// Body that arrived and was not shown yet.
    pub(crate) queue: Vec<u8>,
    /// The other side has sent everything.
    pub(crate) end_arrived: bool,
    /// The body is on disk, where the filter cannot read it (Kong).
    pub(crate) spilled: bool,
    /// The filter replaced the body.
    pub(crate) replaced: bool,
    /// The headers ended the message.
    pub(crate) headers_only: bool,
    /// The filter was shown the body (whole-body gateways).
    pub(crate) body_shown: bool,
    pub(crate) sent: Vec<u8>,
    pub(crate) trailers: Option<Headers>,
    pub(crate) trailers_sent: bool,
    pub(crate) complete: bool,
}

/// One exchange.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) worker: usize,
    /// Generation of the VM that has this stream's filter state; `None` when it was lost or never made.
    pub(crate) filter: Option<u64>,
    /// The root context of its filter.
    pub(crate) root: u32,
    /// The context that its response is told to, where that is another one.
    pub(crate) moved: Option<u32>,
    pub(crate) started_ns: u64,
    pub(crate) request: Direction,
    pub(crate) response: Direction,
    pub(crate) properties: Properties,
    pub(crate) written_properties: BTreeMap<Vec<String>, Vec<u8>>,
    pub(crate) local_reply: Option<LocalReply>,
    pub(crate) local_reply_applied: bool,
    /// How the stream ends once the response is through.
    pub(crate) ending_when_complete: Ending,
    pub(crate) ending: Ending,
    /// Why the response is what it is, as Envoy words it.
    pub(crate) code_details: String,
    pub(crate) trap: Option<String>,
    pub(crate) span: BTreeMap<String, Vec<u8>>,
    /// What the access log showed, where it was written before the last callbacks.
    pub(crate) logged: Option<BTreeMap<String, Vec<u8>>>,
    pub(crate) fuel: Vec<FuelReading>,
    /// The last callbacks are running, or have run.
    pub(crate) finalising: bool,
    /// `on_log` is running: all headers can be read again.
    pub(crate) in_log: bool,
}

impl Exchange {
    pub(crate) fn new(worker: usize, head: RequestHead, now_ns: u64) -> Self {
        let request = Direction {
            headers: head.headers,
            arrived: true,
            end_arrived: head.end_of_stream,
            headers_only: head.end_of_stream,
            ..Direction::default()
        };
        Self {
            worker,
            filter: None,
            root: ROOT,
            moved: None,
            started_ns: now_ns,
            request,
            response: Direction::default(),
            properties: head.properties,
            written_properties: BTreeMap::new(),
            local_reply: None,
            local_reply_applied: false,
            ending_when_complete: Ending::Complete,
            ending: Ending::Open,
            code_details: String::new(),
            trap: None,
            span: BTreeMap::new(),
            logged: None,
            fuel: Vec::new(),
            finalising: false,
            in_log: false,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.ending == Ending::Open
    }

    pub(crate) fn direction(&mut self, request: bool) -> &mut Direction {
        if request { &mut self.request } else { &mut self.response }
    }

    pub(crate) fn response_status(&self) -> Option<u32> {
        self.response.headers.text(":status")?.parse().ok()
    }

    /// Replaces whatever response there is by one that passes no filter.
    pub(crate) fn answer(&mut self, status: u32, headers: Headers, body: Vec<u8>) {
        let mut all = Headers::from([(":status", status.to_string().as_str())]);
        for (name, value) in headers.iter().filter(|(name, _)| *name != ":status") {
            all.add(name, value);
        }
        self.response = Direction {
            headers: all,
            arrived: true,
            headers_sent: true,
            sent: body,
            complete: true,
            ..Direction::default()
        };
    }

    pub(crate) fn outcome(&self, settings: &Settings) -> Outcome {
        let upstream = self.request.headers_sent.then(|| Upstream {
            headers: self.request.headers.clone(),
            body: self.request.sent.clone(),
            trailers: self.request.trailers.clone().filter(|_| self.request.trailers_sent),
            complete: self.request.complete,
        });
        let downstream = self.response.headers_sent.then(|| Downstream {
            status: self.response_status().unwrap_or(0),
            headers: self.response.headers.clone(),
            body: self.response.sent.clone(),
            trailers: self.response.trailers.clone().filter(|_| self.response.trailers_sent),
            complete: self.response.complete,
        });
        Outcome {
            ending: self.ending.clone(),
            upstream,
            downstream,
            local_reply: self.local_reply.clone(),
            trap: self.trap.clone(),
            filter_attached: self.filter.is_some(),
            access_log: self
                .logged
                .clone()
                .unwrap_or_else(|| properties::visible_in_access_log(settings.profile, self)),
            span: self.span.clone(),
            fuel: self.fuel.clone(),
        }
    }
}
