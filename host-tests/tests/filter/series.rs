//! Whatever clients call themselves, metrics have no more series than allowed, and all workers agree which; events keep
//! every name.

use serde_json::json;
use tollgate_core::names::metric;
use tollgate_host::gateway::{Gateway, Outcome, Profile, Settings};
use tollgate_host::replay;
use tollgate_host::standin::Dialect;

use super::support::{event, has_metrics, metric, one, start};

const WORKERS: usize = 8;
const MAX_SERIES: usize = 4_000;
const CONFIG: &str = r#"{"shared_data": "on", "log_events": false,
    "metrics": {"labels": ["app", "user"], "max_values": 200, "max_series": 4000, "models": ["model-*"]}}"#;
/// Pages of 64 KiB in two mebibytes.
const TWO_MEBIBYTES: u64 = 32;

fn shared(profile: Profile) -> Gateway {
    start(Settings { workers: WORKERS, ..replay::settings(profile, CONFIG) })
}

/// A call whose application, user and model nobody has seen before.
fn call(gateway: &Gateway, worker: usize, number: usize) -> Outcome {
    let exchange = one(Dialect::OpenAiChat, false);
    let head = exchange.request_head();
    let head = head.header("x-tollgate-app", &format!("app-{number}"));
    let stream = gateway.worker(worker).open(head.header("x-tollgate-user", &format!("user-{number}")));
    let model = format!("model-{number}");
    let request = json!({"model": model, "messages": [{"role": "user", "content": "Where is my parcel?"}]});
    stream.request_body(request.to_string().as_bytes(), true);
    let answer = String::from_utf8(exchange.response.clone()).expect("text").replace("gpt-4.1-mini-2025-04-14", &model);
    stream.respond(exchange.response_head()).response_body(answer.as_bytes(), true);
    stream.finish()
}

#[test]
fn ten_thousand_users_models_and_applications_stay_within_the_cap_and_events_name_them_all() {
    for (profile, calls) in [(Profile::Envoy, 10_000), (Profile::Kong, 1_000), (Profile::Apisix, 1_000)] {
        let gateway = shared(profile);
        (0..WORKERS).for_each(|worker| drop(call(&gateway, worker, worker)));
        let before: Vec<u64> = (0..WORKERS).map(|worker| gateway.worker(worker).memory_pages()).collect();
        for number in 0..calls {
            let outcome = call(&gateway, number % WORKERS, number);
            if number % 97 == 0 || number > calls - 10 {
                let event = event(profile, &outcome);
                let named = [&event["attribution"]["app"], &event["attribution"]["user"], &event["request_model"]];
                let given = [format!("app-{number}"), format!("user-{number}"), format!("model-{number}")];
                assert_eq!(named.map(|name| name.as_str().unwrap_or_default()), given.each_ref().map(String::as_str));
            }
        }
        for (worker, before) in before.iter().enumerate() {
            let grown = gateway.worker(worker).memory_pages() - before;
            assert!(grown < TWO_MEBIBYTES, "{profile:?}: {grown} pages");
        }
        if !has_metrics(profile) {
            continue;
        }
        let series = gateway.metrics().iter().count();
        // Room is kept for all that a set of labels can count, most of which these calls have no use for.
        assert!(series > MAX_SERIES / 16 && series <= MAX_SERIES, "{profile:?}: {series} series");
        // Nothing is lost: what has no series of its own is counted under `other`.
        let other = metric(&gateway, metric::REQUESTS, &[("app", "other")]).unwrap_or(0);
        assert_eq!(metric(&gateway, metric::REQUESTS, &[]), Some((calls + WORKERS) as u64), "{profile:?}");
        assert_eq!(metric(&gateway, metric::FOLDED, &[("label", "app")]), Some(other), "{profile:?}");
    }
}

#[test]
fn eight_workers_agree_on_who_is_other() {
    for profile in [Profile::Envoy, Profile::Kong] {
        let gateway = shared(profile);
        // Each worker meets strangers of its own first, until there is no more room, then those of all others.
        for number in 0..200 {
            call(&gateway, number % WORKERS, number);
        }
        let counted = |number: usize| metric(&gateway, metric::REQUESTS, &[("app", &format!("app-{number}"))]);
        let before: Vec<_> = (0..200).map(counted).collect();
        assert!(before.contains(&None) && before.contains(&Some(1)), "{profile:?}");
        for number in 0..200 {
            (0..WORKERS).for_each(|worker| drop(call(&gateway, worker, number)));
        }
        for (number, before) in before.iter().enumerate() {
            let expected = before.map(|before| before + WORKERS as u64);
            assert_eq!(counted(number), expected, "{profile:?} {number}");
        }
    }
}
