//! TEMPORARY until coretests lands.
/// config
#[must_use]
pub fn config_schema() -> serde_json::Value {
    schemars::schema_for!(crate::config::raw::RawConfig).to_value()
}
/// event
#[must_use]
pub fn event_schema() -> serde_json::Value {
    schemars::schema_for!(crate::event::Event).to_value()
}
