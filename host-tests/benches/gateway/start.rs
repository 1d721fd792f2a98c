//! What it takes until Tollgate is ready in Envoy, from Envoy's own log: compiling the module, and making a VM of it.

use crate::lineup::Lineup;
use crate::process::{self, Cpus};
use crate::report::median;
use std::net::SocketAddr;
use tollgate_host::envoy::Envoy;

/// How long a start takes, in milliseconds.
pub struct Start {
    /// From the first VM, empty, to the module compiled and tried once.
    pub compile_ms: f64,
    /// From there to a VM of the main thread that has its configuration.
    pub ready_ms: f64,
}

/// Every CPU there is: Envoy compiles on as many as it is given.
pub const ALL: Cpus = "0-1023";

/// The medians of some starts on these CPUs.
pub fn measure(upstream: SocketAddr, starts: usize, cpus: Cpus) -> Start {
    // A process starts where the one runs that starts it.
    process::pin_self(cpus);
    let options = {
        let mut options = Lineup::Tollgate.options(upstream);
        options.trace_wasm = true;
        options
    };
    let starts: Vec<Start> = (0..starts)
        .map(|_| {
            let envoy = Envoy::start(&options).unwrap_or_else(|why| panic!("{why}"));
            read(&envoy.log())
        })
        .collect();
    Start {
        compile_ms: median(starts.iter().map(|start| start.compile_ms)),
        ready_ms: median(starts.iter().map(|start| start.ready_ms)),
    }
}

/// Envoy loads the module, clones the VM once to see whether it starts, lets go of that, and clones one for each thread.
fn read(log: &str) -> Start {
    let at = |from: usize, text: &str| {
        let found = log.lines().enumerate().skip(from).find(|(_, line)| line.contains(text));
        let (number, line) = found.unwrap_or_else(|| panic!("no `{text}` in Envoy's log"));
        (number, line.split(' ').next().and_then(|time| time.parse::<f64>().ok()).expect("a time"))
    };
    let (base, loading) = at(0, "Base Wasm created");
    let (tried, _) = at(base, "proxy_on_configure return");
    let (released, compiled) = at(tried, "~Wasm");
    let (_, ready) = at(released, "proxy_on_configure return");
    // Times are seconds of a minute.
    let between = |from: f64, to: f64| (to - from).rem_euclid(60.0) * 1e3;
    Start { compile_ms: between(loading, compiled), ready_ms: between(compiled, ready) }
}
