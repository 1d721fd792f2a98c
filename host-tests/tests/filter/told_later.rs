//! What is told later than it is created: background responses and batches are charged once, to whoever created them,
//! however often they are asked for.

use serde_json::{Value, json};
use tollgate_core::money::Usd;
use tollgate_host::gateway::{Gateway, Profile, RequestHead, ResponseHead};
use tollgate_host::replay::event_of;

use super::support::{HOST, events_logged, gateway};

/// Who calls.
const ALICE: &[(&str, &str)] = &[("authorization", "Bearer sk-alice"), ("x-tollgate-task", "essay")];
const ALICE_LATER: &[(&str, &str)] = &[("authorization", "Bearer sk-alice"), ("x-tollgate-task", "poll")];
const BOB: &[(&str, &str)] = &[("authorization", "Bearer sk-bob")];

/// A gateway, and which one.
struct At {
    profile: Profile,
    gateway: Gateway,
}

impl At {
    fn new(profile: Profile) -> Self {
        Self { profile, gateway: gateway(profile, r#"{"log_events": true}"#) }
    }
}

/// One request with its answer; the event, where there is one.
fn call(at: &At, who: &[(&str, &str)], request: (&str, &str), body: &str, answer: &str) -> Option<Value> {
    let (method, path) = request;
    let head = who.iter().fold(RequestHead::new(method, HOST, path), |head, (name, value)| head.header(name, value));
    let head = head.header("content-type", "application/json");
    let stream = at.gateway.worker(0).open(if body.is_empty() { head.without_body() } else { head });
    if !body.is_empty() {
        stream.request_body(body.as_bytes(), true);
    }
    let kind = if answer.starts_with('{') { "application/json" } else { "text/event-stream" };
    stream.respond(ResponseHead::new(200).header("content-type", kind));
    stream.response_chunks(answer.as_bytes(), 61);
    let outcome = stream.finish();
    assert_eq!(outcome.trap, None);
    event_of(at.profile, &outcome)
}

fn response(id: &str, status: &str, is_background: bool, usage: Option<(u64, u64)>) -> String {
    let usage = usage.map(|(input, output)| {
        json!({"input_tokens": input, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": output,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": input + output})
    });
    let model = "gpt-5-mini-2025-08-07";
    json!({"id": id, "object": "response", "status": status, "background": is_background, "model": model,
        "output": [], "usage": usage})
    .to_string()
}

const CREATE: (&str, &str) = ("POST", "/v1/responses");
const ASK: &str = r#"{"model":"gpt-5-mini","background":true,"input":"Write a long essay."}"#;

/// Tokens and cost of all events.
fn bill(events: &[Option<Value>]) -> (u64, u64, Usd) {
    events.iter().flatten().fold((0, 0, Usd::ZERO), |(input, output, cost), event| {
        let count = |name: &str| event[name].as_u64().unwrap_or(0);
        let spent = event["cost_usd"].as_str().map_or(Usd::ZERO, |text| Usd::parse(text).expect("a cost"));
        (input + count("input_tokens"), output + count("output_tokens"), cost.plus(spent))
    })
}

#[test]
fn one_background_response_and_twenty_polls_are_one_charge_of_the_creator() {
    for profile in Profile::ALL {
        let at = At::new(profile);
        let created = call(&at, ALICE, CREATE, ASK, &response("resp_1", "queued", true, None)).expect("a call");
        assert_eq!(created["unmetered_reason"], "usage_pending", "{profile:?} {created:#}");
        assert_eq!(created["input_tokens"], Value::Null);
        let poll = |turn: usize| {
            let (who, path) = if turn.is_multiple_of(2) {
                (ALICE_LATER, "/v1/responses/resp_1")
            } else {
                (BOB, "/v1/responses/resp_1?x=1")
            };
            let answer = match turn {
                0..5 => response("resp_1", "in_progress", true, None),
                _ => response("resp_1", "completed", true, Some((1_000, 100))),
            };
            call(&at, who, ("GET", path), "", &answer)
        };
        let polls: Vec<_> = (0..20).map(poll).collect();
        assert_eq!(polls.iter().flatten().count(), 1, "{profile:?}");
        // 1,000 tokens at $0.25 and 100 at $2 a million.
        assert_eq!(bill(&polls), (1_000, 100, Usd::parse("0.00045").expect("dollars")), "{profile:?}");
        let charged = polls.iter().flatten().next().expect("a charge");
        assert_eq!(charged["operation"], "retrieve");
        assert_eq!(charged["billed_for"], created["id"], "{profile:?} {charged:#}");
        assert_eq!(charged["attribution"], created["attribution"], "{profile:?}");
        assert_eq!(charged["attribution"]["task"], "essay");
        assert_eq!(events_logged(&at.gateway), 2, "{profile:?}");
    }
}

#[test]
fn a_response_that_stated_its_usage_is_not_charged_again() {
    for profile in Profile::ALL {
        let at = At::new(profile);
        for is_background in [false, true] {
            let id = if is_background { "resp_b" } else { "resp_a" };
            let answer = response(id, "completed", is_background, Some((1_000, 100)));
            let created = call(&at, ALICE, CREATE, ASK, &answer);
            assert_eq!(bill(&[created]).0, 1_000);
            let path = format!("/v1/responses/{id}");
            assert_eq!(call(&at, ALICE, ("GET", &path), "", &answer), None, "{profile:?} {id}");
            assert_eq!(call(&at, BOB, ("GET", &path), "", &answer), None, "{profile:?} {id}");
        }
        let unseen = response("resp_x", "completed", false, Some((1_000, 100)));
        assert_eq!(call(&at, BOB, ("GET", "/v1/responses/resp_x"), "", &unseen), None, "{profile:?}");
    }
}

#[test]
fn whoever_shows_the_same_id_takes_no_charge_away_from_another() {
    for profile in Profile::ALL {
        let at = At::new(profile);
        let queued = response("resp_1", "queued", true, None);
        let done = response("resp_1", "completed", true, Some((1_000, 100)));
        call(&at, BOB, CREATE, ASK, &queued);
        call(&at, BOB, ("GET", "/v1/responses/resp_1"), "", &response("resp_1", "completed", true, Some((0, 0))));
        call(&at, ALICE, CREATE, ASK, &queued);
        let charged = call(&at, ALICE, ("GET", "/v1/responses/resp_1"), "", &done).expect("a charge");
        assert_eq!(
            (charged["attribution"]["task"].as_str(), charged["input_tokens"].as_u64()),
            (Some("essay"), Some(1_000))
        );
    }
}

#[test]
fn a_stream_that_broke_off_is_charged_the_rest_when_the_response_is_told() {
    for profile in Profile::ALL {
        let at = At::new(profile);
        let begun = response("resp_1", "in_progress", true, None);
        let head = format!("data: {{\"type\":\"response.created\",\"response\":{begun}}}\n\n");
        let delta = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"Once upon a time\"}\n\n";
        let cut = call(&at, ALICE, CREATE, ASK, &format!("{head}{delta}")).expect("a call");
        assert_ne!(cut["usage_source"], "reported", "{profile:?} {cut:#}");
        let done = response("resp_1", "completed", true, Some((1_000, 100)));
        let streamed = format!("{head}{delta}data: {{\"type\":\"response.completed\",\"response\":{done}}}\n\n");
        let path = "/v1/responses/resp_1?stream=true&starting_after=1";
        let rest = call(&at, ALICE, ("GET", path), "", &streamed);
        let again = call(&at, ALICE, ("GET", "/v1/responses/resp_1"), "", &done);
        let (input, output, cost) = bill(&[Some(cut), rest, again]);
        assert_eq!((input, output), (1_000, 100), "{profile:?}");
        assert_eq!(cost, Usd::parse("0.00045").expect("dollars"), "{profile:?}");
    }
}

#[test]
fn a_batch_is_charged_once_at_its_price_to_whoever_created_it() {
    let line = |id: u64| {
        json!({"custom_id": id.to_string(), "result": {"type": "succeeded", "message": {"id": format!("msg_{id}"),
            "type": "message", "model": "claude-haiku-4-5-20251001", "content": [{"type": "text", "text": "4"}],
            "usage": {"input_tokens": 1_000, "output_tokens": 100, "service_tier": "batch"}}}})
        .to_string()
            + "\n"
    };
    let results = line(0) + &line(1);
    for profile in Profile::ALL {
        let at = At::new(profile);
        let create = ("POST", "/v1/messages/batches");
        let created = r#"{"id":"msgbatch_1","type":"message_batch","processing_status":"in_progress"}"#;
        assert_eq!(call(&at, ALICE, create, r#"{"requests":[]}"#, created), None, "{profile:?}");
        let path = "/v1/messages/batches/msgbatch_1/results";
        let events: Vec<_> = [BOB, ALICE_LATER, BOB].map(|who| call(&at, who, ("GET", path), "", &results)).into();
        // Half of $1 and $5 a million.
        assert_eq!(bill(&events), (2_000, 200, Usd::parse("0.0015").expect("dollars")), "{profile:?} {events:#?}");
        let charged = events.iter().flatten().next().expect("a charge");
        assert_eq!(
            (&charged["dialect"], &charged["attribution"]["task"]),
            (&json!("anthropic_batch"), &json!("essay"))
        );
        assert_eq!(charged["service_tier"], "batch");
    }
}

#[test]
fn the_totals_of_a_batch_and_its_file_of_results_are_one_charge_in_either_order() {
    let state = |file: Option<&str>| {
        let usage = file.map(|_| json!({"input_tokens": 36, "output_tokens": 224, "total_tokens": 260}));
        json!({"id": "batch_1", "object": "batch", "model": "gpt-5-nano-2025-08-07", "output_file_id": file,
            "status": if file.is_some() { "completed" } else { "in_progress" }, "usage": usage})
        .to_string()
    };
    let line = |input: u64, output: u64| {
        json!({"id": "batch_req_1", "custom_id": "0", "response": {"status_code": 200, "body": {"object": "response",
            "model": "gpt-5-nano-2025-08-07", "usage": {"input_tokens": input, "output_tokens": output}}}})
        .to_string()
            + "\n"
    };
    let file = line(18, 109) + &line(18, 115);
    let (ask_state, ask_file) = (("GET", "/v1/batches/batch_1"), ("GET", "/v1/files/file-1/content"));
    for profile in Profile::ALL {
        for is_file_first in [false, true] {
            let at = At::new(profile);
            call(&at, ALICE, ("POST", "/v1/batches"), "{}", &state(None));
            let mut told = vec![call(&at, ALICE_LATER, ask_state, "", &state(None))];
            let mut later = [(ask_state, state(Some("file-1"))), (ask_file, file.clone())];
            if is_file_first {
                later.reverse();
            }
            for (request, answer) in later.iter().chain(&later) {
                told.push(call(&at, ALICE_LATER, *request, "", answer));
            }
            let (input, output, _) = bill(&told);
            assert_eq!((input, output, told.iter().flatten().count()), (36, 224, 1), "{profile:?} {is_file_first}");
        }
    }
}

#[test]
fn what_creates_nothing_has_no_event_and_passes_untouched() {
    for profile in Profile::ALL {
        let at = At::new(profile);
        for (method, path) in [
            ("POST", "/v1/messages/count_tokens"),
            ("POST", "/v1/moderations"),
            ("GET", "/v1/models"),
            ("GET", "/v1/responses/12"),
            ("GET", "/v1/files/12/content"),
        ] {
            let body = if method == "GET" { "" } else { r#"{"model":"m"}"# };
            let answer = response("resp_1", "completed", true, Some((1_000, 100)));
            assert_eq!(call(&at, BOB, (method, path), body, &answer), None, "{profile:?} {method} {path}");
        }
    }
}
