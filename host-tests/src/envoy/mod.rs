//! A real Envoy for tests and the demo, started from the configuration that users copy.
//!
//! Invariants: everything listens on 127.0.0.1 at ports the kernel chose; [`Envoy::start`] returns when traffic is
//! accepted; dropping the [`Envoy`] stops the process it started, by its id.
//! Must not know: what the filter computes (beyond the name of the log field that carries its event).

pub mod config;
pub mod native;
pub mod prometheus;

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use crate::artifact;
use crate::wait;
use prometheus::Metrics;

/// Loading a filter of a few megabytes into several V8 instances takes seconds on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(90);

/// A traced line: seconds of the minute with their microseconds, the thread, the text.
const TRACE_FORMAT: &str = "%S.%f %t %v";

/// Why Envoy is not running, or does not answer.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyError {
    /// A file or process could not be used.
    #[error("cannot {doing}: {why}")]
    Io {
        /// What was being done.
        doing: String,
        /// The operating system's reason.
        why: io::Error,
    },
    /// `scripts/envoy-venv` did not yield a binary.
    #[error("no Envoy: {0}")]
    NoBinary(String),
    /// The shipped configuration is not what the substitution expects.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    /// Envoy ended instead of starting.
    #[error("Envoy ended with {status} instead of starting; the end of its log:\n{log}")]
    Ended {
        /// Its exit status.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// Envoy runs but was not ready in time.
    #[error("Envoy was not ready after {0:?}; the end of its log:\n{1}")]
    NotReady(Duration, String),
    /// The admin interface did not answer as expected.
    #[error("Envoy's admin interface: {path}: {why}")]
    Admin {
        /// What was asked for.
        path: String,
        /// What went wrong.
        why: String,
    },
}

/// How to start Envoy.
#[derive(Clone, Debug)]
pub struct Options {
    /// The filter; without one there is none in its place.
    pub wasm: Option<PathBuf>,
    /// The filter's configuration.
    pub configuration: Value,
    /// Where every provider cluster points.
    pub upstream: SocketAddr,
    /// The port of an OTLP/HTTP collector on loopback; without one, tracing is left out.
    pub collector: Option<u16>,
    /// The port of a fleet's store on loopback.
    pub store: Option<u16>,
    /// Worker threads.
    pub concurrency: u32,
    /// Sets `allow_on_headers_stop_iteration`.
    pub hold_headers: bool,
    /// Replaces the shipped failure policy.
    pub failure_policy: Option<String>,
    /// HTTP filters to place between Tollgate and the router.
    pub extra_filters: Vec<Value>,
    /// Puts Tollgate behind the router, into the chain of every provider's cluster, where it sees each try.
    pub at_upstream: bool,
    /// What every route is given beside what it has: a policy of retries.
    pub route_policy: serde_json::Map<String, Value>,
    /// Routes before the shipped ones.
    pub first_routes: Vec<Value>,
    /// Puts events into the log of their own that `envoy/README.md` describes.
    pub events_apart: bool,
    /// Fields to add to the access log, each with its format.
    pub extra_log_fields: Vec<(String, String)>,
    /// Sends every path upstream, not only those of the two providers that the shipped routes name.
    pub any_path: bool,
    /// Replaces the shipped `per_connection_buffer_limit_bytes`.
    pub buffer_limit: Option<u32>,
    /// Logs every call between Envoy and the filter, and when each VM was created, as `seconds.microseconds thread text`.
    pub trace_wasm: bool,
}

impl Options {
    /// The shipped configuration with this filter, all providers at `upstream`, one worker.
    #[must_use]
    pub fn new(wasm: PathBuf, upstream: SocketAddr) -> Self {
        Self {
            wasm: Some(wasm),
            configuration: Value::Object(serde_json::Map::new()),
            upstream,
            collector: None,
            store: None,
            concurrency: 1,
            hold_headers: false,
            failure_policy: None,
            extra_filters: Vec::new(),
            at_upstream: false,
            route_policy: serde_json::Map::new(),
            first_routes: Vec::new(),
            events_apart: false,
            extra_log_fields: Vec::new(),
            any_path: false,
            buffer_limit: None,
            trace_wasm: false,
        }
    }
}

