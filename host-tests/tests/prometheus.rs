//! The rules of `examples/prometheus` under the real promtool: they parse, say what `tests.yml` and `trend-tests.yml`
//! expect, and ask for metrics and labels that exist.
//!
//! That Envoy shows these names is asserted in `envoy_outputs.rs`, on a real Envoy.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tollgate_core::attribution::Dimension;
use tollgate_core::names::{label, metric};
use tollgate_host::artifact;

fn folder() -> PathBuf {
    artifact::root().join("examples/prometheus")
}

fn yaml(file: &str) -> Value {
    let text = fs::read_to_string(folder().join(file)).unwrap_or_else(|why| panic!("{file}: {why}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|why| panic!("{file}: {why}"))
}

/// The texts of both outputs, of a command that must succeed.
fn said(name: &str, output: &Output) -> String {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    assert!(output.status.success(), "{name}: {text}");
    text
}

fn promtool(arguments: &[&str]) -> String {
    let script = Command::new(artifact::root().join("scripts/prometheus")).output().expect("the script starts");
    assert!(script.status.success(), "{}", String::from_utf8_lossy(&script.stderr));
    let tools = String::from_utf8(script.stdout).expect("a path");
    let promtool = PathBuf::from(tools.trim()).join("promtool");
    let output = Command::new(promtool).current_dir(folder()).args(arguments).output().expect("promtool starts");
    said("promtool", &output)
}

/// The texts of all dashboards.
fn dashboards() -> String {
    let files = fs::read_dir(artifact::root().join("examples/grafana/dashboards")).expect("dashboards");
    files.map(|file| fs::read_to_string(file.expect("an entry").path()).expect("text")).collect()
}

/// The rules of a file.
fn rules(file: &str) -> Vec<Value> {
    let groups = yaml(file)["groups"].as_array().cloned().expect("groups");
    groups.iter().flat_map(|group| group["rules"].as_array().cloned().expect("rules")).collect()
}

fn text<'a>(rule: &'a Value, member: &str) -> &'a str {
    rule[member].as_str().unwrap_or_default()
}

/// The words of an expression that could be names of metrics: `app:tollgate_cost_usd:increase1h`, `tollgate_ttft_ms`.
fn metrics(expression: &str) -> BTreeSet<&str> {
    let part_of_name = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == ':';
    expression.split(|character| !part_of_name(character)).filter(|word| word.contains("tollgate_")).collect()
}

#[test]
fn promtool_accepts_the_configuration_and_every_rule() {
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["check", "rules", "rules.yml", "alerts.yml"]);
}

#[test]
fn recordings_and_alerts_say_what_their_tests_expect() {
    let said = promtool(&["test", "rules", "tests.yml", "trend-tests.yml"]);
    assert_eq!(said.matches("SUCCESS").count(), 2, "{said}");
}

#[test]
fn every_rule_asks_for_a_metric_that_tollgate_has_or_another_rule_records() {
    let (recording, alerting) = (rules("rules.yml"), rules("alerts.yml"));
    let recorded: BTreeSet<&str> = recording.iter().map(|rule| text(rule, "record")).collect();
    assert_eq!(recorded.len(), recording.len(), "a name is recorded twice");
    let mut asked = BTreeSet::new();
    for rule in recording.iter().chain(&alerting) {
        for name in metrics(text(rule, "expr")) {
            let scraped = metric::ALL.contains(&name);
            assert!(scraped || recorded.contains(name), "{name} is nowhere: {rule:#}");
            // Only the rules that give one name to a metric may know what gateways call it.
            let named = text(rule, "record").strip_prefix("gateway:").map(|name| name.trim_end_matches("_bucket"));
            assert_eq!(scraped, named == Some(name), "{rule:#}");
            asked.insert(name.to_owned());
        }
    }
    let shown = dashboards();
    let is_idle = |name: &&&str| name.starts_with("gateway:") && !asked.contains(**name) && !shown.contains(**name);
    let idle: Vec<_> = recorded.iter().filter(is_idle).collect();
    assert!(idle.is_empty(), "recorded, and used by no rule or dashboard: {idle:?}");
}

#[test]
fn rules_group_by_labels_that_tollgate_has() {
    let known: BTreeSet<&str> =
        label::ALL.into_iter().chain(Dimension::ALL.map(Dimension::name)).chain(["le", "instance"]).collect();
    let mut grouped = 0_usize;
    for rule in rules("rules.yml").iter().chain(&rules("alerts.yml")) {
        for list in text(rule, "expr").split("by (").skip(1).filter_map(|rest| rest.split(')').next()) {
            for name in list.split(',').map(str::trim) {
                assert!(known.contains(name), "`{name}` is no label: {rule:#}");
                grouped += 1;
            }
        }
    }
    assert!(grouped > 50, "only {grouped} labels found");
}

#[test]
fn every_alert_has_a_test_in_which_it_fires_and_says_what_to_do() {
    let fired: BTreeSet<String> = ["tests.yml", "trend-tests.yml"]
        .into_iter()
        .flat_map(|file| yaml(file)["tests"].as_array().cloned().expect("tests"))
        .flat_map(|test| test["alert_rule_test"].as_array().cloned().unwrap_or_default())
        .filter(|case| case["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()))
        .map(|case| text(&case, "alertname").to_owned())
        .collect();
    for rule in rules("alerts.yml") {
        assert!(fired.contains(text(&rule, "alert")), "no test fires {rule:#}");
        for annotation in ["summary", "description"] {
            assert!(!text(&rule["annotations"], annotation).is_empty(), "{rule:#}");
        }
    }
}

#[test]
fn the_breakers_of_the_example_are_the_ones_that_the_alert_knows() {
    let example = fs::read_to_string(artifact::root().join("examples/runaway-agents.json")).expect("the example");
    let example: Value = serde_json::from_str(&example).expect("JSON");
    let alerts = rules("alerts.yml");
    let alert = alerts.iter().find(|rule| rule["alert"] == "TollgateBreakerOpen").expect("the alert");
    let (_, rest) = text(alert, "expr").split_once("limit=~\"").expect("a list of limits");
    let known: Vec<&str> = rest.split('"').next().unwrap_or_default().split('|').collect();
    // A budget of each task is spent, not broken.
    for limit in example["limits"].as_array().expect("limits").iter().filter(|limit| limit["id"] != "task") {
        assert!(known.contains(&text(limit, "id")), "{limit:#} is missing in {known:?}");
    }
}
