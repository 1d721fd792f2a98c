//! `tollgate reconcile`: events against exports as OpenAI and Anthropic document them, and other prices for the same calls.
//!
//! The exports here are written by hand. OpenAI's are also read by OpenAI's own SDK, so their form is not ours.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tollgate_core::money::Usd;
use tollgate_host::artifact;
use tollgate_host::demo::{self, DemoOptions};

/// Files beside each other, and the program on them.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn put(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        fs::write(&path, text).expect("it is written");
        path.display().to_string()
    }

    fn put_events(&self, name: &str, events: &[Value]) -> String {
        self.put(name, &events.iter().map(|event| format!("{event}\n")).collect::<String>())
    }
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.arg("reconcile").args(arguments).output().expect("the program starts")
}

fn reconciled(arguments: &[&str]) -> Value {
    let output = run(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What the program says when it refuses.
fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).expect("text")
}

/// An event of a call of `gpt-5-mini` ($0.25 input, $0.025 cached, $2 output per million) with what this asks of it.
fn event(id: u64, time: &str, input: u64, cached: u64, output: u64, cost: &str) -> Value {
    json!({
        "schema": "tollgate.event/1", "id": format!("call-{id}"), "time": time, "provider": "openai", "operation": "chat",
        "outcome": "complete", "request_model": "gpt-5-mini", "response_model": "gpt-5-mini-2025-08-07",
        "service_tier": "default", "input_tokens": input, "output_tokens": output, "reasoning_tokens": output / 2,
        "input_uncached_tokens": input - cached, "cache_read_tokens": cached, "cache_write_5m_tokens": 0,
        "cache_write_1h_tokens": 0, "audio_input_tokens": 0, "audio_output_tokens": 0, "web_searches": 0,
        "citation_tokens": 0, "usage_source": "reported", "cost_usd": cost, "cost": {}
    })
}

/// Two calls: $0.0006 on the one day, $0.0022 on the next.
fn two_days() -> [Value; 2] {
    [
        event(1, "2026-11-24T10:00:00.000Z", 1_600, 0, 100, "0.0006"),
        event(2, "2026-11-25T10:00:00.000Z", 8_800, 8_000, 900, "0.0022"),
    ]
}

/// Midnight of the two days.
const DAYS: [u64; 2] = [1_795_478_400, 1_795_564_800];

fn openai_usage(results: [Value; 2]) -> Value {
    page(results.map(|result| {
        let mut whole = json!({
            "object": "organization.usage.completions.result", "input_audio_tokens": 0, "output_audio_tokens": 0,
            "project_id": null, "user_id": null, "api_key_id": null, "batch": null, "service_tier": null
        });
        whole.as_object_mut().expect("members").extend(result.as_object().expect("members").clone());
        whole
    }))
}

fn openai_costs(results: [Value; 2]) -> Value {
    page(results.map(|result| {
        let (item, value) = (&result["line_item"], &result["value"]);
        json!({"object": "organization.costs.result", "line_item": item, "amount": {"value": value, "currency": "usd"}})
    }))
}

fn page(results: [Value; 2]) -> Value {
    let bucket = |(start, result): (u64, Value)| json!({"object": "bucket", "start_time": start, "end_time": start + 86_400, "results": [result]});
    let data: Vec<Value> = DAYS.into_iter().zip(results).map(bucket).collect();
    json!({"object": "page", "data": data, "has_more": false, "next_page": null})
}

/// OpenAI's usage of exactly these calls.
fn same_usage() -> Value {
    let model = "gpt-5-mini-2025-08-07";
    openai_usage([
        json!({"model": model, "num_model_requests": 1, "input_tokens": 1_600, "input_cached_tokens": 0, "output_tokens": 100}),
        json!({"model": model, "num_model_requests": 1, "input_tokens": 8_800, "input_cached_tokens": 8_000, "output_tokens": 900}),
    ])
}

fn dollars(value: &Value) -> Usd {
    Usd::parse(value.as_str().unwrap_or_else(|| panic!("no amount: {value}"))).expect("a decimal")
}

fn texts(value: &Value) -> String {
    value.as_array().expect("texts").iter().map(|text| text.as_str().expect("a text")).collect::<Vec<_>>().join("; ")
}

