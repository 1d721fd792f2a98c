//! The commands of the `tollgate` program: arguments in, text out.
//!
//! Must not know: how a gateway or the filter works.

pub(crate) mod bill;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod page;
pub(crate) mod prices;
pub(crate) mod reconcile;
#[cfg(feature = "simulation")]
pub(crate) mod replay;
pub(crate) mod schema;

use std::error::Error;
use std::path::Path;

/// What a command returns; the message is for the user.
pub(crate) type Done = Result<(), Box<dyn Error>>;

/// A configuration file as JSON; YAML is accepted, since gateways take it.
pub(crate) fn read_config(path: &Path) -> Result<String, Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    if !is_yaml {
        return Ok(text);
    }
    let value: serde_json::Value =
        serde_saphyr::from_str(&text).map_err(|why| format!("{}: not YAML: {why}", path.display()))?;
    Ok(value.to_string())
}
