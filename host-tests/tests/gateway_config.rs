//! The shipped files for Kong, APISIX, Istio, Envoy Gateway and Higress: each is read, and says what the rest says. The schema
//! that some of them go by allows what the filter reads, and no more.
//!
//! What these gateways themselves accept is theirs to know; our part, Tollgate's configuration, is checked whole.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tollgate_core::attribution::Dimension;
use tollgate_core::config::Config;
use tollgate_core::names::label;
use tollgate_core::schema;
use tollgate_host::{artifact, kong};

fn read(path: &str) -> String {
    fs::read_to_string(artifact::root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// Every value of a member with this name, however deep.
fn members<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    match value {
        Value::Object(object) => {
            let deeper = object.values().flat_map(|value| members(value, name));
            object.get(name).into_iter().chain(deeper).collect()
        }
        Value::Array(items) => items.iter().flat_map(|item| members(item, name)).collect(),
        _ => Vec::new(),
    }
}

fn check(place: &str, config: &Value) {
    let text = config.as_str().map_or_else(|| config.to_string(), str::to_owned);
    if let Err(errors) = Config::parse(text.as_bytes()) {
        panic!("{place}: {errors:#?}");
    }
}

#[test]
fn the_file_that_kong_reads_beside_the_filter_is_what_the_types_say() {
    let shipped: Value = serde_json::from_str(&read("kong/tollgate.meta.json")).expect("JSON");
    assert_eq!(shipped, kong::meta(), "write it anew: tollgate schema kong > kong/tollgate.meta.json");
}

/// What is left of a schema behind references and `null`.
fn resolved<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return resolved(root, root.pointer(reference.trim_start_matches('#')).expect("a definition"));
    }
    let choices = schema["anyOf"].as_array().into_iter().flatten();
    choices.into_iter().find(|choice| choice["type"] != "null").map_or(schema, |choice| resolved(root, choice))
}

fn sorted<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<String> {
    let mut names: Vec<_> = names.into_iter().map(str::to_owned).collect();
    names.sort();
    names
}

/// The names that are told where something is not known.
fn known(config: &Value, problem: &str) -> Vec<String> {
    let errors = Config::parse(config.to_string().as_bytes()).expect_err("not valid");
    let found = errors.iter().find(|error| error.problem == problem);
    let hint = &found.unwrap_or_else(|| panic!("{config}: no {problem:?} in {errors:#?}")).hint;
    sorted(hint.split('`').skip(1).step_by(2))
}

/// Compares a part of the schema with what the filter takes there; `within` makes a configuration of such a part.
fn compare(root: &Value, schema: &Value, within: &dyn Fn(Value) -> Value, compared: &mut usize) {
    let schema = resolved(root, schema);
    if let Some(fields) = schema["properties"].as_object() {
        *compared += fields.len();
        assert_eq!(known(&within(json!({"?": 0})), "unknown field `?`"), sorted(fields.keys().map(String::as_str)));
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let given = |name: &str| if fields[name]["type"] == "string" { json!("x") } else { json!(1) };
        let missing = |without: &str| {
            let object: Value =
                required.iter().filter(|name| **name != without).map(|name| (*name, given(name))).collect();
            let errors = Config::parse(within(object).to_string().as_bytes()).err().unwrap_or_default();
            let missing = errors.into_iter().filter(|error| error.problem.starts_with("missing field"));
            missing.map(|error| error.problem).collect::<Vec<_>>()
        };
        assert_eq!(missing(""), [""; 0]);
        for name in &required {
            assert_eq!(missing(name), [format!("missing field `{name}`")]);
        }
        for (name, field) in fields {
            compare(root, field, &|part| within(json!({name: part})), compared);
        }
    }
    if schema["items"].is_object() {
        compare(root, &schema["items"], &|part| within(json!([part])), compared);
    }
    if schema["additionalProperties"].is_object() {
        compare(root, &schema["additionalProperties"], &|part| within(json!({"app": part})), compared);
    }
    let named = schema["enum"].as_array().into_iter().flatten();
    let described = schema["oneOf"].as_array().into_iter().flatten().map(|choice| &choice["const"]);
    let choices = sorted(named.chain(described).filter_map(Value::as_str));
    if !choices.is_empty() {
        *compared += choices.len();
        assert_eq!(known(&within(json!("?")), "unknown variant `?`"), choices);
    }
}

#[test]
fn the_filter_takes_the_fields_and_names_of_the_schema_no_others_and_misses_what_it_requires() {
    let schema = schema::config_schema();
    let mut compared = 0;
    compare(&schema, &schema, &|config| config, &mut compared);
    assert!(compared > 200, "only {compared} names found");
}