#[test]
fn what_agrees_has_no_difference_and_no_reason_however_the_log_holds_its_events() {
    let desk = Desk::new();
    let [first, second] = two_days();
    let lines = [
        json!({"path": "/v1/models", "tollgate_event": null}),
        json!({"path": "/v1/chat/completions", "tollgate_event": first.to_string()}),
        // A batch that a collector got twice.
        json!({"path": "/v1/chat/completions", "tollgate_event": first.to_string()}),
        json!({"tollgate_event": second}),
    ];
    let log = desk.put_events("access.log", &lines);
    let usage = desk.put("usage.json", &same_usage().to_string());
    let costs = openai_costs([
        json!({"line_item": "gpt-5-mini-2025-08-07, input", "value": 0.0006}),
        // As OpenAI prints it: more digits than a float has.
        json!({"line_item": "gpt-5-mini-2025-08-07, output", "value": "0.0022000000000000000000000000000000000001"}),
    ]);
    let costs = desk.put("costs.json", &costs.to_string());
    let found = reconciled(&["--export", &usage, "--export", &costs, &log]);
    let rows = found["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{found:#}");
    for row in rows {
        assert_eq!((&row["difference_usd"], &row["usage_part_usd"]), (&json!("0"), &json!("0")), "{row:#}");
        assert_eq!(row["reasons"], json!([]), "{row:#}");
        assert_eq!(row["model"], "gpt-5-mini");
        for count in ["calls", "input_tokens", "cache_read_tokens", "output_tokens"] {
            assert_eq!(row["events"][count], row["stated"][count], "{count}: {row:#}");
        }
    }
    assert_eq!(found["total"]["stated"]["cost_usd"], "0.0028");
    assert_eq!(found["not_covered"], json!({"calls": 0, "cost_usd": "0"}));
}

#[test]
fn a_difference_is_split_exactly_into_tokens_and_price_and_each_has_its_reason() {
    let desk = Desk::new();
    let log = desk.put_events("access.log", &two_days());
    let model = "gpt-5-mini-2025-08-07";
    let usage = openai_usage([
        // A second call that no event has, of 1,000 input and 50 output tokens: $0.00035.
        json!({"model": model, "num_model_requests": 2, "input_tokens": 2_600, "input_cached_tokens": 0, "output_tokens": 150}),
        json!({"model": model, "num_model_requests": 1, "input_tokens": 8_800, "input_cached_tokens": 8_000, "output_tokens": 900}),
    ]);
    let costs = openai_costs([
        json!({"line_item": format!("{model}, input"), "value": 0.00095}),
        // Ten per cent off.
        json!({"line_item": format!("{model}, input"), "value": 0.00198}),
    ]);
    // Both in one file, one page after the other.
    let export = desk.put("export.json", &format!("{usage}\n{costs}"));
    let found = reconciled(&["--export", &export, &log]);
    let [first, second] = found["rows"].as_array().expect("rows").as_slice() else { panic!("{found:#}") };
    let parts = |row: &Value| {
        ["difference_usd", "usage_part_usd", "price_part_usd"].map(|name| dollars(&row[name]).to_string())
    };
    assert_eq!(parts(first), ["0.00035", "0.00035", "0"]);
    assert!(texts(&first["reasons"]).contains("calls without an event: 1"), "{first:#}");
    assert_eq!(parts(second), ["-0.00022", "0", "-0.00022"]);
    assert!(texts(&second["reasons"]).starts_with("the same tokens have another price"), "{second:#}");
    assert_eq!(parts(&found["total"]), ["0.00013", "0.00035", "-0.00022"]);
    let text = String::from_utf8(run(&["--export", &export, &log]).stdout).expect("text");
    assert!(text.contains("$0.000350 are tokens that only one side has, $0 is price."), "{text}");
}

#[test]
fn tokens_that_are_the_same_and_cached_otherwise_are_told_from_tokens_that_differ() {
    let desk = Desk::new();
    let log = desk.put_events("access.log", &two_days());
    let usage = openai_usage([
        json!({"model": "gpt-5-mini", "num_model_requests": 1, "input_tokens": 1_600, "input_cached_tokens": 1_000, "output_tokens": 100}),
        json!({"model": "gpt-5-mini", "num_model_requests": 1, "input_tokens": 8_801, "input_cached_tokens": 8_000, "output_tokens": 900}),
    ]);
    let export = desk.put("usage.json", &usage.to_string());
    let found = reconciled(&["--export", &export, &log]);
    let reasons: Vec<String> =
        found["rows"].as_array().expect("rows").iter().map(|row| texts(&row["reasons"])).collect();
    assert!(reasons[0].contains("a cache read or wrote"), "{reasons:?}");
    assert_eq!(reasons[1], "the tokens differ");
    // A thousand tokens at the cached price instead of the full one.
    assert_eq!(found["rows"][0]["usage_part_usd"], "-0.000225");
    // No costs were exported, so there is no difference of costs.
    assert_eq!(found["rows"][0]["difference_usd"], Value::Null);
}

