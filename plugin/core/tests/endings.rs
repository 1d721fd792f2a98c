//! How a call ends: what the gateway saw against what the answer said, and what is charged for it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

mod support;

use std::path::Path;
use support::Exchange;
use tollgate_core::config::Config;
use tollgate_core::dialect::Dialect;
use tollgate_core::event::{Event, Outcome, UsageSource};
use tollgate_core::head::{Headers, RequestHead, ResponseHead};
use tollgate_core::meter::{Body, Ending, Meter};
use tollgate_core::time::Timestamp;

const REQUEST: &str = r#"{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"hello"}]}"#;
/// `3` around the prompt, `4` around the message, one token of text.
const INPUT: u64 = 8;
const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
const LAST: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const FAILURE: &str = "data: {\"error\":{\"type\":\"server_error\"}}\n\n";

/// What a call got before it ended: nothing, or a status, a content coding and a body.
type Answer<'a> = Option<(u16, &'a str, &'a str)>;

fn event(body: Body<'_>, answer: Answer<'_>, ending: Ending) -> Event {
    let (mut meter, now) = (Meter::new(Config::default(), [1, 2]), Timestamp::default());
    let head = RequestHead { method: "POST", path: "/v1/chat/completions", ..RequestHead::default() };
    let mut call = meter.open(&head, "id".to_owned(), now).unwrap();
    meter.admit(&mut call, body);
    if let Some((status, coding, body)) = answer {
        let headers = [("content-encoding", coding)];
        meter.respond(&mut call, &ResponseHead { status, headers: Headers::new(&headers) });
        meter.read(&mut call, body.as_bytes(), now);
    }
    meter.end(call, ending, now)
}

/// Checks outcome, tokens and the reason where they are unknown.
#[track_caller]
fn check(answer: Answer<'_>, ending: Ending, outcome: Outcome, tokens: Option<(u64, u64)>, reason: Option<&str>) {
    let event = event(Body::Whole(REQUEST.as_bytes()), answer, ending);
    let found = event.input_tokens.zip(event.output_tokens);
    assert_eq!((event.outcome, found, event.unmetered_reason.as_deref()), (outcome, tokens, reason));
}

#[test]
fn a_whole_answer_is_complete_whoever_hangs_up_behind_it() {
    let whole = [WORD, LAST].concat();
    for ending in [Ending::Complete, Ending::ClientGone, Ending::UpstreamReset] {
        check(Some((200, "", &whole)), ending, Outcome::Complete, Some((INPUT, 1)), None);
    }
}

#[test]
fn a_part_of_an_answer_is_charged_as_far_as_it_came_and_named_by_what_broke_it() {
    for (ending, outcome) in [
        (Ending::Complete, Outcome::Truncated),
        (Ending::ClientGone, Outcome::ClientGone),
        (Ending::UpstreamReset, Outcome::UpstreamReset),
    ] {
        check(Some((200, "", WORD)), ending, outcome, Some((INPUT, 1)), None);
    }
}

#[test]
fn an_error_is_an_error_whatever_ended_the_call() {
    for ending in [Ending::Complete, Ending::ClientGone] {
        check(Some((500, "", "")), ending, Outcome::UpstreamError, Some((0, 0)), None);
    }
    // The error status of a reset is the gateway's own, and tells nothing of the provider.
    check(Some((503, "", "")), Ending::UpstreamReset, Outcome::UpstreamReset, None, Some("no_response"));
    for ending in [Ending::Complete, Ending::ClientGone, Ending::UpstreamReset] {
        let failed = [WORD, FAILURE].concat();
        check(Some((200, "", &failed)), ending, Outcome::UpstreamError, Some((INPUT, 1)), None);
    }
}

#[test]
fn a_call_without_any_answer_is_not_complete() {
    // The provider works on what it was sent; whether it ever got it, only a response tells.
    check(None, Ending::ClientGone, Outcome::ClientGone, Some((INPUT, 0)), None);
    check(None, Ending::UpstreamReset, Outcome::UpstreamReset, None, Some("no_response"));
    check(None, Ending::Complete, Outcome::Complete, None, Some("no_response"));
}

#[test]
fn an_answer_that_cannot_be_read_has_unknown_tokens_and_not_zero() {
    for (ending, outcome) in [(Ending::Complete, Outcome::Complete), (Ending::ClientGone, Outcome::ClientGone)] {
        check(Some((200, "compress", "\u{1f}")), ending, outcome, None, Some("response_encoded"));
    }
    check(Some((200, "", "")), Ending::Complete, Outcome::Complete, None, Some("response_unknown"));
    check(Some((200, "", "upstream says hi")), Ending::Complete, Outcome::Complete, None, Some("response_unknown"));
    check(Some((200, "", "{\"ok\":true}")), Ending::Complete, Outcome::Complete, None, Some("usage_unreported"));
    check(
        Some((403, "compress", "\u{1f}")),
        Ending::Complete,
        Outcome::UpstreamError,
        Some((0, 0)),
        Some("response_encoded"),
    );
}

#[test]
fn what_the_gateway_answers_itself_costs_nothing() {
    check(None, Ending::LocalReply, Outcome::LocalReply, Some((0, 0)), None);
    check(None, Ending::Denied, Outcome::Denied, Some((0, 0)), None);
}

