//! The shipped `envoy/envoy.yaml`, and what tests change in it.
//!
//! Substitution is by structure: the file is parsed, and exactly the places a user would edit are replaced (addresses,
//! the filter's file and configuration, TLS, where the log goes). Everything else that users run is what tests run.
//! Invariant: a place that is not where it is expected is an error, never a silent no-op.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::Options;
use crate::artifact;

/// Why there is no runnable configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The shipped file cannot be read.
    #[error("cannot read envoy/envoy.yaml: {0}")]
    Unreadable(#[from] std::io::Error),
    /// The shipped file is no YAML.
    #[error("envoy/envoy.yaml is not valid YAML: {0}")]
    NotYaml(String),
    /// Something that is to be replaced is not where it is expected.
    #[error("envoy/envoy.yaml has no {0}")]
    Missing(String),
}

/// Parses `envoy/envoy.yaml`.
///
/// # Errors
/// When it cannot be read or is no YAML.
pub fn shipped() -> Result<Value, ConfigError> {
    let text = fs::read_to_string(artifact::root().join("envoy").join("envoy.yaml"))?;
    serde_saphyr::from_str(&text).map_err(|error| ConfigError::NotYaml(error.to_string()))
}

/// The file of the access log, and the one of events that are apart from it.
pub(super) const ACCESS_LOG: &str = "access.log";
pub(super) const EVENT_LOG: &str = "events.jsonl";

/// The shipped configuration on loopback, with the filter, upstream and switches of `options`, which logs into a directory.
///
/// # Errors
/// [`ConfigError::Missing`] when the shipped file has lost a part that is replaced here.
pub fn for_tests(shipped: &Value, options: &Options, logs: &Path) -> Result<Value, ConfigError> {
    let mut config = shipped.clone();
    set(&mut config, "/admin/address/socket_address", loopback(0))?;
    set(&mut config, "/static_resources/listeners/0/address/socket_address", loopback(0))?;
    if let Some(limit) = options.buffer_limit {
        set(&mut config, "/static_resources/listeners/0/per_connection_buffer_limit_bytes", json!(limit))?;
    }
    match &options.wasm {
        Some(wasm) => replace_filter(tollgate(&mut config)?, wasm, options)?,
        None => array(connection_manager(&mut config)?, "/http_filters")?.retain(|filter| !is_tollgate(filter)),
    }
    let behind_the_router = if options.at_upstream { Some(take_filter(&mut config)?) } else { None };
    let manager = connection_manager(&mut config)?;
    let routes = array(manager, "/route_config/virtual_hosts/0/routes")?;
    routes.splice(..0, options.first_routes.iter().cloned());
    for route in routes {
        let action = at(route, "/route")?.as_object_mut().ok_or_else(|| missing("route"))?;
        action.extend(options.route_policy.clone());
    }
    insert_filters(manager, &options.extra_filters)?;
    log_to_file(manager, &logs.join(ACCESS_LOG))?;
    if options.events_apart {
        set_events_apart(manager, &logs.join(EVENT_LOG))?;
    }
    if options.any_path {
        array(manager, "/route_config/virtual_hosts/0/routes")?.push(json!({
            "match": {"prefix": "/"}, "route": {"cluster": "openai", "timeout": "0s"}
        }));
    }
    let fields = at(manager, "/access_log/0/typed_config/log_format/json_format")?;
    if let Some(fields) = fields.as_object_mut() {
        fields.extend(options.extra_log_fields.iter().map(|(name, format)| (name.clone(), json!(format))));
    }
    if options.collector.is_none() {
        manager.as_object_mut().and_then(|manager| manager.remove("tracing")).ok_or_else(|| missing("tracing"))?;
    }
    for cluster in array(&mut config, "/static_resources/clusters")? {
        // Without a collector or a store their clusters are unused; they may point anywhere.
        let (port, is_provider) = match cluster.get("name").and_then(Value::as_str) {
            Some("otel_collector") => (options.collector.unwrap_or(9), false),
            Some("webdis") => (options.store.unwrap_or(9), false),
            _ => (options.upstream.port(), true),
        };
        set(cluster, "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address", loopback(port))?;
        if let Some(filter) = behind_the_router.as_ref().filter(|_| is_provider) {
            put_filter(cluster, filter);
        }
        if let Some(cluster) = cluster.as_object_mut() {
            cluster.insert("type".to_owned(), json!("STATIC"));
            cluster.remove("transport_socket");
            cluster.remove("dns_lookup_family");
        }
    }
    let Some(bootstrap) = config.as_object_mut() else { return Err(missing("top-level mapping")) };
    // Tests look soon; users' histograms and spans leave every five seconds.
    bootstrap.insert("stats_flush_interval".to_owned(), json!("0.1s"));
    bootstrap.insert(
        "layered_runtime".to_owned(),
        json!({"layers": [{"name": "tests", "static_layer": {"tracing.opentelemetry.min_flush_spans": 1}}]}),
    );
    Ok(config)
}

