//! The queries of `examples/sql` in a real DuckDB and those of `examples/clickhouse` in a real ClickHouse, on events of the
//! filter: their sums are the events' own, to the last digit, at every level.
//!
//! Two logs: what a real Envoy writes of the demo's traffic, and four weeks of calls, one day in which a user spends too
//! much, as the filter logs them under a clock that tests can move.

mod database;
mod month;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;

use database::{Answers, Database};
use serde_json::{Value, json};
use tollgate_core::money::Usd;
use tollgate_core::schema;
use tollgate_host::artifact;
use tollgate_host::demo::{self, DemoOptions};

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

/// Asserts that a level of the drill-down says of every group what its events say.
fn assert_level(database: Database, level: &str, rows: &[Value], events: &[Value], columns: &[&str]) {
    let of_event = |event: &Value, column: &str| match column {
        "month" => json!(event["time"].as_str().expect("a time")[..7]),
        dimension => event["attribution"].get(dimension).cloned().unwrap_or(database.nothing()),
    };
    let mut groups: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for event in events {
        let key: Vec<Value> = columns.iter().map(|column| of_event(event, column)).collect();
        groups.entry(json!(key).to_string()).or_default().push(event);
    }
    assert_eq!(rows.len(), groups.len(), "{database:?} {level}");
    for row in rows {
        let key: Vec<&Value> = columns.iter().map(|column| &row[*column]).collect();
        let of = groups.get(&json!(key).to_string()).unwrap_or_else(|| panic!("{database:?} {level}: {row}"));
        assert_eq!(row["calls"].as_u64(), Some(of.len() as u64), "{database:?} {level}: {row}");
        for (column, field) in [("cost_usd", "/cost_usd"), ("cache_savings_usd", "/cache/savings_usd")] {
            assert_eq!(dollars(&row[column]), sum(of.iter().copied(), field), "{database:?} {level}: {row}");
        }
        for tokens in ["input_tokens", "output_tokens"] {
            let all: u64 = of.iter().filter_map(|event| event[tokens].as_u64()).sum();
            assert_eq!(row[tokens].as_u64().unwrap_or(0), all, "{database:?} {level}: {row}");
        }
        let unknown = of.iter().filter(|event| event["cost_usd"].is_null()).count();
        assert_eq!(row["calls_without_cost"], unknown, "{database:?} {level}: {row}");
    }
}

/// Asserts the same of every level.
fn assert_levels(database: Database, answers: &Answers, events: &[Value]) {
    for (level, columns) in [
        ("month", ["month"].as_slice()),
        ("app", &["app", "team"]),
        ("task", &["task_type", "task"]),
        ("session", &["session", "user"]),
    ] {
        assert_level(database, level, &answers[level], events, columns);
    }
    let calls = &answers["request"];
    assert_eq!(calls.len(), events.len(), "{database:?}");
    for event in events {
        let row = calls.iter().find(|row| row["id"] == event["id"]).expect("a row for each call");
        assert_eq!(dollars(&row["cost_usd"]), dollars(&event["cost_usd"]), "{database:?}");
        assert_eq!(row["cost_usd"].is_null(), event["cost_usd"].is_null(), "{database:?}");
        assert_eq!(dollars(&row["history_usd"]), sum([event], "/components/history/cost_usd"), "{database:?}");
    }
}

/// The row of all apps together.
fn all(trend: &[Value]) -> &Value {
    trend.iter().find(|row| row["app"] == "(all)").expect("a sum of all")
}

fn day(event: &Value) -> &str {
    &event["time"].as_str().expect("a time")[..10]
}

#[test]
fn every_query_on_the_demos_access_log_adds_up_to_its_events() {
    let wasm = Some(artifact::wasm().expect("filter"));
    let demo = demo::run(&DemoOptions { wasm, ..DemoOptions::default() }).unwrap_or_else(|error| panic!("{error}"));
    let cost = sum(&demo.events, "/cost_usd");
    assert!(cost > Usd::ZERO);
    for database in Database::ALL {
        let answers = database.ask(&demo.envoy.access_log_path(), &[], &database.queries());
        assert_levels(database, &answers, &demo.events);
        for app in answers["spenders"].iter().filter(|row| row["dimension"] == "app") {
            let of = demo.events.iter().filter(|event| event["attribution"]["app"] == app["name"]);
            assert_eq!(dollars(&app["cost_usd"]), sum(of, "/cost_usd"), "{database:?}");
        }
        assert_eq!(sum(&answers["cache"], "/savings_usd"), sum(&demo.events, "/cache/savings_usd"), "{database:?}");
        assert_eq!(dollars(&all(&answers["trend"])["cost_7d_usd"]), cost, "{database:?}");
        if database == Database::DuckDb {
            assert_eq!(sum(&answers["efficiency"], "/cost_usd"), cost);
            assert_eq!(count(&answers["unpriced"], "calls"), 1);
            assert_eq!(answers["focus-check"], Vec::<Value>::new());
        }
    }
}

