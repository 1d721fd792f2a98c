//! The shipped `envoy/envoy.yaml`: Envoy accepts it, and it says what the rest of the project says.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use tollgate_core::attribution::Dimension;
use tollgate_core::names::label;
use tollgate_host::artifact;
use tollgate_host::envoy::{self, config};

fn shipped() -> Value {
    config::shipped().expect("envoy/envoy.yaml")
}

#[test]
fn envoy_accepts_the_shipped_configuration() {
    let config = config::with_filter(&shipped(), &artifact::probe().expect("probe")).expect("substitution");
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("envoy.json");
    fs::write(&path, config.to_string()).expect("write");
    envoy::validate(&path).expect("envoy").unwrap_or_else(|said| panic!("{said}"));
}

#[test]
fn envoy_rejects_a_broken_copy_and_says_where() {
    let mut config = config::with_filter(&shipped(), &artifact::probe().expect("probe")).expect("substitution");
    config["static_resources"]["listeners"][0]["per_connection_bufer_limit_bytes"] = Value::from(1);
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("envoy.json");
    fs::write(&path, config.to_string()).expect("write");
    let said = envoy::validate(&path).expect("envoy").expect_err("a misspelt field");
    assert!(said.contains("per_connection_bufer_limit_bytes"), "{said}");
}

#[test]
fn the_filter_comes_back_after_a_crash_and_large_bodies_fit() {
    let mut config = shipped();
    let filter = config::tollgate(&mut config).expect("filter");
    assert_eq!(filter["failure_policy"], "FAIL_RELOAD");
    assert_eq!(filter["configuration"]["value"].as_str().map(str::trim), Some(r#"{ "log_events": false }"#));
    let limit = config["static_resources"]["listeners"][0]["per_connection_buffer_limit_bytes"].as_u64();
    assert!(limit >= Some(16 * 1024 * 1024), "{limit:?}");
}

#[test]
fn no_route_cuts_an_answer_that_takes_long() {
    let config = shipped();
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let routes = config.pointer(&format!("{manager}/route_config/virtual_hosts/0/routes")).and_then(Value::as_array);
    let routes = routes.expect("routes");
    assert!(routes.len() >= 2);
    for route in routes {
        assert_eq!(route["route"]["timeout"], "0s", "Envoy's default is 15 seconds: {route}");
    }
}

#[test]
fn every_label_rule_cuts_exactly_its_own_label_out_of_our_names() {
    let config = shipped();
    let tags = config["stats_config"]["stats_tags"].as_array().expect("stats_tags");
    let mut names = BTreeSet::new();
    for tag in tags {
        let name = tag["tag_name"].as_str().expect("tag_name");
        let expected = format!(r"^wasmcustom\.tollgate_[^;]*(?:;[^;]*)*?(;{name}=([^;]*))");
        assert_eq!(tag["regex"], expected.as_str(), "the rule for {name}");
        assert!(names.insert(name), "two rules for {name}");
    }
    let labels = label::ALL.into_iter().chain(Dimension::ALL.map(Dimension::name));
    assert_eq!(names, labels.collect::<BTreeSet<_>>(), "rules on the left, labels on the right");
}

#[test]
fn the_readme_names_the_envoy_that_is_tested() {
    let read = |path: &str| fs::read_to_string(artifact::root().join(path)).expect(path);
    let script = read("scripts/envoy-venv");
    let version = script.lines().find_map(|line| line.strip_prefix("version=")).expect("a version");
    assert!(read("envoy/README.md").contains(&format!("Envoy {version}")), "envoy/README.md does not name {version}");
}
