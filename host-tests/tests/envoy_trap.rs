//! A filter that crashes in a real Envoy: the gateway recovers, and metering goes on where it was.
//!
//! The filter is the real one, built with the feature `trap`: a request with the header `x-tollgate-trap` aborts it.

mod support;

use support::{Room, SOON, event, small_call};
use tollgate_host::agent::{Labels, client};
use tollgate_host::artifact;
use tollgate_host::standin::Dialect;
use tollgate_host::wait;

/// The step of its task that a call was, once the filter serves again.
fn step(room: &Room) -> Option<u64> {
    let labels = Labels::app("steady", "qa").with("task", "t-1");
    let lines = room.envoy.access_log().len();
    let answer = room.call_with(Dialect::OpenAiChat, &labels, true);
    let log = room.envoy.wait_for_access_log(lines + 1, SOON);
    (answer.status == 200).then(|| event(log.last().expect("a line"))["task"]["step"].as_u64()).flatten()
}

#[test]
fn after_a_trap_metering_goes_on_and_metrics_and_shared_state_survive() {
    let mut room = Room::with(artifact::trapping_wasm().expect("the filter builds"));
    assert_eq!(step(&room), Some(1));
    for round in 1..=3_u64 {
        let trap = [("x-tollgate-trap".to_owned(), "1".to_owned())];
        let url = room.url(Dialect::OpenAiChat.path());
        let trapped = client::post(&url, &trap, &small_call(Dialect::OpenAiChat, true)).expect("an answer");
        assert!(trapped.status >= 500, "{trapped:?}");
        // The filter is loaded afresh by one of the next requests.
        let recovered = wait::until(SOON, || step(&room));
        assert_eq!(recovered, Some(round + 1), "the task is counted on");
        let metrics = room.envoy.metrics().expect("metrics");
        let complete = [("app", "steady"), ("outcome", "complete")];
        let expected = u32::try_from(round + 1).map(f64::from).ok();
        assert_eq!(metrics.sum("tollgate_requests_total", &complete), expected);
    }
    assert!(room.envoy.is_running());
    let metrics = room.envoy.metrics().expect("metrics");
    assert_eq!(metrics.sum("envoy_wasm_tollgate_vm_reload_success", &[]), Some(3.0));
}

#[test]
fn the_filter_that_is_shipped_has_no_trap() {
    let room = Room::with(artifact::wasm().expect("the filter builds"));
    let labels = Labels::app("calm", "qa").with_header("x-tollgate-trap", "1");
    assert_eq!(room.call_with(Dialect::OpenAiChat, &labels, false).status, 200);
}
