//! `tollgate replay`: recorded exchanges through the real filter.

use super::{Done, read_config};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tollgate_core::money::Usd;
use tollgate_host::artifact;
use tollgate_host::gateway::{Filter, Profile};
use tollgate_host::recording::Recording;
use tollgate_host::replay::{Options, event_of, replay};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The plugin configuration, JSON or YAML.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The gateway whose behaviour is reproduced.
    #[arg(long, value_enum, default_value = "envoy")]
    host: Host,
    /// Bytes per piece in which bodies pass; 0 passes them whole.
    #[arg(long, default_value_t = 0)]
    chunk: usize,
    /// Print one JSON line per file instead of a table.
    #[arg(long)]
    json: bool,
    /// Files with recorded exchanges.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Host {
    Envoy,
    Kong,
    Apisix,
}

pub(crate) fn run(arguments: &Arguments) -> Done {
    let options = Options {
        profile: match arguments.host {
            Host::Envoy => Profile::Envoy,
            Host::Kong => Profile::Kong,
            Host::Apisix => Profile::Apisix,
        },
        config: arguments.config.as_deref().map_or_else(|| Ok("{}".to_owned()), read_config)?,
        chunk: arguments.chunk,
    };
    let filter = Filter::compile(&std::fs::read(artifact::wasm()?)?)?;
    let mut failed = 0_usize;
    let mut summary = Summary::default();
    for file in &arguments.files {
        let event = match Recording::read(file) {
            Ok(recording) => {
                let outcome = replay(&filter, &recording, &options)?;
                if let Some(trap) = &outcome.trap {
                    return Err(format!("{}: the filter trapped: {trap}", file.display()).into());
                }
                event_of(options.profile, &outcome)
                    .unwrap_or_else(|| json!({"outcome": "ignored", "reason": "not an LLM call that bills"}))
            }
            Err(error) => {
                failed = failed.saturating_add(1);
                eprintln!("tollgate: {error}");
                json!({"outcome": "unreadable", "reason": error.to_string()})
            }
        };
        if arguments.json {
            print_line(&file.display().to_string(), event);
        } else {
            println!("{}", line(&file.display().to_string(), &event));
            summary.add(&event);
        }
    }
    if !arguments.json {
        summary.print();
    }
    if failed > 0 { Err(format!("{failed} files could not be replayed").into()) } else { Ok(()) }
}

fn print_line(file: &str, mut event: Value) {
    if let Value::Object(fields) = &mut event {
        fields.insert("file".to_owned(), Value::String(file.to_owned()));
    }
    println!("{event}");
}

/// `null` and absent fields print as `unknown`, never as nothing or zero.
fn field(event: &Value, name: &str) -> String {
    match event.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "unknown".to_owned(),
        Some(value) => value.to_string(),
    }
}

fn line(file: &str, event: &Value) -> String {
    if event.get("schema").is_none() {
        return format!("{file}: {} ({})", field(event, "outcome"), field(event, "reason"));
    }
    format!(
        "{file}: {} {} {}, input {} (cached {}), output {}, usage {}, cost ${} ({})",
        field(event, "dialect"),
        field(event, "request_model"),
        field(event, "outcome"),
        field(event, "input_tokens"),
        field(event, "cache_read_tokens"),
        field(event, "output_tokens"),
        field(event, "usage_source"),
        field(event, "cost_usd"),
        field(event, "cost_source"),
    )
}

/// Totals by dialect.
#[derive(Default)]
struct Summary(BTreeMap<String, Totals>);

#[derive(Default)]
struct Totals {
    calls: u64,
    input: u64,
    output: u64,
    cost: Usd,
    without_cost: u64,
    unmetered: u64,
}

impl Summary {
    fn add(&mut self, event: &Value) {
        let dialect = event.get("dialect").map_or_else(|| field(event, "outcome"), |_| field(event, "dialect"));
        let totals = self.0.entry(dialect).or_default();
        let count = |name: &str| event.get(name).and_then(Value::as_u64).unwrap_or(0);
        totals.calls = totals.calls.saturating_add(1);
        totals.input = totals.input.saturating_add(count("input_tokens"));
        totals.output = totals.output.saturating_add(count("output_tokens"));
        match Usd::parse(&field(event, "cost_usd")) {
            Ok(cost) => totals.cost = totals.cost.plus(cost),
            Err(_) => totals.without_cost = totals.without_cost.saturating_add(1),
        }
        let is_unmetered = event.get("unmetered_reason").is_some_and(Value::is_string);
        totals.unmetered = totals.unmetered.saturating_add(u64::from(is_unmetered));
    }

    fn print(&self) {
        println!();
        println!(
            "{:<22}{:>7}{:>14}{:>12}{:>16}{:>14}{:>11}",
            "dialect", "calls", "input", "output", "cost $", "no cost", "unmetered"
        );
        for (dialect, totals) in &self.0 {
            println!(
                "{dialect:<22}{:>7}{:>14}{:>12}{:>16}{:>14}{:>11}",
                totals.calls,
                totals.input,
                totals.output,
                totals.cost.to_string(),
                totals.without_cost,
                totals.unmetered
            );
        }
    }
}