/// The shipped configuration with only the filter's file replaced: what `envoy --mode validate` is run on.
///
/// # Errors
/// As [`for_tests`].
pub fn with_filter(shipped: &Value, wasm: &Path) -> Result<Value, ConfigError> {
    let mut config = shipped.clone();
    set(tollgate(&mut config)?, "/vm_config/code/local/filename", json!(wasm))?;
    Ok(config)
}

/// The filter's entry (`config` of its `typed_config`) in a configuration.
///
/// # Errors
/// When there is no HTTP filter named `tollgate`.
pub fn tollgate(config: &mut Value) -> Result<&mut Value, ConfigError> {
    array(connection_manager(config)?, "/http_filters")?
        .iter_mut()
        .find(|filter| is_tollgate(filter))
        .and_then(|filter| filter.pointer_mut("/typed_config/config"))
        .ok_or_else(|| missing("HTTP filter named tollgate"))
}

fn is_tollgate(filter: &Value) -> bool {
    filter.get("name").and_then(Value::as_str) == Some("tollgate")
}

fn connection_manager(config: &mut Value) -> Result<&mut Value, ConfigError> {
    at(config, "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
}

fn replace_filter(filter: &mut Value, wasm: &Path, options: &Options) -> Result<(), ConfigError> {
    set(filter, "/vm_config/code/local/filename", json!(wasm))?;
    set(filter, "/configuration/value", Value::from(options.configuration.to_string()))?;
    if let Some(policy) = &options.failure_policy {
        set(filter, "/failure_policy", json!(policy))?;
    }
    if options.hold_headers
        && let Some(filter) = filter.as_object_mut()
    {
        filter.insert("allow_on_headers_stop_iteration".to_owned(), json!(true));
    }
    Ok(())
}

/// Takes Tollgate out of the chain before the router.
fn take_filter(config: &mut Value) -> Result<Value, ConfigError> {
    let filters = array(connection_manager(config)?, "/http_filters")?;
    let place = filters.iter().position(is_tollgate).ok_or_else(|| missing("HTTP filter named tollgate"))?;
    Ok(filters.remove(place))
}

/// Puts it into the chain of a cluster, as `envoy/README.md` says.
fn put_filter(cluster: &mut Value, filter: &Value) {
    let protocol = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let codec = "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec";
    cluster["typed_extension_protocol_options"] = json!({protocol: {
        "@type": format!("type.googleapis.com/{protocol}"),
        "explicit_http_config": {"http_protocol_options": {}},
        "http_filters": [filter, {
            "name": "envoy.filters.http.upstream_codec",
            "typed_config": {"@type": format!("type.googleapis.com/{codec}")}
        }]
    }});
}

fn insert_filters(manager: &mut Value, extra: &[Value]) -> Result<(), ConfigError> {
    let filters = array(manager, "/http_filters")?;
    let before_router = filters.len().saturating_sub(1);
    filters.splice(before_router..before_router, extra.iter().cloned());
    Ok(())
}

fn log_to_file(manager: &mut Value, path: &Path) -> Result<(), ConfigError> {
    let log = at(manager, "/access_log/0")?;
    set(log, "/name", json!("envoy.access_loggers.file"))?;
    let sink = at(log, "/typed_config")?;
    set(sink, "/@type", json!("type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"))?;
    if let Some(sink) = sink.as_object_mut() {
        sink.insert("path".to_owned(), json!(path));
    }
    Ok(())
}

/// Adds the log that the README has, and takes the event out of the other.
fn set_events_apart(manager: &mut Value, path: &Path) -> Result<(), ConfigError> {
    let readme = fs::read_to_string(artifact::root().join("envoy").join("README.md"))?;
    let snippet = readme.split("```").find(|block| block.contains("tollgate-events.jsonl"));
    let snippet = snippet.and_then(|block| block.strip_prefix("yaml\n")).ok_or_else(|| missing("log of events"))?;
    let mut added: Value = serde_saphyr::from_str(snippet).map_err(|error| ConfigError::NotYaml(error.to_string()))?;
    set(&mut added, "/0/typed_config/path", json!(path))?;
    let logs = array(manager, "/access_log")?;
    logs.extend(added.as_array().cloned().unwrap_or_default());
    let fields = at(manager, "/access_log/0/typed_config/log_format/json_format")?;
    let taken = fields.as_object_mut().and_then(|fields| fields.remove("tollgate_event"));
    taken.map(drop).ok_or_else(|| missing("tollgate_event"))
}

fn loopback(port: u16) -> Value {
    json!({"address": "127.0.0.1", "port_value": port})
}

fn at<'v>(value: &'v mut Value, pointer: &str) -> Result<&'v mut Value, ConfigError> {
    value.pointer_mut(pointer).ok_or_else(|| missing(pointer))
}

fn array<'v>(value: &'v mut Value, pointer: &str) -> Result<&'v mut Vec<Value>, ConfigError> {
    at(value, pointer)?.as_array_mut().ok_or_else(|| missing(pointer))
}

fn set(value: &mut Value, pointer: &str, to: Value) -> Result<(), ConfigError> {
    *at(value, pointer)? = to;
    Ok(())
}

fn missing(what: &str) -> ConfigError {
    ConfigError::Missing(what.to_owned())
}
