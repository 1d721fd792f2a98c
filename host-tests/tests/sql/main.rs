//! The queries of `examples/sql` in a real DuckDB, on events of the filter: their sums are the events' own, to the last
//! digit, at every level.
//!
//! Two logs: what a real Envoy writes of the demo's traffic, and four weeks of calls, one day in which a user spends too
//! much, as the filter logs them under a clock that tests can move.

mod month;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tollgate_core::money::Usd;
use tollgate_core::schema;
use tollgate_host::artifact;
use tollgate_host::demo::{self, DemoOptions};

/// What queries answered, by the file's name without its ending.
type Answers = BTreeMap<String, Vec<Value>>;

fn folder() -> PathBuf {
    artifact::root().join("examples/sql")
}

/// Every query, after the views that it reads.
fn queries() -> Vec<String> {
    let views = ["events", "focus"];
    let names = fs::read_dir(folder()).expect("the queries").map(|entry| entry.expect("an entry").path());
    let mut names: Vec<String> = names
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .filter(|name| !views.contains(&name.as_str()))
        .collect();
    names.sort();
    views.into_iter().map(str::to_owned).chain(names).collect()
}

/// Runs files of `examples/sql` on a log, with these variables set.
fn ask(log: &Path, variables: &[(&str, &str)], files: &[String]) -> Answers {
    let python = run(&mut Command::new(artifact::root().join("scripts/sql-venv")));
    let mut command = Command::new(python.trim());
    command.arg(artifact::root().join("host-tests/tests/sql/run.py")).arg(log);
    command.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
    command.args(files.iter().map(|file| folder().join(file).with_extension("sql")));
    serde_json::from_str(&run(&mut command)).expect("answers")
}

