//! A real Redis with webdis in front, as a fleet of gateways shares them, on loopback.
//!
//! Invariants: both listen on 127.0.0.1 at ports that were free a moment before; what starts is ready when its function
//! returns; dropping a [`Store`] stops both, by their ids.
//! Must not know: what gateways store.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::artifact;
use crate::wait;

/// What the filter must send as `authorization`: webdis takes nothing else.
pub const AUTHORIZATION: &str = "Basic dG9sbGdhdGU6b3BlbiBzZXNhbWU=";
const START_LIMIT: Duration = Duration::from_secs(20);

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// A file or process could not be used.
    #[error("cannot use Redis or webdis: {0}")]
    Io(#[from] io::Error),
    /// `scripts/redis` did not yield the programs.
    #[error("no Redis: {0}")]
    NoBinary(String),
    /// It runs, but does not answer.
    #[error("{0} was not ready after {START_LIMIT:?}")]
    NotReady(&'static str),
    /// `examples/fleet/webdis.json` is not what is expected.
    #[error("examples/fleet/webdis.json: {0}")]
    Config(String),
}

/// Redis with an append-only file, and webdis as shipped in `examples/fleet`.
#[derive(Debug)]
pub struct Store {
    programs: PathBuf,
    directory: tempfile::TempDir,
    redis: Process,
    redis_port: u16,
    webdis: Process,
    webdis_port: u16,
    /// Writes down what scripts do.
    monitor: Option<Process>,
}

#[derive(Debug)]
struct Process(Child);

impl Process {
    /// Ends at once, as with `kill -9`.
    fn kill(&mut self) {
        // Both fail only if the process has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    fn signal(&self, name: &str) -> io::Result<()> {
        Command::new("kill").args([name, &self.0.id().to_string()]).status().map(|_| ())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Store {
    /// Starts both.
    ///
    /// # Errors
    /// When a program is missing, or does not become ready.
    pub fn start() -> Result<Self, RedisError> {
        let programs = programs()?;
        let directory = tempfile::Builder::new().prefix("tollgate-redis-").tempdir()?;
        let (redis_port, webdis_port) = (free_port()?, free_port()?);
        let redis = start_redis(&programs, directory.path(), redis_port)?;
        let webdis = start_webdis(&programs, directory.path(), redis_port, webdis_port, None)?;
        Ok(Self { programs, directory, redis, redis_port, webdis, webdis_port, monitor: None })
    }

    /// Where webdis listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.webdis_port
    }

    /// Where Redis itself listens, as its clients write it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.redis_port)
    }

    /// Kills Redis.
    pub fn kill_redis(&mut self) {
        self.redis.kill();
    }

    /// Starts Redis again, with what its append-only file holds.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn restart_redis(&mut self) -> Result<(), RedisError> {
        self.redis = start_redis(&self.programs, self.directory.path(), self.redis_port)?;
        if self.monitor.is_some() { self.watch() } else { Ok(()) }
    }

    /// From now on, what scripts do is written down.
    ///
    /// # Errors
    /// When `redis-cli` cannot be run.
    pub fn watch(&mut self) -> Result<(), RedisError> {
        let log = OpenOptions::new().create(true).append(true).open(self.monitor_path())?;
        let path = self.monitor_path();
        // It says so when it has begun.
        let count = || fs::read_to_string(&path).ok().map(|log| log.lines().filter(|line| *line == "OK").count());
        let before = count().unwrap_or(0);
        let mut monitor = program(&self.programs, "redis-cli");
        monitor.args(["-p", &self.redis_port.to_string(), "MONITOR"]).stdout(log).stderr(Stdio::null());
        self.monitor = Some(Process(monitor.spawn()?));
        wait::until(START_LIMIT, || count().filter(|now| *now > before)).ok_or(RedisError::NotReady("MONITOR"))?;
        Ok(())
    }

    /// What scripts did since Redis was watched: when, in milliseconds since 1970, and the words of each command.
    #[must_use]
    pub fn seen(&self) -> Vec<(u64, Vec<String>)> {
        let log = fs::read_to_string(self.monitor_path()).unwrap_or_default();
        let by_scripts = log.lines().filter(|line| line.contains(" [0 lua] "));
        by_scripts
            .filter_map(|line| {
                let (seconds, micros) = line.split_once(' ')?.0.split_once('.')?;
                let millis = seconds.parse::<u64>().ok()? * 1_000 + micros.parse::<u64>().ok()? / 1_000;
                Some((millis, line.split('"').skip(1).step_by(2).map(str::to_owned).collect()))
            })
            .collect()
    }

    fn monitor_path(&self) -> PathBuf {
        self.directory.path().join("monitor.log")
    }

    /// Kills webdis.
    pub fn kill_webdis(&mut self) {
        self.webdis.kill();
    }

    /// Starts webdis again.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn restart_webdis(&mut self) -> Result<(), RedisError> {
        self.start_webdis_with(None)
    }

    /// From now on Redis allows no more than these rights, to whoever knows the password; webdis does, and no other program of
    /// this store.
    ///
    /// # Errors
    /// When webdis does not become ready.
    pub fn restrict(&mut self, rights: &[&str], password: &str) -> Result<(), RedisError> {
        self.kill_webdis();
        let user = ["ACL", "SETUSER", "default", "reset", "on", &format!(">{password}")];
        self.command(&[&user, rights].concat())?;
        self.start_webdis_with(Some(password))
    }

    fn start_webdis_with(&mut self, password: Option<&str>) -> Result<(), RedisError> {
        let directory = self.directory.path();
        self.webdis = start_webdis(&self.programs, directory, self.redis_port, self.webdis_port, password)?;
        Ok(())
    }

    /// From now on webdis takes connections, and says nothing.
    ///
    /// # Errors
    /// When it cannot be stopped.
    pub fn stop_webdis(&self) -> io::Result<()> {
        self.webdis.signal("-STOP")
    }

    /// Webdis answers again, also what it was asked meanwhile.
    ///
    /// # Errors
    /// When it cannot be told to.
    pub fn resume_webdis(&self) -> io::Result<()> {
        self.webdis.signal("-CONT")
    }

    /// From now on it grants leases, as a store does that has had its data for a while.
    ///
    /// # Errors
    /// As [`Store::command`].
    pub fn settle(&self, key_prefix: &str) -> Result<(), RedisError> {
        self.command(&["SET", &format!("{key_prefix}generation"), "settled:0"]).map(|_| ())
    }

    /// What Redis says to a command, as `redis-cli` prints it.
    ///
    /// # Errors
    /// When `redis-cli` cannot be run.
    pub fn command(&self, words: &[&str]) -> Result<String, RedisError> {
        let port = self.redis_port.to_string();
        let output = program(&self.programs, "redis-cli").args(["-p", &port]).args(words).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Every window of every account: its fields with their values.
    ///
    /// # Errors
    /// As [`Store::command`].
    pub fn windows(&self) -> Result<Vec<Vec<(String, String)>>, RedisError> {
        let keys = self.command(&["KEYS", "tollgate:*:*"])?;
        keys.lines()
            .map(|key| {
                let fields = self.command(&["HGETALL", key])?;
                let lines: Vec<_> = fields.lines().map(str::to_owned).collect();
                Ok(lines.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
            })
            .collect()
    }
}

fn start_redis(programs: &Path, directory: &Path, port: u16) -> Result<Process, RedisError> {
    let child = program(programs, "redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--daemonize", "no"])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .arg("--dir")
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(File::create(directory.join("redis.log"))?)
        .spawn()?;
    let process = Process(child);
    let answers = || says(port, "PING\r\n").ok().filter(|said| said.starts_with("+PONG"));
    wait::until(START_LIMIT, answers).ok_or(RedisError::NotReady("Redis"))?;
    Ok(process)
}

