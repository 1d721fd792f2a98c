//! `tollgate check`: validates a configuration; warns of what is valid and likely not meant.

use super::{Done, read_config};
use std::path::PathBuf;
use tollgate_core::config::Config;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The plugin configuration, JSON or YAML.
    config: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Done {
    let json = read_config(&arguments.config)?;
    match Config::effective(json.as_bytes()) {
        Ok(effective) => {
            println!("{}", serde_json::to_string_pretty(&effective)?);
            let warnings = Config::parse(json.as_bytes()).map(|config| config.warnings()).unwrap_or_default();
            warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
            Ok(())
        }
        Err(errors) => {
            for error in &errors {
                println!("{error}");
            }
            let mistakes = if errors.len() == 1 { "mistake" } else { "mistakes" };
            Err(format!("{}: {} {mistakes}", arguments.config.display(), errors.len()).into())
        }
    }
}
