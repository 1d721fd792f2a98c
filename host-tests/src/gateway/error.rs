//! What can go wrong in the harness itself, as opposed to in the filter (that is an `Outcome`).

use super::imports::ImportProblem;

/// Why a gateway could not take a filter.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes are not a WebAssembly module the engine accepts.
    #[error("the filter does not compile: {0}")]
    Compile(String),
    /// The module imports what the gateway does not link.
    #[error("the gateway cannot link the filter: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Imports(Vec<ImportProblem>),
    /// No `proxy_abi_version_0_2_1` (or older) export, so a gateway would not know the ABI.
    #[error("the filter exports no proxy_abi_version_* marker")]
    NoAbiMarker,
    /// The module trapped while it was instantiated.
    #[error("the filter does not start: {0}")]
    Start(String),
    /// Settings that no gateway could have.
    #[error("setting `{name}` is impossible: {reason}")]
    Settings {
        /// The field of `Settings`.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// A mistake in how a test drives the gateway.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No such worker.
    #[error("there is no worker {asked}; the gateway has {workers}")]
    NoWorker {
        /// The index asked for.
        asked: usize,
        /// How many there are.
        workers: usize,
    },
    /// The callout was answered, cancelled or never made.
    #[error("no callout with token {0} is pending")]
    NoCallout(u32),
}
