//! `examples/observability.md` is true: each usual name has its row, and what a row names exists in code, rules, schema, queries.
//!
//! That spans carry the attributes is asserted in `filter/export.rs`, on spans of the filter.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use tollgate_core::names::metric;
use tollgate_core::schema;
use tollgate_host::artifact;

/// What people ask for: the metrics of a plan for observing LLM costs.
const ASKED: [&str; 22] = [
    "input_token_breakdown_ratio",
    "prompt_template_drift",
    "cache_hit_rate",
    "cache_miss_reason",
    "cache_savings_ratio",
    "routing_accuracy",
    "misrouting_rate",
    "retry_cost_from_misrouting",
    "router_overhead_ratio",
    "cost_per_app",
    "cost_per_user",
    "cost_per_task_type",
    "cost_per_accepted_outcome",
    "cost_trend_slope",
    "token_efficiency_ratio",
    "api_latency_p50",
    "api_latency_p95",
    "api_latency_p99",
    "error_rate",
    "retry_count",
    "fallback_rate",
    "rate_limit_utilization",
];

fn read(path: &str) -> String {
    fs::read_to_string(artifact::root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// The rows of the page's tables, by how many cells they have.
fn rows(cells: usize) -> Vec<Vec<String>> {
    let page = read("examples/observability.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>())
        .filter(|row| row.len() == cells)
        .collect()
}

/// What stands between backticks.
fn codes(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether the event's schema has a field at a path; `*` is any key.
fn has_field(root: &Value, schema: &Value, path: &[&str]) -> bool {
    let Some((name, rest)) = path.split_first() else { return true };
    let options = std::iter::once(schema).chain(schema["anyOf"].as_array().into_iter().flatten());
    options.into_iter().any(|option| {
        let option = option["$ref"].as_str().map_or(option, |name| &root["$defs"][name.trim_start_matches("#/$defs/")]);
        let next = if *name == "*" { &option["additionalProperties"] } else { &option["properties"][*name] };
        next.is_object() && has_field(root, next, rest)
    })
}

fn assert_event_has(cell: &str) {
    let root = schema::event_schema();
    for path in codes(cell) {
        assert!(has_field(&root, &root, &path.split('.').collect::<Vec<_>>()), "the event has no `{path}`");
    }
}

/// Every attribute that code names.
fn attributes() -> BTreeSet<String> {
    let names = read("plugin/core/src/names.rs");
    let (_, from_state) = names.split_once("pub mod state {").expect("values for spans");
    let spans = from_state.split("pub mod header").next().unwrap_or(from_state);
    spans.split(": &str = \"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

#[test]
fn every_name_that_is_asked_for_has_a_row_and_all_that_it_names_exists() {
    let rules = read("examples/prometheus/rules.yml");
    let recorded: BTreeSet<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).collect();
    let attributes = attributes();
    let rows = rows(5);
    let names: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(names, ASKED);
    for row in &rows {
        let [_, metrics, event, sql, span] = row.as_slice() else { panic!("{row:?}") };
        let named = codes(metrics).filter(|code| code.contains("tollgate_")).collect::<Vec<_>>();
        assert!(!named.is_empty(), "{row:?}");
        for name in named {
            assert!(recorded.contains(name) || metric::ALL.contains(&name), "{name} is nowhere: {row:?}");
        }
        assert_event_has(event);
        let mut query = String::new();
        for code in codes(sql) {
            if code.ends_with(".sql") {
                query = read(&format!("examples/sql/{code}"));
            } else {
                assert!(
                    query.contains(&format!("AS {code}")) || query.contains(&format!("AS {code},")),
                    "{code}: {row:?}"
                );
            }
        }
        codes(span).for_each(|name| assert!(attributes.contains(name), "no span has `{name}`: {row:?}"));
    }
}

#[test]
fn every_attribute_of_the_page_is_named_in_code_and_comes_from_the_event() {
    let attributes = attributes();
    let rows = rows(2);
    assert!(rows.len() > 20, "{rows:?}");
    for row in rows {
        codes(&row[0]).for_each(|name| assert!(attributes.contains(name), "no span has `{name}`"));
        assert_event_has(&row[1]);
    }
}