#[test]
fn one_app_one_task_and_its_calls_are_a_few_words_away() {
    let events = month::events();
    let log = log_of(events);
    let of_app = |event: &&Value| event["attribution"]["app"] == "desk";
    let desk: Vec<Value> = events.iter().filter(of_app).cloned().collect();
    let refund: Vec<Value> = desk.iter().filter(|event| event["attribution"]["task"] == "refund-2").cloned().collect();
    assert!(refund.len() > 1);
    for database in Database::ALL {
        let found = database.ask_for(log.path(), &[("app", "desk"), ("task", "refund-2")], "request");
        assert_eq!(found.len(), refund.len(), "{database:?}: {found:#?}");
        assert_eq!(sum(&found, "/cost_usd"), sum(&refund, "/cost_usd"), "{database:?}");
    }
    let found = Database::DuckDb.ask_for(log.path(), &[("month", "2026-10"), ("app", "desk")], "task");
    let october = desk.iter().filter(|event| day(event).starts_with("2026-10"));
    assert_eq!(sum(&found, "/cost_usd"), sum(october, "/cost_usd"));
}

#[test]
fn four_weeks_of_events_add_up_at_every_level_and_an_event_that_comes_twice_counts_once() {
    let events = month::events();
    let twice: Vec<Value> = events.iter().chain(events.iter().take(50)).cloned().collect();
    let log = log_of(&twice);
    for database in Database::ALL {
        let answers = database.ask(log.path(), &[], &database.queries());
        assert_levels(database, &answers, events);
        assert_eq!((answers["month"].len(), answers["app"].len()), (2, 2), "{database:?}");
    }
}

#[test]
fn the_user_who_spent_too_much_is_found_and_nobody_else() {
    let log = log_of(month::events());
    for database in Database::ALL {
        let found = database.ask_for(log.path(), &[], "anomalies");
        let [found] = found.as_slice() else { panic!("{database:?}: {found:#?}") };
        assert_eq!((&found["user"], &found["day"]), (&json!(month::SPENDER), &json!(month::SPENDERS_DAY)));
        assert_eq!((&found["unusual_for_themselves"], &found["unusual_among_others"]), (&json!(true), &json!(true)));
        assert!(found["z_score"].as_f64().is_some_and(|score| score > 10.0), "{database:?}: {found:#}");
    }
}

#[test]
fn the_trend_is_the_slope_of_least_squares_over_the_last_seven_days() {
    let events = month::events();
    let log = log_of(events);
    let days: BTreeSet<&str> = events.iter().map(day).collect();
    let last: Vec<&str> = days.into_iter().rev().take(7).collect();
    let of_day = |wanted: &str| sum(events.iter().filter(|event| day(event) == wanted), "/cost_usd").femto();
    // Day numbers -3 to 3, so the slope is sum(day * cost) / sum(day * day), and the sum of squares is 28.
    let weighted: i128 = last.iter().zip(0_i128..).map(|(day, back)| (3 - back) * of_day(day)).sum();
    let expected = (weighted / 28) as f64 / 1e15;
    for database in Database::ALL {
        let found = database.ask_for(log.path(), &[], "trend");
        let all = all(&found);
        assert_eq!((&all["first_day"], &all["last_day"]), (&json!(last[6]), &json!(last[0])), "{database:?}");
        let slope = all["slope_usd_per_day"].as_f64().expect("a slope");
        assert!((slope - expected).abs() < 2e-9 && slope > 0.0, "{database:?}: {slope} and {expected}");
        let spent: i128 = last.iter().map(|day| of_day(day)).sum();
        assert_eq!(dollars(&all["cost_7d_usd"]).femto(), spent, "{database:?}");
    }
}