#[test]
fn kong_is_told_of_every_label() {
    let meta = kong::meta();
    let patterns = meta["metrics"]["label_patterns"].as_array().expect("patterns");
    let named: Vec<&str> = patterns.iter().filter_map(|pattern| pattern["label"].as_str()).collect();
    let all: Vec<&str> = label::ALL.into_iter().chain(Dimension::ALL.map(Dimension::name)).collect();
    assert_eq!(named, all);
    for (pattern, label) in patterns.iter().zip(all) {
        assert_eq!(pattern["pattern"], format!("(;{label}=([^;]*))"));
    }
}

#[test]
fn kongs_services_carry_the_filter_once_each_with_a_valid_configuration_and_the_event_in_a_log() {
    let config = yaml("kong/kong.yml");
    let services = config["services"].as_array().expect("services");
    for service in services {
        let filters: Vec<&Value> =
            members(service, "filters").into_iter().flat_map(|list| list.as_array()).flatten().collect();
        let plugins = service["plugins"].as_array().into_iter().flatten();
        let attached: Vec<&Value> =
            filters.into_iter().chain(plugins).filter(|one| one["name"] == "tollgate").collect();
        assert_eq!(attached.len(), 1, "{service}");
        check("kong/kong.yml", &attached[0]["config"]);
        assert!(
            service["read_timeout"].as_u64() >= Some(600_000),
            "Kong's default cuts answers after a minute: {service}"
        );
        assert_eq!(service["retries"], 0, "{service}");
    }
    let lua = members(&config, "custom_fields_by_lua");
    assert_eq!(lua, [&json!({"tollgate_event": "return ngx.var.tollgate_event"})]);
}

#[test]
fn kongs_settings_are_the_same_in_file_and_environment() {
    let file = read("kong/kong.conf");
    let settings: Vec<(&str, &str)> =
        file.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = ")).collect();
    assert!(settings.len() > 4);
    let compose = yaml("kong/docker-compose.yml");
    let environment = compose["services"]["kong"]["environment"].as_object().expect("an environment");
    assert_eq!(environment.len(), settings.len());
    for (name, value) in settings {
        let variable = format!("KONG_{}", name.to_uppercase());
        // Compose puts variables of its own where one dollar sign stands.
        assert_eq!(environment.get(&variable), Some(&value.replace('$', "$$").into()), "{variable}");
    }
}

#[test]
fn apisix_has_the_plugin_and_the_variable_and_every_conf_is_valid() {
    let config = yaml("apisix/config.yaml");
    assert_eq!(config["wasm"]["plugins"][0]["name"], "tollgate");
    let snippet = &config["nginx_config"]["http_server_location_configuration_snippet"];
    assert_eq!(snippet, "set $tollgate_event '';\n");
    let objects = yaml("apisix/apisix.yaml");
    let attached = members(&objects, "tollgate");
    assert!(attached.len() >= 3);
    for plugin in attached {
        assert!(plugin["conf"] != json!({}), "APISIX takes no empty object");
        check("apisix/apisix.yaml", &plugin["conf"]);
    }
    assert_eq!(objects["plugin_metadata"][0]["log_format"]["tollgate_event"], "$tollgate_event");
    assert!(read("apisix/apisix.yaml").ends_with("\n#END\n"), "APISIX reads the file only when it ends so");
}

#[test]
fn the_examples_of_a_fleet_are_the_same_budgets_in_the_files_of_each_gateway() {
    let mut expected: Value = serde_json::from_str(&read("examples/fleet-budget.json")).expect("JSON");
    expected["store"] = json!({
        "target": "webdis:7379", "headers": expected["store"]["headers"].clone(),
    });
    let kong = yaml("examples/fleet/kong.yml");
    let [kong] = members(&kong, "config")[..] else { panic!("one filter") };
    let mut kong = kong.clone();
    check("examples/fleet/kong.yml", &kong);
    kong.as_object_mut().expect("an object").remove("shared_data").expect("workers share a budget only with it");
    assert_eq!(kong, expected);
    let apisix = yaml("examples/fleet/apisix.yaml");
    let [apisix] = members(&apisix, "conf")[..] else { panic!("one filter") };
    check("examples/fleet/apisix.yaml", apisix);
    assert_eq!(*apisix, expected);
    assert!(read("examples/fleet/apisix.yaml").ends_with("\n#END\n"), "APISIX reads the file only when it ends so");
}

#[test]
fn the_examples_for_gateways_built_on_envoy_carry_a_valid_configuration() {
    for (file, place) in [
        ("examples/istio-wasmplugin.yaml", "/spec/pluginConfig"),
        ("examples/envoy-gateway-extensionpolicy.yaml", "/spec/wasm/0/config"),
        ("examples/higress-wasmplugin.yaml", "/spec/defaultConfig"),
    ] {
        let example = yaml(file);
        let config = example.pointer(place).unwrap_or_else(|| panic!("{file} has no {place}"));
        check(file, config);
        assert_ne!(config["hold_headers"], true, "{file}: these do not let a filter hold headers");
        let name = Path::new(file).file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(read("examples/README.md").contains(name), "examples/README.md does not mention {name}");
    }
}
