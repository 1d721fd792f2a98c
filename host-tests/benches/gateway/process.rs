//! What the kernel says of a process: CPU, memory, and on which CPU it may run.
//!
//! Linux only: `/proc` and `taskset`.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A list of CPUs, as `taskset` takes it.
pub type Cpus = &'static str;

/// Where load, upstream and the bench itself run.
pub const LOAD: Cpus = "1";
/// Where the gateways run.
pub const GATEWAYS: Cpus = "0";

/// Keeps this process, and the threads and processes it starts from now on, on these CPUs.
pub fn pin_self(cpus: Cpus) {
    pin(std::process::id(), cpus);
}

/// Keeps all threads of a process on these CPUs.
pub fn pin(process: u32, cpus: Cpus) {
    let mut taskset = Command::new("taskset");
    taskset.args(["--all-tasks", "--cpu-list", "--pid"]).args([cpus, &process.to_string()]);
    let status = taskset.stdout(Stdio::null()).status().expect("taskset of util-linux");
    assert!(status.success(), "{taskset:?}: {status}");
}

/// What all threads of a process have run so far.
pub fn cpu(process: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("a process");
    let ran = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok());
    // The first number: nanoseconds on a CPU.
    Duration::from_nanos(ran.filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok()).sum())
}

/// Resident memory in MiB.
pub fn resident_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("resident memory");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}
