//! A real Prometheus with the example's configuration and rules, on history of its own.
//!
//! Only what a test cannot wait for is changed: where to scrape, how often, and how often rules are evaluated.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_host::artifact;
use tollgate_host::wait;

/// Unpacking its write-ahead log and listening takes a moment on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running Prometheus. Dropping it stops the process.
pub struct Prometheus {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Both fail only if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder with `prometheus` and `promtool`.
pub fn tools() -> PathBuf {
    let output = Command::new(artifact::root().join("scripts/prometheus")).output().expect("the script starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim())
}

impl Prometheus {
    /// Starts on `history`, which is in the OpenMetrics format, scraping the example's jobs at these addresses.
    pub fn start(history: &str, jobs: &[(&str, SocketAddr)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("history"), history).expect("it is written");
        load_history(&path("history"), &path("data"));
        fs::write(path("prometheus.yml"), configuration(jobs).to_string()).expect("it is written");
        for file in ["rules.yml", "alerts.yml"] {
            let rules = fs::read_to_string(example(file)).expect("rules");
            let soon = rules.replace("interval: 1m\n", "interval: 1s\n").replace("interval: 1h\n", "interval: 1s\n");
            fs::write(path(file), soon).expect("it is written");
        }
        let log = File::create(path("log")).expect("a log");
        let child = Command::new(tools().join("prometheus"))
            .arg(format!("--config.file={}", path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus starts");
        let mut started = Self { child, url: String::new(), _folder: folder };
        let log = || fs::read_to_string(started._folder.path().join("log")).unwrap_or_default();
        let url = wait::until(START_LIMIT, || {
            let log = log();
            let (_, rest) = log.split_once("msg=\"Listening on\" address=")?;
            let url = format!("http://{}", rest.split_once('\n')?.0.trim());
            // It answers nothing before it has read what it kept.
            read(&format!("{url}/-/ready"), &[]).is_ok_and(|text| text.contains("is Ready")).then_some(url)
        });
        started.url = url.unwrap_or_else(|| panic!("it does not get ready: {}", log()));
        started
    }

    /// What an expression gives now; an error is a panic, since every expression must parse.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let answer = self.get("/api/v1/query", &[("query", expression)]);
        assert_eq!(answer["status"], "success", "{expression}: {answer:#}");
        answer["data"]["result"].as_array().cloned().unwrap_or_else(|| panic!("no vector: {expression}"))
    }

    /// The only value of an expression.
    pub fn number(&self, expression: &str) -> Option<f64> {
        let [sample] = self.query(expression).try_into().ok()?;
        sample["value"][1].as_str()?.parse().ok()
    }

    /// What it says under a path of its API.
    pub fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let text = read(&format!("{}{path}", self.url), parameters).unwrap_or_else(|why| panic!("{path}: {why}"));
        serde_json::from_str(&text).unwrap_or_else(|why| panic!("{path}: {why}: {text}"))
    }
}

/// What is answered, whatever its status.
fn read(url: &str, parameters: &[(&str, &str)]) -> Result<String, ureq::Error> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = agent.get(url).query_pairs(parameters.iter().copied());
    request.call()?.body_mut().read_to_string()
}

fn example(file: &str) -> PathBuf {
    artifact::root().join("examples/prometheus").join(file)
}

/// The example's configuration, scraping these jobs each second.
fn configuration(jobs: &[(&str, SocketAddr)]) -> Value {
    let text = fs::read_to_string(example("prometheus.yml")).expect("the configuration");
    let mut configuration: Value = serde_saphyr::from_str(&text).expect("YAML");
    for interval in ["scrape_interval", "evaluation_interval"] {
        configuration["global"][interval] = "1s".into();
    }
    let scraped = configuration["scrape_configs"].as_array_mut().expect("jobs");
    assert_eq!(scraped.len(), jobs.len());
    for job in scraped {
        let (_, address) = jobs.iter().find(|(name, _)| job["job_name"] == **name).expect("a job of the example");
        job["static_configs"] = json!([{"targets": [address.to_string()]}]);
    }
    configuration
}

fn load_history(history: &Path, data: &Path) {
    let output = Command::new(tools().join("promtool"))
        .args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"])
        .args([history, data])
        .output()
        .expect("promtool starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
