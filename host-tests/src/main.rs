//! `tollgate`: the user's local laboratory.
//!
//! Must not know: how things are done; each command is a function of the library.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

mod cli;

/// Meters, explains and limits the cost of LLM calls: try it without a gateway.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a provider stand-in and a real Envoy with the filter, send agent traffic, print the bill.
    Demo(cli::demo::Arguments),
    /// Run recorded exchanges through the real filter and print one event each.
    #[cfg(feature = "simulation")]
    Replay(cli::replay::Arguments),
    /// Say what changed the cost from one period's events to the next: volume, caching, routing, trimming.
    Bill(cli::bill::Arguments),
    /// Serve the X-ray page, on a log of events if one is given.
    Page(cli::page::Arguments),
    /// Validate a configuration: every mistake with its path and a hint, else the effective configuration.
    Check(cli::check::Arguments),
    /// List the prices of a model, or all models.
    Prices(cli::prices::Arguments),
    /// Hold events against what providers export of usage and costs, and price them anew.
    Reconcile(cli::reconcile::Arguments),
    /// Print the JSON Schema of the configuration or of the event, or Kong's `tollgate.meta.json`.
    Schema(cli::schema::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Demo(arguments) => cli::demo::run(&arguments),
        #[cfg(feature = "simulation")]
        Command::Replay(arguments) => cli::replay::run(&arguments),
        Command::Bill(arguments) => cli::bill::run(&arguments),
        Command::Page(arguments) => cli::page::run(&arguments),
        Command::Check(arguments) => cli::check::run(&arguments),
        Command::Prices(arguments) => cli::prices::run(&arguments),
        Command::Reconcile(arguments) => cli::reconcile::run(&arguments),
        Command::Schema(arguments) => cli::schema::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tollgate: {error}");
            ExitCode::FAILURE
        }
    }
}
