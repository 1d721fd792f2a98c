//! A Kong with the filter, on wasmtime, and what its Prometheus plugin shows.
//!
//! The text is what Kong 3.9's `wasmx.lua` makes of WasmX's metrics: `pw_<filter>_` in front, labels cut out of the name by
//! `label_patterns`, colons in names as `_`, and histograms with bins at powers of two that appear when they are needed and
//! are called like the histogram itself (seen in Kong 3.9.1).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::json;
use tollgate_host::artifact;
use tollgate_host::gateway::{Filter, Gateway, Metric, MetricKind, Profile, RequestHead, ResponseHead};
use tollgate_host::{kong, replay};

/// Calls of a [`round`].
pub const CALLS: u64 = 5;

/// A gateway with the filter.
pub fn gateway() -> Gateway {
    let filter = Filter::compile(&std::fs::read(artifact::wasm().expect("the filter builds")).expect("it is there"));
    let config = json!({
        "shared_data": "on",
        "metrics": {"labels": ["app", "team", "user", "task_type"]},
        "routing": {"alternatives": ["gpt-4.1-nano"]},
        "monthly_costs": [{"item": "evaluations", "usd": 250}]
    });
    let settings = replay::settings(Profile::Kong, &config.to_string());
    Gateway::start(&filter.expect("it compiles"), settings).expect("it starts")
}

/// Calls of one task: a router's call, a wrong route that is made again on a dearer model, another model's answer, and a report.
pub fn round(gateway: &Gateway, task: &str) {
    let call = |asked, answers, more| call(gateway, task, asked, answers, more);
    call("gpt-4.1-nano", "gpt-4.1-nano", ("overhead", "router"));
    call("gpt-4o-mini", "gpt-4o-mini", ("route-selected", "gpt-4o-mini"));
    call("gpt-4o", "gpt-4o", ("route-selected", "gpt-4o"));
    call("gpt-4o", "gpt-4o-mini", ("feature", "letters"));
    call("gpt-4o-mini", "gpt-4o-mini", ("outcome", "accepted"));
}

fn call(gateway: &Gateway, task: &str, asked: &str, answers: &str, more: (&str, &str)) {
    let head = RequestHead::post_json("api.openai.com", "/v1/chat/completions");
    let labels = [("app", "refunds"), ("team", "care"), ("user", "u-1"), ("task", task), ("task-type", "refund"), more];
    let head = labels.iter().fold(head, |head, (name, value)| head.header(&format!("x-tollgate-{name}"), value));
    let request = json!({"model": asked, "messages": [{"role": "user", "content": "May I have my money back?"}]});
    let answer = json!({
        "model": answers, "choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 4}
    })
    .to_string();
    let stream = gateway.worker(0).open(head);
    stream.request_body(request.to_string().as_bytes(), true);
    let head = ResponseHead::json(200, answer.len())
        .header("x-ratelimit-limit-requests", "100")
        .header("x-ratelimit-remaining-requests", "25");
    gateway.advance(std::time::Duration::from_millis(300));
    stream.respond(head).response_body(answer, true);
    assert_eq!(stream.finish().status(), 200);
}

/// `/metrics` of a Kong with these metrics.
pub fn exposition(gateway: &Gateway) -> String {
    let metrics = gateway.metrics();
    let meta = kong::meta();
    let patterns = meta["metrics"]["label_patterns"].as_array().expect("patterns");
    let labels: Vec<&str> = patterns.iter().map(|pattern| pattern["label"].as_str().expect("a label")).collect();
    let mut by_name: BTreeMap<String, Vec<(String, &Metric)>> = BTreeMap::new();
    for (key, metric) in metrics.iter() {
        let (name, shown) = parsed(&format!("pw:tollgate:{key}"), &labels);
        by_name.entry(name).or_default().push((shown, metric));
    }
    by_name.iter().fold(String::new(), |mut text, (name, series)| {
        let kind = match series.first().map(|(_, metric)| metric.kind) {
            Some(MetricKind::Histogram) => "histogram",
            Some(MetricKind::Gauge) => "gauge",
            _ => "counter",
        };
        let _ = writeln!(text, "# HELP {name}\n# TYPE {name} {kind}");
        series.iter().for_each(|(labels, metric)| text.push_str(&samples(name, labels, metric)));
        text
    })
}

/// Name and labels of a key.
fn parsed(key: &str, labels: &[&str]) -> (String, String) {
    let found: Vec<(usize, String)> = labels
        .iter()
        .filter_map(|label| {
            let at = key.find(&format!(";{label}="))?;
            let value = key[at..].split_once('=').map_or("", |(_, rest)| rest.split(';').next().unwrap_or(rest));
            Some((at, format!("{label}=\"{value}\"")))
        })
        .collect();
    let end = found.iter().map(|(at, _)| *at).min().unwrap_or(key.len());
    let shown: Vec<&str> = found.iter().map(|(_, label)| label.as_str()).collect();
    (key[..end].replace(':', "_"), shown.join(","))
}

fn samples(name: &str, labels: &str, metric: &Metric) -> String {
    if metric.kind != MetricKind::Histogram {
        return format!("{name}{{{labels}}} {}\n", metric.value);
    }
    // WasmX: a bin ends at the power of two that its value does not exceed.
    let bins: BTreeSet<u64> = metric.recorded.iter().map(|value| value.next_power_of_two()).collect();
    let comma = if labels.is_empty() { "" } else { "," };
    let mut text = String::new();
    for bin in bins {
        let count = metric.recorded.iter().filter(|value| **value <= bin).count();
        let _ = writeln!(text, "{name}{{{labels}{comma}le=\"{bin}\"}} {count}");
    }
    let (count, sum) = (metric.recorded.len(), metric.recorded.iter().sum::<u64>());
    let _ = writeln!(text, "{name}{{{labels}{comma}le=\"+Inf\"}} {count}");
    let _ = writeln!(text, "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {count}");
    text
}
