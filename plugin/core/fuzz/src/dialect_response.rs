//! Any bytes, cut anywhere, give one event. The first byte chooses the dialect, the second how long the pieces are.

use tollgate_core::config::Config;
use tollgate_core::event::Event;
use tollgate_core::head::{RequestHead, ResponseHead};
use tollgate_core::meter::{Body, Ending, Meter};
use tollgate_core::time::Timestamp;

const PATHS: [&str; 5] =
    ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/model/m/converse-stream", "/model/m/invoke"];
const REQUEST: &[u8] = br#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hello"}],"input":"hello"}"#;

fn event<'a>(path: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Event {
    let (mut meter, now) = (Meter::new(Config::default(), [1, 2]), Timestamp::default());
    let head = RequestHead { method: "POST", path, ..RequestHead::default() };
    let mut call = meter.open(&head, String::new(), now).expect("a path of a dialect");
    meter.admit(&mut call, Body::Whole(REQUEST));
    meter.respond(&mut call, &ResponseHead { status: 200, ..ResponseHead::default() });
    for piece in pieces {
        meter.read(&mut call, piece, now);
    }
    meter.end(call, Ending::Complete, now)
}

pub(crate) fn run(bytes: &[u8]) {
    let [choice, size, answer @ ..] = bytes else { return };
    let path = PATHS[usize::from(*choice) % PATHS.len()];
    let whole = event(path, [answer]);
    assert_eq!(event(path, answer.chunks(usize::from(*size).max(1))), whole);
    assert!(whole.input_tokens.is_some() || whole.unmetered_reason.is_some());
}