#[test]
fn anthropics_reports_count_cents_and_tell_writes_apart() {
    let desk = Desk::new();
    let mut call = event(1, "2026-11-24T23:59:59.000Z", 9_975, 6_751, 133, "0.0100631");
    for (name, value) in
        [("provider", "anthropic"), ("request_model", "claude-sonnet-5-5"), ("response_model", "claude-sonnet-5-5")]
    {
        call[name] = value.into();
    }
    call["input_uncached_tokens"] = 4.into();
    call["cache_write_5m_tokens"] = 3_220.into();
    let log = desk.put_events("access.log", &[call]);
    let bucket = |result: Value| {
        json!({
            "data": [{"starting_at": "2026-11-24T00:00:00Z", "ending_at": "2026-11-25T00:00:00Z", "results": [result]}],
            "has_more": false, "next_page": null
        })
    };
    let usage = bucket(json!({
        "model": "claude-sonnet-5-5", "uncached_input_tokens": 4, "cache_read_input_tokens": 6_751,
        "cache_creation": {"ephemeral_5m_input_tokens": 3_220, "ephemeral_1h_input_tokens": 0}, "output_tokens": 133,
        "server_tool_use": {"web_search_requests": 0}, "service_tier": "standard", "context_window": "0-200k",
        "workspace_id": null, "api_key_id": null
    }));
    let cost = bucket(json!({
        "currency": "USD", "amount": "1.00631", "workspace_id": null, "description": "Claude Sonnet Usage - Input Tokens",
        "cost_type": "tokens", "context_window": "0-200k", "model": "claude-sonnet-5-5", "service_tier": "standard",
        "token_type": "uncached_input_tokens"
    }));
    let searches = bucket(json!({
        "currency": "USD", "amount": "5", "description": "Web Search Usage", "cost_type": "web_search", "model": null
    }));
    let export = desk.put("reports.json", &format!("{usage}{cost}{searches}"));
    let found = reconciled(&["--export", &export, &log]);
    let [searches, model] = found["rows"].as_array().expect("rows").as_slice() else { panic!("{found:#}") };
    assert_eq!(
        (&model["difference_usd"], &model["usage_part_usd"], &model["reasons"]),
        (&json!("0"), &json!("0"), &json!([]))
    );
    assert_eq!((&searches["model"], &searches["difference_usd"]), (&json!("Web Search Usage"), &json!("0.05")));
    assert_eq!(texts(&searches["reasons"]), "a charge that belongs to no call");
}

#[test]
fn costs_of_whole_days_are_held_against_whole_days() {
    let desk = Desk::new();
    let [first, second] = two_days();
    let mut other = event(3, "2026-11-24T11:00:00.000Z", 1_000, 0, 0, "0.0004");
    other["response_model"] = "gpt-4.1-mini".into();
    let log = desk.put_events("access.log", &[first, second, other]);
    let costs = openai_costs([json!({"line_item": null, "value": 0.001}), json!({"line_item": null, "value": 0.0022})]);
    let export = desk.put("costs.json", &costs.to_string());
    let found = reconciled(&["--export", &export, &log]);
    let rows = found["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{found:#}");
    assert!(rows.iter().all(|row| row["model"] == "(all models)" && row["difference_usd"] == "0"), "{found:#}");
    assert_eq!(rows[0]["events"]["calls"], 2);
}

#[test]
fn days_that_no_export_covers_are_left_out_and_counted() {
    let desk = Desk::new();
    let outside = event(9, "2026-11-26T00:00:00.000Z", 1_000, 0, 0, "0.00025");
    let log = desk.put_events("access.log", &[two_days().as_slice(), &[outside]].concat());
    let export = desk.put("usage.json", &same_usage().to_string());
    let found = reconciled(&["--export", &export, &log]);
    assert_eq!(found["not_covered"], json!({"calls": 1, "cost_usd": "0.00025"}));
    assert_eq!(found["rows"].as_array().map(Vec::len), Some(2));
}

