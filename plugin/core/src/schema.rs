//! JSON Schemas of what Tollgate reads and writes: the configuration and the event.
//!
//! Both are generated from the types, whose doc comments are the descriptions.
//! Must not know: where a schema is published.

use crate::config::raw::RawConfig;
use crate::event::Event;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The schema of the configuration, as operators write it.
#[must_use]
pub fn config_schema() -> Value {
    SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<RawConfig>().to_value()
}

/// The schema of the event, as it is published.
#[must_use]
pub fn event_schema() -> Value {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Event>().to_value()
}