#[test]
fn plain_text_is_no_stream() {
    let request = Body::Whole(br#"{"model":"gpt-4o-mini","messages":[]}"#);
    assert!(!event(request, Some((503, "", "upstream connect error")), Ending::Complete).stream);
}

#[test]
fn without_the_request_the_input_is_unknown_unless_the_provider_states_it() {
    let usage = r#"{"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;
    for body in [Body::TooLarge(1 << 26), Body::Unreadable(1 << 20), Body::Whole(b"{")] {
        let cut = event(body, Some((200, "", WORD)), Ending::Complete);
        assert_eq!((cut.input_tokens, cut.cost_usd, cut.usage_source), (None, None, UsageSource::None));
        assert!(cut.components.is_empty() && cut.unmetered_reason.is_some());
        let stated = event(body, Some((200, "", usage)), Ending::Complete);
        assert_eq!((stated.input_tokens, stated.usage_source), (Some(5), UsageSource::Reported));
    }
}

#[test]
fn usage_that_the_provider_states_as_zero_is_believed_whatever_was_delivered() {
    const ZERO: &str = r#""usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#;
    let said = |rest: &str| format!("{WORD}data: {{{rest}{ZERO}}}\n\n");
    for (answer, outcome) in [
        (said(r#""choices":[{"delta":{},"finish_reason":"stop"}],"#), Outcome::Complete),
        (format!("{WORD}{LAST}data: {{\"choices\":[],{ZERO}}}\n\ndata: [DONE]\n\n"), Outcome::Complete),
        (said(r#""error":{"code":502},"choices":[{"delta":{},"finish_reason":"error"}],"#), Outcome::UpstreamError),
        (said(r#""error":{"code":502},"choices":[],"#), Outcome::UpstreamError),
        (format!("{FAILURE}data: {{\"choices\":[],{ZERO}}}\n\n"), Outcome::UpstreamError),
    ] {
        for ending in [Ending::Complete, Ending::ClientGone, Ending::UpstreamReset] {
            let event = event(Body::Whole(REQUEST.as_bytes()), Some((200, "", &answer)), ending);
            let found = (event.outcome, event.input_tokens, event.output_tokens, event.usage_source);
            assert_eq!(found, (outcome, Some(0), Some(0), UsageSource::Reported), "{answer} {ending:?}");
        }
    }
}

#[test]
fn usage_stated_before_more_was_delivered_is_no_last_word() {
    // Perplexity and Gemini state what was consumed so far with every chunk.
    let usage = r#""usage":{"prompt_tokens":9,"completion_tokens":0}"#;
    let so_far = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"hi\"}}}}],{usage}}}\n\n");
    for (answer, outcome) in
        [(so_far.clone() + WORD, Outcome::ClientGone), (so_far + WORD + FAILURE, Outcome::UpstreamError)]
    {
        let event = event(Body::Whole(REQUEST.as_bytes()), Some((200, "", &answer)), Ending::ClientGone);
        let found = (event.outcome, event.input_tokens, event.output_tokens, event.usage_source);
        assert_eq!(found, (outcome, Some(9), Some(2), UsageSource::Counted), "{answer}");
    }
}

/// Checks an exchange whose answer breaks off after every so many bytes.
fn check_broken_off(exchange: &Exchange) {
    let answer = exchange.answer();
    for length in (1..answer.len()).step_by(answer.len().div_ceil(64)) {
        for (ending, outcome) in
            [(Ending::ClientGone, Outcome::ClientGone), (Ending::UpstreamReset, Outcome::UpstreamReset)]
        {
            let event = exchange.event_of_ended(&answer[..length], ending);
            let about = format!("{} after {length} of {}, {ending:?}", exchange.name, answer.len());
            // What arrived may be a whole answer, or an error, before its last byte.
            let is_over = matches!(event.outcome, Outcome::Complete | Outcome::UpstreamError);
            assert!(is_over || event.outcome == outcome, "{about}: {:?}", event.outcome);
            assert!(event.input_tokens > Some(0) && event.output_tokens.is_some(), "{about}: {event:?}");
            assert_ne!(event.usage_source, UsageSource::None, "{about}");
        }
    }
}

#[test]
fn wherever_a_stream_of_any_dialect_breaks_off_its_input_is_charged_and_its_source_is_told() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    // Of a part of a picture or a recording nobody can tell what it took: its event says that it is unknown.
    let has_text = |dialect: &Dialect| !matches!(dialect, Dialect::OpenaiImages | Dialect::OpenaiAudio);
    let exchanges =
        Dialect::ALL.into_iter().filter(has_text).flat_map(|dialect| Exchange::all_in(&testdata.join(dialect.name())));
    let checked = exchanges.filter(|exchange| {
        let whole = exchange.event([exchange.answer()]);
        let is_known = whole.stream && whole.outcome == Outcome::Complete && whole.usage_source != UsageSource::None;
        if is_known {
            check_broken_off(exchange);
        }
        is_known
    });
    assert!(checked.count() > 15);
}

#[test]
fn usage_read_so_far_is_reported_once_it_changes() {
    let (mut meter, now) = (Meter::new(Config::default(), [1, 2]), Timestamp::default());
    let head = RequestHead { method: "POST", path: "/v1/chat/completions", ..RequestHead::default() };
    let mut call = meter.open(&head, "id".to_owned(), now).unwrap();
    meter.respond(&mut call, &ResponseHead { status: 200, ..ResponseHead::default() });
    let usage = "data: {\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n";
    let changes = [WORD, usage, usage, WORD].map(|piece| meter.read(&mut call, piece.as_bytes(), now));
    assert_eq!(changes, [false, true, false, false]);
    assert_eq!(meter.progress(&call).input_tokens, Some(5));
}