#[test]
fn history_costs_what_another_contract_makes_of_it_and_the_same_under_the_same_list() {
    let desk = Desk::new();
    let mut stranger = event(3, "2026-11-25T11:00:00.000Z", 1_000, 0, 0, "0");
    stranger["response_model"] = "a-model-of-nobody".into();
    stranger["cost_usd"] = Value::Null;
    let log = desk.put_events("access.log", &[two_days().as_slice(), &[stranger]].concat());
    let same = desk.put("same.json", "{}");
    let found = reconciled(&["--reprice", &same, &log]);
    assert_eq!(found["total"]["repriced"], json!({"cost_usd": "0.0028", "calls_left_out": 1}));
    let contract = desk.put("contract.yaml", "discounts: [{provider: openai, percent: '12.5'}]\nprices: [{model: 'a-model*', input_per_million: 3, output_per_million: 9}]\n");
    let found = reconciled(&["--reprice", &contract, &log]);
    // 0.0028 less an eighth, and a thousand tokens of the other.
    assert_eq!(found["total"]["repriced"], json!({"cost_usd": "0.00545", "calls_left_out": 0}));
}

#[test]
fn what_cannot_be_read_is_named_and_nothing_is_compared() {
    let desk = Desk::new();
    let log = desk.put_events("access.log", &two_days());
    let export = |text: &str| {
        let file = desk.put("export.json", text);
        refused(&["--export", &file, &log])
    };
    let mut unfinished = same_usage();
    unfinished["has_more"] = true.into();
    assert!(export(&unfinished.to_string()).contains("fetch it with `page` set to `next_page`"));
    assert!(export(&format!("{0}{0}", same_usage())).contains("the results of 2026-11-24 are there twice"));
    let mut euros = openai_costs([json!({"line_item": "x", "value": 1}), json!({"line_item": "x", "value": 1})]);
    euros["data"][0]["results"][0]["amount"]["currency"] = "eur".into();
    assert!(export(&euros.to_string()).contains("2026-11-24 is in eur"));
    let mut month = same_usage();
    month["data"][0]["end_time"] = (DAYS[0] + 2_592_000).into();
    assert!(export(&month.to_string()).contains("cover more than a day"));
    assert!(export("date,cost\n2026-11-24,1\n").contains("no page of an export that this program knows"));
    assert!(refused(&[&log]).contains("nothing to compare with"));
    let broken = desk.put("broken.log", "{\"tollgate_event\": null}\nnot JSON\n");
    let usage = desk.put("usage.json", &same_usage().to_string());
    let said = refused(&["--export", &usage, &broken]);
    assert!(said.contains("broken.log, line 2: not JSON"), "{said}");
}

#[test]
fn the_exports_of_these_tests_are_what_openais_own_sdk_reads() {
    let desk = Desk::new();
    let costs =
        openai_costs([json!({"line_item": "gpt-5-mini, input", "value": 0.5}), json!({"line_item": null, "value": 1})]);
    let (usage, costs) =
        (desk.put("usage.json", &same_usage().to_string()), desk.put("costs.json", &costs.to_string()));
    let program = "import sys\n\
        from openai.types.admin.organization import UsageCompletionsResponse, UsageCostsResponse\n\
        usage = UsageCompletionsResponse.model_validate_json(open(sys.argv[1]).read(), strict=True)\n\
        costs = UsageCostsResponse.model_validate_json(open(sys.argv[2]).read())\n\
        print(usage.data[1].results[0].input_cached_tokens, costs.data[0].results[0].amount.value)";
    let python = Command::new(artifact::root().join("scripts/sdk-venv")).output().expect("the script starts");
    let python = String::from_utf8(python.stdout).expect("a path");
    let output = Command::new(python.trim()).args(["-c", program, &usage, &costs]).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "8000 0.5");
}

#[test]
fn the_demos_access_log_costs_the_same_under_todays_list() {
    let wasm = Some(artifact::wasm().expect("filter"));
    let demo = demo::run(&DemoOptions { wasm, ..DemoOptions::default() }).unwrap_or_else(|error| panic!("{error}"));
    let desk = Desk::new();
    let same = desk.put("same.json", "{}");
    let found = reconciled(&["--reprice", &same, &demo.envoy.access_log_path().display().to_string()]);
    for row in found["rows"].as_array().expect("rows") {
        assert_eq!(row["repriced"]["cost_usd"], row["events"]["cost_usd"], "{row:#}");
    }
    let cost =
        |event: &Value| event["cost_usd"].as_str().map_or(Usd::ZERO, |text| Usd::parse(text).expect("an amount"));
    let paid = demo.events.iter().fold(Usd::ZERO, |sum, event| sum.plus(cost(event)));
    assert_eq!(dollars(&found["total"]["repriced"]["cost_usd"]), paid);
}
