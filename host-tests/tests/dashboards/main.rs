//! The dashboards of `examples/grafana` and the rules of `examples/prometheus` on a real Prometheus that scrapes a real Envoy
//! after the demo's traffic, and a Kong: every panel asks for something that is there, and the numbers are the events'.

mod kong;
mod server;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use server::Prometheus;
use tollgate_core::money::Usd;
use tollgate_host::agent::day;
use tollgate_host::demo::{self, Demo, DemoOptions};
use tollgate_host::loopback::{Reply, Server};
use tollgate_host::{artifact, envoy, wait};

/// Scrapes and rules follow one another each second; a loaded machine gets more.
const SOON: Duration = Duration::from_secs(60);
const HOUR: u64 = 3_600;
const HISTORY_HOURS: u64 = 9 * 24;

fn folder() -> PathBuf {
    artifact::root().join("examples/grafana")
}

/// Every dashboard, by its file's name.
fn dashboards() -> Vec<(String, Value)> {
    let files = fs::read_dir(folder().join("dashboards")).expect("dashboards");
    let mut found: Vec<(String, Value)> = files
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let text = fs::read_to_string(&path).expect("text");
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, serde_json::from_str(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display())))
        })
        .collect();
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found
}

fn members<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// Every query of every panel, as `file: panel` and expression, with all of each variable chosen.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in members(&dashboard, "panels").iter().filter(|panel| panel["type"] != "row") {
            let targets = members(panel, "targets");
            assert!(!targets.is_empty(), "{file}: {panel:#}");
            for target in targets {
                let mut expression = target["expr"].as_str().expect("an expression").to_owned();
                for variable in members(&dashboard["templating"], "list").iter().filter(|one| one["type"] == "query") {
                    let name = format!("${}", variable["name"].as_str().expect("a name"));
                    expression = expression.replace(&name, variable["allValue"].as_str().expect("a pattern"));
                }
                assert!(!expression.contains('$'), "{file}: {expression} has a variable that the dashboard lacks");
                queries.push((format!("{file}: {}", panel["title"]), expression));
            }
        }
    }
    queries
}

/// The demo, with budgets and everything else that dashboards can show.
fn demonstrate() -> Demo {
    let mut options = DemoOptions { wasm: Some(artifact::wasm().expect("filter")), ..DemoOptions::default() };
    options.configuration["metrics"] = json!({"labels": ["app", "team", "user", "task_type"]});
    let limits = options.configuration["limits"].as_array_mut().expect("limits");
    limits.push(json!({"id": "team-month", "measure": "cost_usd", "per": "month", "key": ["team"], "limit": "0.10", "action": "observe"}));
    demo::run(&options).unwrap_or_else(|error| panic!("{error}"))
}

/// Dollars that an app spent in an hour of the history: a cent more from day to day.
fn spent(hour: u64) -> f64 {
    (100.0 + hour as f64) / 2_400.0
}

/// What Prometheus recorded in the days before: a steady rise, and three results of tasks an hour.
fn history(now: u64) -> String {
    let last = now / HOUR;
    let mut text = String::new();
    let hours: Vec<(u64, u64)> = (0..=HISTORY_HOURS).map(|hour| (hour, (last - HISTORY_HOURS + hour) * HOUR)).collect();
    for (name, labels) in [("total", ""), ("app", "app=\"ledgerline\"")] {
        for (suffix, hours_back) in [("increase1h", 1), ("increase1d", 24)] {
            for (hour, time) in hours.iter().filter(|(hour, _)| *hour >= hours_back) {
                let amount: f64 = (0..hours_back).map(|back| spent(hour - back)).sum();
                let _ = writeln!(text, "{name}:tollgate_cost_usd:{suffix}{{{labels}}} {amount} {time}");
            }
        }
    }
    let labels = "app=\"ledgerline\",team=\"finance\",task_type=\"margin-analysis\",result=\"accepted\"";
    for (name, amount) in [("tollgate_task_outcomes", "3"), ("tollgate_task_outcome_cost_usd", "1.5")] {
        for (_, time) in &hours {
            let _ = writeln!(text, "labels:{name}:increase1h{{{labels}}} {amount} {time}");
        }
    }
    text + "# EOF\n"
}

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs()
}

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().expect("an address")
}

fn close(found: Option<f64>, expected: f64) -> bool {
    found.is_some_and(|found| (found - expected).abs() < 1e-6)
}

fn dollars(events: &[Value]) -> f64 {
    let cost =
        |event: &Value| event["cost_usd"].as_str().map_or(Usd::ZERO, |text| Usd::parse(text).expect("an amount"));
    events.iter().fold(Usd::ZERO, |sum, event| sum.plus(cost(event))).femto() as f64 / 1e15
}