fn ask_for(log: &Path, variables: &[(&str, &str)], file: &str) -> Vec<Value> {
    let mut answers = ask(log, variables, &["events".to_owned(), file.to_owned()]);
    answers.remove(file).expect("an answer")
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("the command starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A log of plain events.
fn log_of(events: &[Value]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    events.iter().for_each(|event| writeln!(file, "{event}").expect("it is written"));
    file
}

/// A decimal's amount; nothing where it is not known.
fn dollars(value: &Value) -> Usd {
    value.as_str().map_or(Usd::ZERO, |text| Usd::parse(text).unwrap_or_else(|why| panic!("{why}")))
}

/// The exact sum of a field over rows or events.
fn sum<'a>(rows: impl IntoIterator<Item = &'a Value>, pointer: &str) -> Usd {
    rows.into_iter().filter_map(|row| row.pointer(pointer)).fold(Usd::ZERO, |sum, amount| sum.plus(dollars(amount)))
}

fn count(rows: &[Value], field: &str) -> u64 {
    rows.iter().filter_map(|row| row[field].as_u64()).sum()
}

/// Asserts that a level of the drill-down says the same of every group as its events do.
fn assert_level(level: &str, rows: &[Value], events: &[Value], key: impl Fn(&Value) -> Vec<Value>, columns: &[&str]) {
    let mut groups: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for event in events {
        groups.entry(json!(key(event)).to_string()).or_default().push(event);
    }
    let found: BTreeSet<String> = rows
        .iter()
        .map(|row| json!(columns.iter().map(|column| &row[*column]).collect::<Vec<_>>()).to_string())
        .collect();
    assert_eq!(found, groups.keys().cloned().collect(), "{level}");
    for row in rows {
        let of = &groups[&json!(columns.iter().map(|column| &row[*column]).collect::<Vec<_>>()).to_string()];
        assert_eq!(row["calls"].as_u64(), Some(of.len() as u64), "{level}: {row}");
        assert_eq!(dollars(&row["cost_usd"]), sum(of.iter().copied(), "/cost_usd"), "{level}: {row}");
        assert_eq!(dollars(&row["cache_savings_usd"]), sum(of.iter().copied(), "/cache/savings_usd"), "{level}: {row}");
        for tokens in ["input_tokens", "output_tokens"] {
            let all: u64 = of.iter().filter_map(|event| event[tokens].as_u64()).sum();
            assert_eq!(row[tokens].as_u64().unwrap_or(0), all, "{level}: {row}");
        }
        let unknown = of.iter().filter(|event| event["cost_usd"].is_null()).count();
        assert_eq!(row["calls_without_cost"], unknown, "{level}: {row}");
    }
}

fn assert_levels(answers: &Answers, events: &[Value]) {
    let of = |event: &Value, dimension: &str| event["attribution"].get(dimension).cloned().unwrap_or(Value::Null);
    let month = |event: &Value| vec![json!(event["time"].as_str().expect("a time")[..7])];
    assert_level("month", &answers["month"], events, month, &["month"]);
    let app = |event: &Value| vec![of(event, "app"), of(event, "team")];
    assert_level("app", &answers["app"], events, app, &["app", "team"]);
    let task = |event: &Value| vec![of(event, "task_type"), of(event, "task")];
    assert_level("task", &answers["task"], events, task, &["task_type", "task"]);
    let session = |event: &Value| vec![of(event, "session"), of(event, "user")];
    assert_level("session", &answers["session"], events, session, &["session", "user"]);
    let calls = &answers["request"];
    assert_eq!(calls.len(), events.len());
    for event in events {
        let row = calls.iter().find(|row| row["id"] == event["id"]).expect("a row for each call");
        assert_eq!(dollars(&row["cost_usd"]), dollars(&event["cost_usd"]));
        assert_eq!(row["cost_usd"].is_null(), event["cost_usd"].is_null());
        assert_eq!(dollars(&row["history_usd"]), sum([event], "/components/history/cost_usd"));
    }
}

#[test]
fn every_query_on_the_demos_access_log_adds_up_to_its_events() {
    let wasm = Some(artifact::wasm().expect("filter"));
    let demo = demo::run(&DemoOptions { wasm, ..DemoOptions::default() }).unwrap_or_else(|error| panic!("{error}"));
    let answers = ask(&demo.envoy.access_log_path(), &[], &queries());
    let cost = sum(&demo.events, "/cost_usd");
    assert!(cost > Usd::ZERO);
    assert_levels(&answers, &demo.events);
    for app in answers["spenders"].iter().filter(|row| row["dimension"] == "app") {
        let of = demo.events.iter().filter(|event| event["attribution"]["app"] == app["name"]);
        assert_eq!(dollars(&app["cost_usd"]), sum(of, "/cost_usd"));
    }
    assert_eq!(sum(&answers["cache"], "/savings_usd"), sum(&demo.events, "/cache/savings_usd"));
    assert_eq!(sum(&answers["efficiency"], "/cost_usd"), cost);
    assert_eq!(count(&answers["unpriced"], "calls"), 1);
    let all = answers["trend"].iter().find(|row| row["app"] == "(all)").expect("a sum of all");
    assert_eq!(dollars(&all["cost_7d_usd"]), cost);
    assert_eq!(answers["focus-check"], Vec::<Value>::new());
}

#[test]
fn variables_drill_down_to_one_app_one_task_and_its_calls() {
    let events = month::events();
    let log = log_of(events);
    let of_app = |event: &&Value| event["attribution"]["app"] == "desk";
    let desk: Vec<Value> = events.iter().filter(of_app).cloned().collect();
    let found = ask_for(log.path(), &[("month", "2026-10"), ("app", "desk")], "task");
    let october = desk.iter().filter(|event| event["time"].as_str().expect("a time").starts_with("2026-10"));
    assert_eq!(sum(&found, "/cost_usd"), sum(october, "/cost_usd"));
    let found = ask_for(log.path(), &[("app", "desk"), ("task", "refund-2")], "request");
    let task: Vec<Value> = desk.into_iter().filter(|event| event["attribution"]["task"] == "refund-2").collect();
    assert!(found.len() > 1 && found.len() == task.len(), "{found:#?}");
    assert_eq!(sum(&found, "/cost_usd"), sum(&task, "/cost_usd"));
}

#[test]
fn four_weeks_of_events_add_up_at_every_level_and_an_event_that_comes_twice_counts_once() {
    let events = month::events();
    let twice: Vec<Value> = events.iter().chain(events.iter().take(50)).cloned().collect();
    let log = log_of(&twice);
    let answers = ask(log.path(), &[], &queries());
    assert_levels(&answers, events);
    assert!(answers["month"].len() == 2 && answers["app"].len() == 2, "{:#?}", answers["month"]);
}

#[test]
fn the_user_who_spent_too_much_is_found_and_nobody_else() {
    let log = log_of(month::events());
    let found = ask_for(log.path(), &[], "anomalies");
    let [found] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((&found["user"], &found["day"]), (&json!(month::SPENDER), &json!(month::SPENDERS_DAY)), "{found:#}");
    assert_eq!((&found["unusual_for_themselves"], &found["unusual_among_others"]), (&json!(true), &json!(true)));
    assert!(found["z_score"].as_f64().is_some_and(|score| score > 10.0), "{found:#}");
}

#[test]
fn the_trend_is_the_slope_of_least_squares_over_the_last_seven_days() {
    let events = month::events();
    let log = log_of(events);
    let found = ask_for(log.path(), &[], "trend");
    let all = found.iter().find(|row| row["app"] == "(all)").expect("a sum of all");
    let days: BTreeSet<&str> = events.iter().map(|event| &event["time"].as_str().expect("a time")[..10]).collect();
    let last: Vec<&str> = days.into_iter().rev().take(7).collect();
    assert_eq!((&all["first_day"], &all["last_day"]), (&json!(last[6]), &json!(last[0])));
    // Day numbers -3 to 3, so the slope is sum(day * cost) / sum(day * day), in femtodollars per 28 days.
    let of_day = |day: &str| {
        sum(events.iter().filter(|event| event["time"].as_str().expect("a time").starts_with(day)), "/cost_usd").femto()
    };
    let weighted: i128 = last.iter().zip(0_i128..).map(|(day, back)| (3 - back) * of_day(day)).sum();
    let expected = (weighted / 28) as f64 / 1e15;
    let slope = all["slope_usd_per_day"].as_f64().expect("a slope");
    assert!((slope - expected).abs() < 2e-9 && slope > 0.0, "{slope} and {expected}");
    assert_eq!(dollars(&all["cost_7d_usd"]).femto(), last.iter().map(|day| of_day(day)).sum::<i128>());
}

#[test]
fn the_cost_of_an_accepted_outcome_is_what_the_filter_says_it_is() {
    let events = month::events();
    let log = log_of(events);
    let found = ask_for(log.path(), &[], "outcomes");
    let [refunds] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((&refunds["accepted"], &refunds["rejected"]), (&json!(2), &json!(1)));
    let last = events.iter().rev().find(|event| event["task_outcome"].is_object()).expect("a report");
    assert_eq!(refunds["task_type"], "refund");
    let overhead = events.iter().filter(|event| event["routing"]["overhead"] == "router");
    assert_eq!(dollars(&refunds["overhead_usd"]), sum(overhead, "/cost_usd"));
    let tasks = events.iter().filter(|event| event["attribution"]["task_type"] == "refund");
    assert_eq!(dollars(&refunds["cost_usd"]), sum(tasks, "/cost_usd"));
    assert_eq!(refunds["cost_per_accepted_usd"], last["task_outcome"]["cost_per_accepted_usd"], "{last:#}");
}

#[test]
fn the_focus_dataset_conforms_adds_up_and_its_check_finds_what_does_not() {
    let events = month::events();
    let log = log_of(events);
    let dump = tempfile::tempdir().expect("a folder");
    let save = |name: &str, sql: &str| {
        let path = dump.path().join(name).with_extension("sql");
        fs::write(&path, sql).expect("it is written");
        path.with_extension("").display().to_string()
    };
    let rows = save("rows", "SELECT * FROM focus");
    let spoil = save(
        "spoil",
        "CREATE TABLE spoilt AS SELECT * EXCLUDE (ListCost) REPLACE ('Fee' AS ChargeCategory, NULL AS SkuId, \
         CAST(BilledCost AS DOUBLE) AS BilledCost, CAST(NULL AS VARCHAR) AS ProviderName, \
         CAST(NULL AS VARCHAR) AS PricingUnit) RENAME (x_Calls AS Calls) FROM focus; \
         DROP VIEW focus; ALTER TABLE spoilt RENAME TO focus",
    );
    let variables = [("billing_account", "org-1")];
    let files = ["events", "focus", "focus-check", &rows].map(str::to_owned);
    let answers = ask(log.path(), &variables, &files);
    assert_eq!(answers["focus-check"], Vec::<Value>::new());
    let rows = &answers["rows"];
    for (column, field) in
        [("/BilledCost", "/cost_usd"), ("/EffectiveCost", "/cost_usd"), ("/ListCost", "/list_cost_usd")]
    {
        assert_eq!(sum(rows, column), sum(events, field), "{column}");
    }
    assert_eq!(count(rows, "x_Calls"), events.len() as u64);
    assert!(rows.iter().all(|row| row["BillingAccountId"] == "org-1"));
    let answers = ask(log.path(), &[], &["events", "focus", &spoil, "focus-check"].map(str::to_owned));
    let found: BTreeSet<&str> = answers["focus-check"].iter().filter_map(|row| row["column"].as_str()).collect();
    let spoilt = ["BilledCost", "Calls", "ChargeCategory", "ListCost", "PricingUnit", "ProviderName", "SkuId"];
    assert_eq!(found, BTreeSet::from(spoilt), "{:#?}", answers["focus-check"]);
}

#[test]
fn the_view_reads_only_fields_that_the_event_has() {
    let view = fs::read_to_string(folder().join("events.sql")).expect("the view");
    let (_, shape) = view.split_once("from_json(event, '").expect("a shape");
    let shape: Value = serde_json::from_str(shape.split('\'').next().unwrap_or_default()).expect("JSON");
    let schema = schema::event_schema();
    let fields = schema["properties"].as_object().expect("fields");
    for field in shape.as_object().expect("fields").keys() {
        assert!(fields.contains_key(field), "`{field}` is no field of the event");
    }
}
