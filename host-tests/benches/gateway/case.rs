//! What is sent and what is answered.

use crate::text;
use std::io;
use std::time::Duration;
use tollgate_host::loopback::{Body, Ending, Reply, Request, Server};

/// One kind of call.
pub struct Case {
    pub name: &'static str,
    /// The body before and after the tail.
    pub request: (Vec<u8>, Vec<u8>),
    answer: Reply,
    /// Calls in a round, all connections together.
    pub requests: usize,
    /// Calls at a time.
    pub connections: usize,
}

/// Which case a request belongs to.
pub const CASE_HEADER: &str = "x-case";

impl Case {
    /// Every case. Rounds are short, a fraction of a second: what else a machine does lasts longer, and then meets all gateways.
    pub fn all() -> Vec<Self> {
        let json = || Reply::whole(200, "application/json", text::answer());
        let stream = |pieces: Vec<Vec<u8>>, pace| Reply {
            body: Body::Pieces { pieces, pace: Duration::from_millis(pace), ending: Ending::Clean },
            ..Reply::whole(200, "text/event-stream", [])
        };
        let case = |name, bytes, stream: bool, answer, requests: usize, connections| Self {
            name,
            request: text::request(bytes, stream),
            answer,
            requests,
            connections,
        };
        vec![
            case("request 2 KB", 2_000, false, json(), 160, 8),
            case("request 53 KB", 53_000, false, json(), 80, 8),
            case("request 196 KB", 196_000, false, json(), 40, 8),
            case("SSE 104 KB, one write", 2_000, true, stream(vec![text::stream().concat()], 0), 40, 8),
            case("SSE 104 KB, 1 ms apart", 2_000, true, stream(text::stream(), 1), 16, 16),
        ]
    }
}

/// A provider that answers each case as it says, and a collector that takes everything.
pub fn upstream(cases: &[Case]) -> io::Result<Server> {
    let answers: Vec<(&'static str, Reply)> = cases.iter().map(|case| (case.name, case.answer.clone())).collect();
    Server::start(move |request: Request| {
        if request.path.starts_with("/v1/traces") || request.path.starts_with("/v1/logs") {
            return Reply::whole(200, "application/json", "{}");
        }
        let asked = request.header(CASE_HEADER).unwrap_or_default();
        let answer = answers.iter().find(|(name, _)| *name == asked).map(|(_, answer)| answer.clone());
        answer.unwrap_or_else(|| Reply::whole(404, "text/plain", "no such case"))
    })
}