#[test]
fn every_panel_shows_something_of_a_real_envoy_and_a_kong_and_the_sums_are_the_events() {
    let demo = demonstrate();
    let gateway = kong::gateway();
    kong::round(&gateway, "t-1");
    let shown = Arc::new(Mutex::new(kong::exposition(&gateway)));
    let page = Arc::clone(&shown);
    let read = move || page.lock().expect("a page").clone();
    let kong = Server::start(move |_| Reply::whole(200, "text/plain; version=0.0.4", read())).expect("a port");
    let jobs = [("envoy", address(demo.envoy.admin_url())), ("kong", kong.address())];
    let prometheus = Prometheus::start(&history(now()), &jobs);

    // Traffic goes on while Prometheus looks, so that there is something that rises.
    let scraped = |job: &str| prometheus.number(&format!("count(gateway:tollgate_requests_total{{job=\"{job}\"}})"));
    let all_scraped = wait::until(SOON, || (scraped("envoy").is_some() && scraped("kong").is_some()).then_some(()));
    assert!(all_scraped.is_some(), "{:#}", prometheus.get("/api/v1/targets", &[]));
    let mut sent = demo.requests;
    for errand in day::errands() {
        errand.send(demo.envoy.url()).expect("an answer");
        sent += 1;
    }
    kong::round(&gateway, "t-2");
    *shown.lock().expect("a page") = kong::exposition(&gateway);
    let log = demo.envoy.wait_for_access_log(sent, SOON);
    let events: Vec<Value> = log.iter().filter_map(envoy::event).collect();
    let dollars = dollars(&events);
    let kongs = || prometheus.number(r#"sum(gateway:tollgate_requests_total{job="kong"})"#);
    let envoys = || prometheus.number(r#"sum(gateway:tollgate_cost_nanousd_total{job="envoy"}) / 1e9"#);
    let is_seen = || kongs() == Some(2.0 * kong::CALLS as f64) && close(envoys(), dollars);
    assert!(wait::until(SOON, || is_seen().then_some(())).is_some(), "{:?} {:?} {dollars}", kongs(), envoys());

    let mut empty = queries();
    assert!(empty.len() > 60, "only {} queries", empty.len());
    let shows = |expression: &str| prometheus.query(expression).iter().any(|sample| sample["value"][1] != "NaN");
    let all_show = wait::until(SOON, || {
        empty.retain(|(_, expression)| !shows(expression));
        empty.is_empty().then_some(())
    });
    assert!(all_show.is_some(), "these panels stay empty: {empty:#?}");

    // What rules make of a scrape is there an evaluation or two later.
    let becomes = |expression: &str, is_right: &dyn Fn(f64) -> bool| {
        let found = || prometheus.number(expression);
        let is_there = wait::until(SOON, || found().is_some_and(is_right).then_some(()));
        assert!(is_there.is_some(), "{expression} is {:?}, of {dollars}", found());
    };
    becomes(r#"sum(labels:tollgate_cost_usd:increase1h{team!="care"})"#, &|found| close(Some(found), dollars));
    // Kong's calls took 300 milliseconds, which its bins put between 256 and 512.
    becomes(r#"model:tollgate_duration_ms:p95_1h{model="gpt-4o"}"#, &|found| (256.0..=512.0).contains(&found));
    // A cent more from day to day, and half a dollar for each accepted outcome.
    becomes(r#"app:tollgate_cost_usd:slope7d{app="ledgerline"}"#, &|found| (found - 0.24).abs() < 0.01);
    becomes(r#"app:tollgate_cost_per_accepted_usd:ratio1d{app="ledgerline"}"#, &|found| close(Some(found), 0.5));

    let rules = || {
        let groups = prometheus.get("/api/v1/rules", &[]);
        members(&groups["data"], "groups").iter().flat_map(|group| members(group, "rules")).cloned().collect()
    };
    let mut ill: Vec<Value> = rules();
    assert!(ill.len() > 100, "{}", ill.len());
    let all_well = wait::until(SOON, || {
        ill = rules();
        ill.retain(|rule| rule["health"] != "ok");
        ill.is_empty().then_some(())
    });
    assert!(all_well.is_some(), "{ill:#?}");
}

#[test]
fn dashboards_ask_only_for_what_rules_record() {
    let rules = fs::read_to_string(artifact::root().join("examples/prometheus/rules.yml")).expect("rules");
    let recorded: BTreeSet<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).collect();
    for (place, expression) in queries() {
        let part_of_name = |character: char| character.is_ascii_alphanumeric() || "_:".contains(character);
        let names = expression.split(|character| !part_of_name(character)).filter(|word| word.contains("tollgate_"));
        for name in names {
            assert!(recorded.contains(name), "{place} asks for {name}, which no rule records");
        }
    }
}

#[test]
fn dashboards_have_names_of_their_own_say_what_they_show_and_take_any_data_source() {
    let dashboards = dashboards();
    let uids: BTreeSet<&str> = dashboards.iter().filter_map(|(_, dashboard)| dashboard["uid"].as_str()).collect();
    assert_eq!((uids.len(), dashboards.len()), (5, 5));
    for (file, dashboard) in &dashboards {
        assert!(dashboard["description"].as_str().is_some_and(|text| !text.is_empty()), "{file}");
        let ids: BTreeSet<u64> = members(dashboard, "panels").iter().filter_map(|panel| panel["id"].as_u64()).collect();
        assert_eq!(ids.len(), members(dashboard, "panels").len(), "{file}: panels share an id");
        for panel in members(dashboard, "panels").iter().filter(|panel| panel["type"] != "row") {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{file}: {panel:#}");
        }
    }
    for file in ["datasources/prometheus.yaml", "dashboards/tollgate.yaml"] {
        let text = fs::read_to_string(folder().join("provisioning").join(file)).expect("provisioning");
        let provisioning: Value = serde_saphyr::from_str(&text).unwrap_or_else(|why| panic!("{file}: {why}"));
        assert_eq!(provisioning["apiVersion"], 1, "{file}");
    }
}