/// A running Envoy. Dropping it stops the process.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    files: Files,
    admin: String,
    url: String,
}

/// The child process; stopped when dropped, however its start went.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if the process has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Debug)]
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.path("envoy.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| !line.is_empty()).collect();
        lines.iter().skip(lines.len().saturating_sub(25)).copied().collect::<Vec<_>>().join("\n")
    }
}

impl Envoy {
    /// Starts Envoy and waits until it takes traffic.
    ///
    /// # Errors
    /// When there is no Envoy, it rejects the configuration or the filter, or does not become ready.
    pub fn start(options: &Options) -> Result<Self, EnvoyError> {
        let binary = binary()?;
        let directory = tempfile::Builder::new().prefix("tollgate-envoy-").tempdir();
        let files = Files { directory: directory.map_err(failed("create a directory for Envoy"))? };
        let config = config::for_tests(&config::shipped()?, options, files.directory.path())?;
        fs::write(files.path("envoy.json"), config.to_string()).map_err(failed("write Envoy's configuration"))?;
        let log = File::create(files.path("envoy.log")).map_err(failed("create Envoy's log"))?;
        let errors = log.try_clone().map_err(failed("share Envoy's log"))?;
        let mut command = Command::new(binary);
        if options.trace_wasm {
            command.args(["--component-log-level", "wasm:trace", "--log-format", TRACE_FORMAT]);
        } else {
            command.args(["--component-log-level", "wasm:info"]);
        }
        let child = command
            .arg("--config-path")
            .arg(files.path("envoy.json"))
            .arg("--admin-address-path")
            .arg(files.path("admin"))
            .args(["--concurrency", &options.concurrency.to_string()])
            // Without hot restart any number of Envoys run side by side.
            .args(["--disable-hot-restart", "--log-level", "warning"])
            .args(["--file-flush-interval-msec", "20"])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(failed("start Envoy"))?;
        let mut process = Process(child);
        let (admin, url) = ready(&mut process.0, &files)?;
        Ok(Self { process, files, admin, url })
    }

    /// Where applications send their calls: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The admin interface: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn admin_url(&self) -> &str {
        &self.admin
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Ends the process at once, as `kill -9` does. Its logs stay.
    pub fn kill(&mut self) {
        // Both fail only if the process has already ended.
        let _ = self.process.0.kill();
        let _ = self.process.0.wait();
    }

    /// The file the access log goes to; it lives as long as this value.
    #[must_use]
    pub fn access_log_path(&self) -> PathBuf {
        self.files.path(config::ACCESS_LOG)
    }

    /// The file with the events, where they have a log of their own.
    #[must_use]
    pub fn event_log_path(&self) -> PathBuf {
        self.files.path(config::EVENT_LOG)
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.0.try_wait(), Ok(None))
    }

    /// `/stats/prometheus`. Counters are current; histograms lag by up to a fifth of a second (see [`Self::wait_for_metrics`]).
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub fn metrics(&self) -> Result<Metrics, EnvoyError> {
        Ok(Metrics::parse(&get(&self.admin, "/stats/prometheus")?))
    }

    /// The names of all statistics as the filter defined them, labels and Envoy's `wasmcustom.` prefix included.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub fn stat_names(&self) -> Result<Vec<String>, EnvoyError> {
        let text = get(&self.admin, "/stats")?;
        Ok(text.lines().filter_map(|line| line.rsplit_once(": ")).map(|(name, _)| name.to_owned()).collect())
    }

    /// The metrics once `enough` says so, or whatever they are after `limit`.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub fn wait_for_metrics(
        &self,
        limit: Duration,
        mut enough: impl FnMut(&Metrics) -> bool,
    ) -> Result<Metrics, EnvoyError> {
        match wait::until(limit, || self.metrics().ok().filter(&mut enough)) {
            Some(metrics) => Ok(metrics),
            None => self.metrics(),
        }
    }

    /// What Envoy and the filter have logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.files.path("envoy.log")).unwrap_or_default()
    }

    /// The access log so far, one JSON object per finished request. A line that is no JSON appears as a string.
    #[must_use]
    pub fn access_log(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.access_log_path()).unwrap_or_default();
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| Value::from(line))).collect()
    }

    /// The access log once it has at least `count` lines, or whatever it holds after `limit`.
    #[must_use]
    pub fn wait_for_access_log(&self, count: usize, limit: Duration) -> Vec<Value> {
        wait::until(limit, || Some(self.access_log()).filter(|log| log.len() >= count))
            .unwrap_or_else(|| self.access_log())
    }
}