#[test]
fn the_cost_of_an_accepted_outcome_is_what_the_filter_says_it_is() {
    let events = month::events();
    let log = log_of(events);
    let last = events.iter().rev().find(|event| event["task_outcome"].is_object()).expect("a report");
    for database in Database::ALL {
        let found = database.ask_for(log.path(), &[], "outcomes");
        let [refunds] = found.as_slice() else { panic!("{database:?}: {found:#?}") };
        assert_eq!((&refunds["accepted"], &refunds["rejected"]), (&json!(2), &json!(1)), "{database:?}");
        assert_eq!(refunds["task_type"], "refund");
        let overhead = events.iter().filter(|event| event["routing"]["overhead"] == "router");
        assert_eq!(dollars(&refunds["overhead_usd"]), sum(overhead, "/cost_usd"), "{database:?}");
        let tasks = events.iter().filter(|event| event["attribution"]["task_type"] == "refund");
        assert_eq!(dollars(&refunds["cost_usd"]), sum(tasks, "/cost_usd"), "{database:?}");
        let told = dollars(&last["task_outcome"]["cost_per_accepted_usd"]).femto();
        assert!(dollars(&refunds["cost_per_accepted_usd"]).femto().abs_diff(told) <= 1, "{database:?}: {last:#}");
    }
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
    let answers = Database::DuckDb.ask(log.path(), &variables, &["focus", "focus-check", &rows]);
    assert_eq!(answers["focus-check"], Vec::<Value>::new());
    let rows = &answers["rows"];
    for (column, field) in
        [("/BilledCost", "/cost_usd"), ("/EffectiveCost", "/cost_usd"), ("/ListCost", "/list_cost_usd")]
    {
        assert_eq!(sum(rows, column), sum(events, field), "{column}");
    }
    assert_eq!(count(rows, "x_Calls"), events.len() as u64);
    assert!(rows.iter().all(|row| row["BillingAccountId"] == "org-1"));
    let answers = Database::DuckDb.ask(log.path(), &[], &["focus", &spoil, "focus-check"]);
    let found: BTreeSet<&str> = answers["focus-check"].iter().filter_map(|row| row["column"].as_str()).collect();
    let spoilt = ["BilledCost", "Calls", "ChargeCategory", "ListCost", "PricingUnit", "ProviderName", "SkuId"];
    assert_eq!(found, BTreeSet::from(spoilt), "{:#?}", answers["focus-check"]);
}

#[test]
fn both_databases_read_only_fields_that_the_event_has() {
    let schema = schema::event_schema();
    let fields = schema["properties"].as_object().expect("fields");
    let read = |database: Database, file: &str| fs::read_to_string(database.folder().join(file)).expect("a file");
    let view = read(Database::DuckDb, "events.sql");
    let (_, shape) = view.split_once("from_json(event, '").expect("a shape");
    let shape: Value = serde_json::from_str(shape.split('\'').next().unwrap_or_default()).expect("JSON");
    let table = read(Database::ClickHouse, "schema.sql");
    let extracted = table.split("(event, '").skip(1).filter_map(|rest| rest.split('\'').next());
    let read: BTreeSet<&str> = shape.as_object().expect("fields").keys().map(String::as_str).chain(extracted).collect();
    assert!(read.len() > 40, "{read:?}");
    for field in read {
        assert!(fields.contains_key(field), "`{field}` is no field of the event");
    }
}

#[test]
fn vector_writes_the_column_and_table_that_clickhouse_reads() {
    let read = |file: &str| fs::read_to_string(Database::ClickHouse.folder().join(file)).expect("a file");
    let vector: Value = serde_saphyr::from_str(&read("vector.yaml")).expect("YAML");
    let (remap, sink) = (&vector["transforms"]["events"], &vector["sinks"]["clickhouse"]);
    assert_eq!((&remap["inputs"], &sink["inputs"]), (&json!(["access_log"]), &json!(["events"])));
    assert!(vector["sources"]["access_log"].is_object());
    assert!(remap["source"].as_str().is_some_and(|program| program.contains(r#". = { "event": event }"#)));
    let table = format!("{}.{}", sink["database"].as_str().unwrap_or(""), sink["table"].as_str().unwrap_or(""));
    assert!(read("schema.sql").contains(&format!("CREATE TABLE IF NOT EXISTS {table} (event String)")), "{table}");
}
