//! `tollgate reconcile`: events against what providers export; other prices for the same calls.

use super::{Done, read_config};
use std::path::{Path, PathBuf};
use tollgate_core::config::Config;
use tollgate_host::reconcile::{Books, calls::Calls, export::Export, report};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What a provider exported: pages of OpenAI's usage and costs, or of Anthropic's usage and cost reports, as JSON.
    #[arg(long = "export", value_name = "FILE")]
    exports: Vec<PathBuf>,
    /// Price the same calls by the `prices` and `discounts` of this configuration, JSON or YAML; `{}` is today's list.
    #[arg(long, value_name = "CONFIG")]
    reprice: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Logs with events: an access log, or one event a line.
    #[arg(required = true)]
    logs: Vec<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Done {
    if arguments.exports.is_empty() && arguments.reprice.is_none() {
        return Err("nothing to compare with: name what the provider exported (--export), or prices (--reprice)".into());
    }
    let mut calls = Calls::default();
    for log in &arguments.logs {
        calls.read(&log.display().to_string(), &read(log)?)?;
    }
    let mut export = Export::default();
    for file in &arguments.exports {
        export.read(&file.display().to_string(), &read(file)?)?;
    }
    export.check_whole()?;
    let other = arguments.reprice.as_deref().map(prices).transpose()?;
    let books =
        Books { calls: &calls.calls, export: &export, other_prices: other.as_ref().map(|config| &config.prices) };
    let comparison = books.compare();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report::json(&comparison))?);
    } else {
        print!("{}", report::text(&comparison));
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))
}

fn prices(path: &Path) -> Result<Config, Box<dyn std::error::Error>> {
    let json = read_config(path)?;
    Config::parse(json.as_bytes()).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        format!("{}: {}", path.display(), errors.join("; ")).into()
    })
}