/// The filter's event in a line of the access log; `None` for requests that were no LLM call.
#[must_use]
pub fn event(line: &Value) -> Option<Value> {
    line.get("tollgate_event").and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok())
}

/// The pinned Envoy, installed into `.venv` first if it is not there. `TOLLGATE_ENVOY` names another one instead.
///
/// # Errors
/// When it cannot be installed.
pub fn binary() -> Result<PathBuf, EnvoyError> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let script = artifact::root().join("scripts").join("envoy-venv");
        let output = Command::new(&script).output().map_err(|why| format!("{}: {why}", script.display()))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    });
    found.clone().map_err(EnvoyError::NoBinary)
}

/// Runs `envoy --mode validate` on a configuration; gives what Envoy said when it rejects it.
///
/// # Errors
/// When there is no Envoy, or it cannot be run.
pub fn validate(config: &Path) -> Result<Result<(), String>, EnvoyError> {
    let output = Command::new(binary()?)
        .args(["--mode", "validate", "--disable-hot-restart", "--log-level", "error", "--config-path"])
        .arg(config)
        .output()
        .map_err(failed("run Envoy"))?;
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok(if output.status.success() { Ok(()) } else { Err(said) })
}

/// Waits until Envoy is live; returns the URLs of its admin interface and its listener.
fn ready(child: &mut Child, files: &Files) -> Result<(String, String), EnvoyError> {
    let urls = wait::until(START_LIMIT, || match child.try_wait() {
        Ok(Some(status)) => Some(Err(EnvoyError::Ended { status, log: files.log_tail() })),
        Ok(None) => live(files).map(Ok),
        Err(why) => Some(Err(EnvoyError::Io { doing: "watch Envoy".to_owned(), why })),
    });
    urls.unwrap_or_else(|| Err(EnvoyError::NotReady(START_LIMIT, files.log_tail())))
}

fn live(files: &Files) -> Option<(String, String)> {
    let address = fs::read_to_string(files.path("admin")).ok().filter(|address| !address.is_empty())?;
    let admin = format!("http://{}", address.trim());
    let state = get(&admin, "/ready").ok()?;
    let listeners: Value = serde_json::from_str(&get(&admin, "/listeners?format=json").ok()?).ok()?;
    let port = listeners.pointer("/listener_statuses/0/local_address/socket_address/port_value")?.as_u64()?;
    (state.trim() == "LIVE").then(|| (admin, format!("http://127.0.0.1:{port}")))
}

fn get(base: &str, path: &str) -> Result<String, EnvoyError> {
    let failed = |why: ureq::Error| EnvoyError::Admin { path: path.to_owned(), why: why.to_string() };
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build().into();
    agent.get(format!("{base}{path}")).call().map_err(failed)?.body_mut().read_to_string().map_err(failed)
}

fn failed(doing: &str) -> impl FnOnce(io::Error) -> EnvoyError {
    let doing = doing.to_owned();
    move |why| EnvoyError::Io { doing, why }
}
