//! A database with the example's queries: files and what narrows them in, rows out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tollgate_host::artifact;

/// What queries answered, by the file's name without its ending.
pub type Answers = BTreeMap<String, Vec<Value>>;

/// Where the events are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    DuckDb,
    ClickHouse,
}

impl Database {
    pub const ALL: [Self; 2] = [Self::DuckDb, Self::ClickHouse];

    pub fn folder(self) -> PathBuf {
        artifact::root().join(match self {
            Self::DuckDb => "examples/sql",
            Self::ClickHouse => "examples/clickhouse",
        })
    }

    /// What must be there before a query is asked.
    fn base(self) -> &'static str {
        match self {
            Self::DuckDb => "events",
            Self::ClickHouse => "schema",
        }
    }

    /// What an attribute is that a call does not have.
    pub fn nothing(self) -> Value {
        match self {
            Self::DuckDb => Value::Null,
            Self::ClickHouse => "".into(),
        }
    }

    /// Every query, after the views that it reads.
    pub fn queries(self) -> Vec<String> {
        let views: &[&str] = if self == Self::DuckDb { &["focus"] } else { &[] };
        let names = fs::read_dir(self.folder()).expect("the queries").map(|entry| entry.expect("an entry").path());
        let mut names: Vec<String> = names
            .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
            .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
            .filter(|name| name != self.base() && !views.contains(&name.as_str()))
            .collect();
        names.sort();
        views.iter().map(|view| (*view).to_owned()).chain(names).collect()
    }

    /// Runs files of the example on a log, narrowed to calls with these values.
    pub fn ask(self, log: &Path, narrowed: &[(&str, &str)], files: &[impl AsRef<str>]) -> Answers {
        let python = run(&mut Command::new(artifact::root().join("scripts/sql-venv")));
        let mut command = Command::new(python.trim());
        let script = match self {
            Self::DuckDb => "duckdb_run.py",
            Self::ClickHouse => "clickhouse_run.py",
        };
        command.arg(artifact::root().join("host-tests/tests/sql").join(script)).arg(log);
        command.args(narrowed.iter().map(|(name, value)| format!("{name}={value}")));
        let files = std::iter::once(self.base()).chain(files.iter().map(AsRef::as_ref));
        command.args(files.map(|file| self.folder().join(file).with_extension("sql")));
        serde_json::from_str(&run(&mut command)).expect("answers")
    }

    /// What one file answers.
    pub fn ask_for(self, log: &Path, narrowed: &[(&str, &str)], file: &str) -> Vec<Value> {
        self.ask(log, narrowed, &[file]).remove(file).expect("an answer")
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("the command starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
