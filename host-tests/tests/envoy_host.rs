//! What the gateway itself does, shown with the probe: these facts hold whatever the filter computes.

mod support;

use support::{Room, SOON, small_call};
use tollgate_host::agent::client;
use tollgate_host::artifact;
use tollgate_host::standin::Dialect;
use tollgate_host::wait;

fn probe() -> std::path::PathBuf {
    artifact::probe().expect("the probe builds")
}

#[test]
fn label_values_come_out_as_they_went_in() {
    let room = Room::with(probe());
    room.call(Dialect::OpenAiChat, "a.b:c/d", false);
    room.log(1);
    let metrics = room.envoy.metrics().expect("metrics");
    let odd = [("user", "Zoë \"Z\" \\ 7%"), ("team", ""), ("model", "gpt-4.1:ft_rq_500"), ("app", "a")];
    assert_eq!(metrics.sum("tollgate_cost_nanousd_total", &odd), Some(1206.0), "quotes, backslashes, UTF-8, empty");
    let dotted = [("app", "a.b:c/d"), ("model", "probe-4.1/mini"), ("type", "output")];
    assert_eq!(metrics.sum("tollgate_tokens_total", &dotted), Some(34.0));
}

#[test]
fn state_set_in_on_log_reaches_the_access_log_and_no_span() {
    let room = Room::with(probe());
    room.call(Dialect::OpenAiChat, "late", false);
    let (log, spans) = (room.log(1), room.spans(1));
    assert_eq!(log[0]["tollgate_event"].as_str().map(|event| event.contains(r#"quote \" and é"#)), Some(true));
    assert!(!spans[0].attributes.keys().any(|key| key.contains("finished")), "{:?}", spans[0]);
}

#[test]
fn a_header_can_be_changed_after_the_body_only_when_headers_are_held() {
    for hold in [false, true] {
        let room = Room::tuned(probe(), |options| {
            options.hold_headers = hold;
            options.configuration = serde_json::json!({"hold_headers": hold});
        });
        let body = small_call(Dialect::OpenAiChat, false);
        assert_eq!(room.call(Dialect::OpenAiChat, "held", false).status, 200);
        let served = room.standin.served();
        let expected = hold.then(|| body.to_string().len().to_string());
        assert_eq!(served[0].headers.get("x-probe-body-bytes"), expected.as_ref(), "held: {hold}");
    }
}

#[test]
fn after_a_trap_the_gateway_recovers_and_shared_data_survives() {
    let mut room = Room::with(probe());
    let calls =
        |room: &Room| room.call(Dialect::OpenAiChat, "before", false).header("x-probe-calls").map(str::to_owned);
    assert_eq!(calls(&room).as_deref(), Some("1"));
    let trap = [("x-probe-trap".to_owned(), "1".to_owned())];
    let url = room.url(Dialect::OpenAiChat.path());
    for round in 0..3_u32 {
        let trapped = client::post(&url, &trap, &small_call(Dialect::OpenAiChat, false)).expect("an answer");
        assert!(trapped.status >= 500, "round {round}: {}", trapped.status);
        let recovered = wait::until(SOON, || {
            let answer = room.call(Dialect::OpenAiChat, "after", false);
            (answer.status == 200).then(|| answer.header("x-probe-calls").map(str::to_owned))
        });
        let expected = (round + 2).to_string();
        assert_eq!(recovered, Some(Some(expected)), "round {round}: counting goes on where it was");
    }
    assert!(room.envoy.is_running());
    let metrics = room.envoy.metrics().expect("metrics");
    assert_eq!(metrics.sum("envoy_wasm_tollgate_vm_reload_success", &[]), Some(3.0));
}

#[test]
fn without_reload_one_trap_makes_every_later_call_fail() {
    let room = Room::tuned(probe(), |options| options.failure_policy = Some("FAIL_CLOSED".to_owned()));
    let url = room.url(Dialect::OpenAiChat.path());
    let trap = [("x-probe-trap".to_owned(), "1".to_owned())];
    client::post(&url, &trap, &small_call(Dialect::OpenAiChat, false)).expect("an answer");
    let later: Vec<u16> = (0..3).map(|_| room.call(Dialect::OpenAiChat, "late", false).status).collect();
    assert_eq!(later, [503, 503, 503]);
}

#[test]
fn shared_data_counts_exactly_across_workers() {
    let room = Room::tuned(probe(), |options| options.concurrency = 3);
    let mut counts: Vec<u32> = std::thread::scope(|scope| {
        let lanes: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..6).map(|_| shared_count(&room)).collect::<Vec<_>>())).collect();
        lanes.into_iter().flat_map(|lane| lane.join().expect("a lane")).collect()
    });
    counts.sort_unstable();
    assert_eq!(counts, (1..=24).collect::<Vec<u32>>(), "no count lost or given twice");
}

fn shared_count(room: &Room) -> u32 {
    let answer = room.call(Dialect::OpenAiChat, "many", false);
    answer.header("x-probe-calls").and_then(|count| count.parse().ok()).expect("a count")
}