/// The shipped configuration, with what must differ between machines.
fn start_webdis(
    programs: &Path,
    directory: &Path,
    redis: u16,
    port: u16,
    password: Option<&str>,
) -> Result<Process, RedisError> {
    let shipped = fs::read(artifact::root().join("examples/fleet/webdis.json"))?;
    let mut config: Value = serde_json::from_slice(&shipped).map_err(|error| RedisError::Config(error.to_string()))?;
    let Some(fields) = config.as_object_mut() else { return Err(RedisError::Config("no object".to_owned())) };
    for (name, value) in [
        ("redis_host", json!("127.0.0.1")),
        ("redis_port", json!(redis)),
        ("http_host", json!("127.0.0.1")),
        ("http_port", json!(port)),
        ("logfile", json!(directory.join("webdis.log"))),
    ] {
        fields.insert(name.to_owned(), value).ok_or_else(|| RedisError::Config(format!("no {name}")))?;
    }
    if let Some(password) = password {
        fields.insert("redis_auth".to_owned(), password.into());
    }
    let path = directory.join("webdis.json");
    fs::write(&path, config.to_string())?;
    let child = program(programs, "webdis").arg(path).stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let process = Process(child);
    // It connects to Redis before it serves.
    let answers =
        || says(port, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").ok().filter(|said| said.starts_with("HTTP/1.1 403"));
    wait::until(START_LIMIT, answers).ok_or(RedisError::NotReady("webdis"))?;
    Ok(process)
}

/// The beginning of what a server answers.
fn says(port: u16, request: &str) -> io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(request.as_bytes())?;
    let mut said = [0; 64];
    let length = stream.read(&mut said)?;
    Ok(String::from_utf8_lossy(said.get(..length).unwrap_or_default()).into_owned())
}

pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn program(programs: &Path, name: &str) -> Command {
    let mut command = Command::new(programs.join("bin").join(name));
    command.env("LD_LIBRARY_PATH", programs.join("lib"));
    command
}

/// Where Redis and webdis are, unpacked into `.tools` first if they are not there.
fn programs() -> Result<PathBuf, RedisError> {
    let output = Command::new(artifact::root().join("scripts").join("redis")).output()?;
    if !output.status.success() {
        return Err(RedisError::NoBinary(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
