//! `tollgate schema`: the JSON Schemas that the types generate, and what Kong makes of them.

use super::Done;
use tollgate_core::schema;
use tollgate_host::kong;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which.
    #[arg(value_enum, default_value = "config")]
    of: Of,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Of {
    /// The plugin configuration.
    Config,
    /// The event.
    Event,
    /// What Kong needs beside the filter: `tollgate.meta.json`.
    Kong,
}

pub(crate) fn run(arguments: &Arguments) -> Done {
    let schema = match arguments.of {
        Of::Config => schema::config_schema(),
        Of::Event => schema::event_schema(),
        Of::Kong => kong::meta(),
    };
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(())
}
