//! The program `tollgate`: recorded exchanges through the real filter, configurations, prices, schemas.
//!
//! The recordings are third-party and not in this repository: `TOLLGATE_TRAFFIC` names their directory, by default
//! `../shared/traffic` beside the workspace. Where there is none, the tests that need it say so and pass.

#[path = "support/native.rs"]
mod native;
#[path = "support/same.rs"]
mod same;
#[path = "support/traffic.rs"]
mod traffic;

use std::path::PathBuf;
use std::process::{Command, Output};

use same::{assert_same, without_id};
use serde_json::Value;
use tollgate_host::artifact;
use tollgate_host::gateway::{Filter, Profile};
use tollgate_host::recording::Recording;
use tollgate_host::replay::{Options, event_of, replay};

/// All recordings, by name; `None` where they are not on this machine.
fn recordings() -> Option<Vec<PathBuf>> {
    let Some(files) = traffic::files() else {
        println!("NOT TESTED: no recorded traffic (set TOLLGATE_TRAFFIC)");
        return None;
    };
    assert!(files.len() > 150, "{files:?}");
    Some(files)
}

/// Runs the program on the filter under test.
fn tollgate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .env("TOLLGATE_WASM", artifact::wasm().expect("the filter builds"))
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// What the program prints when it succeeds.
fn check(arguments: &[&str]) -> String {
    let output = tollgate(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Bytes of a piece of a body; 0 for the whole at once.
const PIECES: [usize; 5] = [0, 1, 7, 61, 1_000];

#[test]
fn recorded_calls_give_the_native_cores_event_on_every_gateway_in_any_pieces() {
    let Some(files) = recordings() else { return };
    let filter = Filter::compile(&std::fs::read(artifact::wasm().expect("filter")).expect("filter")).expect("filter");
    let mut runs = 0;
    for file in files {
        let recording = Recording::read(&file).expect("a recording");
        let expected = traffic::native_event(&recording).map(traffic::timeless);
        for profile in Profile::ALL {
            for chunk in PIECES {
                let case = format!("{} {profile:?} in pieces of {chunk}", file.display());
                let options = Options { profile, chunk, ..Options::default() };
                let outcome = replay(&filter, &recording, &options).expect("a gateway");
                assert_eq!(outcome.trap, None, "{case}");
                let found = event_of(profile, &outcome).map(without_id).map(traffic::timeless);
                assert_eq!(found.is_some(), expected.is_some(), "{case}");
                found.iter().zip(&expected).for_each(|(found, expected)| assert_same(found, expected, &case));
                runs += 1;
            }
        }
    }
    println!("{runs} runs");
}

#[test]
fn replay_prints_one_json_line_per_file_in_the_order_given() {
    let Some(mut files) = recordings() else { return };
    files.retain(|file| ["openai-chat", "openai-responses", "anthropic"].contains(&traffic::folder(file)));
    files.reverse();
    let names: Vec<&str> = files.iter().map(|file| file.to_str().expect("a name")).collect();
    let runs = [["envoy", "0"], ["kong", "1"], ["apisix", "61"]].map(|[host, chunk]| {
        let arguments = [["replay", "--json", "--host", host, "--chunk", chunk].as_slice(), &names].concat();
        let lines = check(&arguments);
        let events = lines.lines().map(|line| without_id(serde_json::from_str(line).expect("JSON")));
        events.collect::<Vec<Value>>()
    });
    let order: Vec<&str> = runs[0].iter().filter_map(|event| event["file"].as_str()).collect();
    assert_eq!(order, names);
    assert!(runs[0].iter().all(|event| event["schema"].is_string()), "all of them are LLM calls");
    let complete = runs[0].iter().filter(|event| event["outcome"] == "complete").count();
    assert!(complete * 10 > names.len() * 7, "{complete} of {} are complete", names.len());
    for run in &runs[1..] {
        assert_eq!(run.len(), names.len());
        run.iter().zip(&runs[0]).zip(&names).for_each(|((found, expected), name)| assert_same(found, expected, name));
    }
}

#[test]
fn replay_prints_a_line_per_file_and_a_summary_and_fails_on_what_is_no_recording() {
    let directory = tempfile::tempdir().expect("a directory");
    let [good, bad] = ["good.json", "bad.json"].map(|name| directory.path().join(name).display().to_string());
    let recording = serde_json::json!({
        "request": {
            "method": "POST", "url": "https://api.openai.com/v1/chat/completions",
            "body": r#"{"model": "gpt-4.1", "messages": [{"role": "user", "content": "Hello"}]}"#
        },
        "response": {
            "status": 200,
            "body": r#"{"model": "gpt-4.1", "choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 100}}"#
        },
        "recorded_at": "2026-08-21T00:00:00Z"
    });
    std::fs::write(&good, recording.to_string()).expect("written");
    std::fs::write(&bad, "{}").expect("written");
    let printed = check(&["replay", &good]);
    assert!(printed.contains("input 1000 (cached 0), output 100"), "{printed}");
    assert!(printed.contains("cost $0.0028 (list)"), "{printed}");
    assert!(printed.lines().any(|line| line.starts_with("openai_chat") && line.contains("0.0028")), "{printed}");
    let output = tollgate(&["replay", "--json", &bad, &good]);
    assert_eq!(output.status.code(), Some(1));
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let outcomes: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["outcome"].clone()).collect();
    assert_eq!(outcomes, ["unreadable", "complete"], "one line per file, readable or not");
    assert!(said.contains("bad.json: not a recorded exchange"), "{said}");
}

#[test]
fn check_prints_every_mistake_with_its_path_and_a_hint() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("tollgate.yaml");
    let mistaken = "failure_mod: open\nhost: nginx\nlimits:\n- { id: a, limit: -1 }\n- { id: b, limit: 5, measure: lines }\nmetrics: { max_values: 0 }\n";
    std::fs::write(&file, mistaken).expect("written");
    let output = tollgate(&["check", file.to_str().expect("a name")]);
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 5, "{printed}");
    for path in ["failure_mod", "host", "limits[0].limit", "limits[1].measure", "metrics.max_values"] {
        let line =
            lines.iter().find(|line| line.starts_with(path)).unwrap_or_else(|| panic!("no {path} in\n{printed}"));
        assert!(line.matches(['(', ';', ',']).count() > 0 && line.len() > path.len() + 20, "a hint: {line}");
    }
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("tollgate.yaml: 5 mistakes"), "{said}");
}

