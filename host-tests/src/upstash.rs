//! A server that imitates Upstash's REST interface in front of a real Redis, on loopback: somebody else's program.
//!
//! Invariants: it listens on 127.0.0.1; what starts is ready when its function returns; dropping it stops it, by its id.
//! Must not know: what gateways ask.

use std::io;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::artifact;
use crate::redis::{Store, free_port};
use crate::wait;

const START_LIMIT: Duration = Duration::from_secs(20);
/// The package's own program listens on all addresses.
const PROGRAM: &str = r#"
import { serve } from "@hono/node-server";
import { createApp } from "@humanwhocodes/upstash-redis-server";
const { TOKEN, REDIS, PORT } = process.env;
serve({ fetch: createApp({ token: TOKEN, redisUrl: REDIS }).fetch, hostname: "127.0.0.1", port: Number(PORT) });
"#;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum UpstashError {
    /// A process could not be used.
    #[error("cannot run what imitates Upstash: {0}")]
    Io(#[from] io::Error),
    /// `scripts/upstash` did not yield it.
    #[error("nothing imitates Upstash: {0}")]
    NoProgram(String),
    /// It runs, but takes no connections.
    #[error("it was not ready after {START_LIMIT:?}")]
    NotReady,
}

/// The server.
#[derive(Debug)]
pub struct Upstash {
    process: Child,
    port: u16,
}

impl Upstash {
    /// Starts it in front of a Redis, for whoever knows the token.
    ///
    /// # Errors
    /// When it is missing, or does not become ready.
    pub fn start(redis: &Store, token: &str) -> Result<Self, UpstashError> {
        let port = free_port()?;
        let mut node = Command::new("node");
        node.args(["--input-type=module", "--eval", PROGRAM]).current_dir(folder()?);
        node.env("TOKEN", token).env("REDIS", redis.url()).env("PORT", port.to_string());
        let process = node.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let server = Self { process, port };
        let connects = || TcpStream::connect(("127.0.0.1", port)).ok();
        wait::until(START_LIMIT, connects).ok_or(UpstashError::NotReady)?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Upstash {
    fn drop(&mut self) {
        // Both fail only if the process has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// From where `node` finds it, installed into `.tools` first if it is not there.
fn folder() -> Result<PathBuf, UpstashError> {
    let output = Command::new(artifact::root().join("scripts").join("upstash")).output()?;
    if !output.status.success() {
        return Err(UpstashError::NoProgram(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
