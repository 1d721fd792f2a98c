//! README's table of the gateways is what the filter does on each of them.

use serde_json::Value;
use std::time::Duration;
use tollgate_core::names::{EVENT_LOG_PREFIX, metric};
use tollgate_host::artifact;
use tollgate_host::gateway::{Profile, Settings};
use tollgate_host::replay;
use tollgate_host::standin::Dialect;

use super::support::{ask, gateway, metric, one, pass, start};

/// A row of the table, and how to see what it says.
type Row = (&'static str, fn(Profile) -> bool);

const ROWS: [Row; 10] = [
    ("the whole event in the access log", publishes_the_event),
    ("how a call that breaks off ended, in the access log", publishes_a_break),
    ("the whole event as a log line", logs_long_events_whole),
    ("single values for access logs and spans", publishes_values),
    ("metrics", counts),
    ("limits on single calls", refuses),
    ("budgets shared by the workers of a gateway", shares_budgets),
    ("export to an OpenTelemetry collector", exports),
    ("usage of OpenAI's streams where the client does not ask for it", asks_for_usage),
    ("limits that change a call: less output, a cheaper model", changes_calls),
];

fn publishes_the_event(profile: Profile) -> bool {
    let outcome = pass(&gateway(profile, "{}"), one(Dialect::OpenAiChat, true), 1000);
    replay::event_of(profile, &outcome).is_some_and(|event| event["outcome"] == "complete")
}

fn publishes_a_break(profile: Profile) -> bool {
    let exchange = one(Dialect::Anthropic, true);
    let gateway = gateway(profile, "{}");
    let stream = ask(&gateway, exchange);
    stream.respond(exchange.response_head());
    stream.response_body(&exchange.response[..exchange.response.len() / 2], false).client_gone();
    replay::event_of(profile, &stream.finish()).is_some_and(|event| event["outcome"] == "client_gone")
}

fn logs_long_events_whole(profile: Profile) -> bool {
    let limits: Vec<String> =
        (0..40).map(|number| format!(r#"{{"id": "limit-{number}", "limit": 1, "action": "observe"}}"#)).collect();
    let gateway = gateway(profile, &format!(r#"{{"limits": [{}]}}"#, limits.join(",")));
    pass(&gateway, one(Dialect::OpenAiChat, true), 1000);
    let log = gateway.log();
    let line = log.iter().find_map(|line| line.text.strip_prefix(EVENT_LOG_PREFIX)).expect("every gateway has a line");
    let line: Value = serde_json::from_str(line).expect("the line is JSON, however short it must be");
    line["partial"] != true
}

fn publishes_values(profile: Profile) -> bool {
    let outcome = pass(&gateway(profile, "{}"), one(Dialect::OpenAiChat, true), 1000);
    outcome.access_log.keys().any(|name| name.contains("gen_ai.usage.input_tokens"))
}

fn counts(profile: Profile) -> bool {
    let gateway = gateway(profile, "{}");
    pass(&gateway, one(Dialect::OpenAiChat, true), 1000);
    metric(&gateway, metric::REQUESTS, &[("outcome", "complete")]) == Some(1)
}

fn refuses(profile: Profile) -> bool {
    let gateway = gateway(profile, r#"{"limits": [{"id": "small", "measure": "input_tokens", "limit": 1}]}"#);
    pass(&gateway, one(Dialect::OpenAiChat, false), 1000).status() == 429
}

fn shares_budgets(profile: Profile) -> bool {
    let sharing = if profile == Profile::Kong { r#""shared_data": "on","# } else { "" };
    let config =
        format!(r#"{{{sharing} "limits": [{{"id": "one", "measure": "requests", "per": "day", "limit": 1}}]}}"#);
    let gateway = start(Settings { workers: 2, ..replay::settings(profile, &config) });
    let exchange = one(Dialect::OpenAiChat, false);
    assert_eq!(pass(&gateway, exchange, 1000).status(), 200, "{profile:?}");
    assert_eq!(pass(&gateway, exchange, 1000).status(), 429, "{profile:?}: a worker keeps to its own at least");
    let other = gateway.worker(1).open(exchange.request_head());
    other.request_body(&exchange.request, true);
    other.outcome().local_reply.is_some()
}

fn exports(profile: Profile) -> bool {
    let gateway = gateway(profile, r#"{"otlp": {"target": "127.0.0.1:4318"}}"#);
    pass(&gateway, one(Dialect::OpenAiChat, false), 1000);
    gateway.advance(Duration::from_secs(10));
    !gateway.pending_callouts().is_empty()
}

fn asks_for_usage(profile: Profile) -> bool {
    let gateway = gateway(profile, "{}");
    let exchange = one(Dialect::OpenAiChat, true);
    let mut request: Value = serde_json::from_slice(&exchange.request).expect("JSON");
    request.as_object_mut().expect("an object").remove("stream_options");
    let request = request.to_string();
    let head = exchange.request_head().header("content-length", &request.len().to_string());
    let stream = gateway.worker(0).open(head);
    stream.request_body(&request, true);
    stream.respond(exchange.response_head()).response_body(&exchange.response, true);
    let upstream = stream.finish().upstream.expect("the call reached upstream");
    String::from_utf8_lossy(&upstream.body).contains("include_usage")
}

fn changes_calls(profile: Profile) -> bool {
    let limit = r#"{"id": "short", "measure": "output_tokens", "limit": 20, "action": "cap_output"}"#;
    let outcome = pass(&gateway(profile, &format!(r#"{{"limits": [{limit}]}}"#)), one(Dialect::Anthropic, false), 1000);
    outcome.upstream.is_some_and(|upstream| String::from_utf8_lossy(&upstream.body).contains("\"max_tokens\":20"))
}

/// The table's rows: what, one cell per gateway in the order of the profiles, and why.
fn table() -> Vec<Vec<String>> {
    let readme = std::fs::read_to_string(artifact::root().join("README.md")).expect("README.md");
    let (_, section) = readme.split_once("\n## Gateways\n").expect("a section");
    let lines = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    lines.take_while(|line| line.starts_with('|')).map(cells).collect()
}

#[test]
fn the_readme_says_of_each_gateway_what_it_can_do_and_why_not() {
    let table = table();
    let listed: Vec<&str> = table.iter().map(|cells| cells[0].as_str()).collect();
    assert_eq!(listed, ROWS.map(|(what, _)| what));
    for (cells, (what, can)) in table.iter().zip(ROWS) {
        let seen = Profile::ALL.map(can);
        for ((profile, cell), seen) in Profile::ALL.iter().zip(&cells[1..4]).zip(seen) {
            let said = match cell.as_str() {
                "yes" => true,
                "no" => false,
                other => panic!("{what}, {profile:?}: `{other}` is neither yes nor no"),
            };
            assert_eq!(said, seen, "{what} on {profile:?}");
        }
        assert_eq!(cells[4].is_empty(), !seen.contains(&false), "{what}: a gap has a reason, and nothing else has");
    }
}