#[test]
fn check_prints_the_effective_configuration_of_a_good_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("tollgate.json");
    std::fs::write(&file, r#"{"secret": "s3cret", "failure_mode": "closed"}"#).expect("written");
    let effective: Value = serde_json::from_str(&check(&["check", file.to_str().expect("a name")])).expect("JSON");
    assert_eq!((&effective["failure_mode"], &effective["host"]), (&Value::from("closed"), &Value::from("auto")));
    assert_eq!(effective["secret"], "", "a secret is not printed");
}

#[test]
fn prices_of_a_model_are_those_of_the_day() {
    let printed = check(&["prices", "gpt-4o", "--at", "2026-08-01"]);
    assert!(printed.contains("openai gpt-4o") && printed.contains("at 2026-08-01T00:00:00"), "{printed}");
    assert!(printed.contains("2.5") && printed.contains("10"), "dollars per million tokens: {printed}");
    let all = check(&["prices"]);
    assert!(all.lines().count() > 100, "{} models", all.lines().count());
    let unknown = tollgate(&["prices", "no-such-model"]);
    assert_eq!((unknown.status.code(), unknown.stdout.is_empty()), (Some(1), false));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no-such-model"));
}

#[test]
fn schemas_name_what_a_configuration_and_an_event_hold() {
    let config: Value = serde_json::from_str(&check(&["schema"])).expect("JSON");
    assert!(config["properties"]["failure_mode"].is_object(), "{config:#}");
    let event: Value = serde_json::from_str(&check(&["schema", "event"])).expect("JSON");
    for field in ["input_tokens", "cost_usd", "components", "attribution", "unmetered_reason"] {
        assert!(event["properties"][field].is_object(), "{field}");
    }
}
