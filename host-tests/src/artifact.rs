//! The `.wasm` files that gateways are started with: the filter itself, and small ones for tests and benches.
//!
//! [`wasm`] leaves the question of staleness to cargo. [`probe`] and [`floor`] compile a single file of `filters/`, which needs
//! nothing but the compiler.
//! Invariants: built at most once per process; a finished file appears under its name in one step, so that test processes
//! running side by side never load half a file. Must not know: gateways.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Why there is no `.wasm`.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The compiler could not be started, or the result not be moved.
    #[error("cannot {doing}: {why}")]
    Io {
        /// What was being done.
        doing: String,
        /// The operating system's reason.
        why: String,
    },
    /// The compiler refused.
    #[error("`{command}` failed:\n{output}")]
    Build {
        /// What was run.
        command: String,
        /// Its last output.
        output: String,
    },
}

const TARGET: &str = "wasm32-wasip1";
const BROWSER: &str = "wasm32-unknown-unknown";

/// The repository's root directory.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where cargo builds.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The release build of the filter, built first if it is stale. `TOLLGATE_WASM` names another file instead.
///
/// # Errors
/// When it does not build.
pub fn wasm() -> Result<PathBuf, ArtifactError> {
    static BUILT: OnceLock<Result<PathBuf, ArtifactError>> = OnceLock::new();
    BUILT
        .get_or_init(|| match std::env::var_os("TOLLGATE_WASM") {
            Some(path) => Ok(PathBuf::from(path)),
            None => build(&target(), &[]),
        })
        .clone()
}

/// The filter with a trap in it: a request with the header `x-tollgate-trap` aborts it. It has a target directory of its
/// own, so that no build of one replaces the other.
///
/// # Errors
/// When it does not build.
pub fn trapping_wasm() -> Result<PathBuf, ArtifactError> {
    static BUILT: OnceLock<Result<PathBuf, ArtifactError>> = OnceLock::new();
    BUILT.get_or_init(|| build(&target().join("trapping"), &["--features", "trap"])).clone()
}

/// The core for the browser (`examples/xray`), before wasm-bindgen has wrapped it.
///
/// # Errors
/// When it does not build.
pub fn xray() -> Result<PathBuf, ArtifactError> {
    let folder = cargo_build("tollgate-xray", BROWSER, &target(), &[])?;
    Ok(folder.join("tollgate_xray.wasm"))
}

/// `tiktoken-rs` as a module (`benches/counting/reference`).
///
/// # Errors
/// When it does not build.
pub fn reference() -> Result<PathBuf, ArtifactError> {
    Ok(cargo_build("tollgate-reference", TARGET, &target(), &[])?.join("tollgate_reference.wasm"))
}

fn build(directory: &Path, extra: &[&str]) -> Result<PathBuf, ArtifactError> {
    Ok(cargo_build("tollgate", TARGET, directory, extra)?.join("tollgate.wasm"))
}

/// The folder with a package's release build.
fn cargo_build(package: &str, target: &str, directory: &Path, extra: &[&str]) -> Result<PathBuf, ArtifactError> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(["build", "--quiet", "--release", "--package", package, "--target", target]);
    cargo.arg("--target-dir").arg(directory).args(extra);
    run(&mut cargo)?;
    Ok(directory.join(target).join("release"))
}

/// The test-only filter of `filters/probe.rs`; it traps when a request carries `x-probe-trap`.
///
/// # Errors
/// When it does not build.
pub fn probe() -> Result<PathBuf, ArtifactError> {
    static BUILT: OnceLock<Result<PathBuf, ArtifactError>> = OnceLock::new();
    BUILT.get_or_init(|| single_file("probe")).clone()
}

/// The filter of `filters/floor.rs`, which has bodies copied and does nothing with them.
///
/// # Errors
/// When it does not build.
pub fn floor() -> Result<PathBuf, ArtifactError> {
    static BUILT: OnceLock<Result<PathBuf, ArtifactError>> = OnceLock::new();
    BUILT.get_or_init(|| single_file("floor")).clone()
}

fn single_file(name: &str) -> Result<PathBuf, ArtifactError> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("filters").join(format!("{name}.rs"));
    let directory = target().join("filters");
    fs::create_dir_all(&directory).map_err(|error| io("create target/filters", &error))?;
    let unfinished = directory.join(format!("{name}-{}.wasm", std::process::id()));
    let finished = directory.join(format!("{name}.wasm"));
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.current_dir(root());
    rustc.args(["--edition", "2024", "--crate-type", "cdylib", "--target", TARGET]);
    rustc.args(["-O", "-C", "panic=abort", "-C", "strip=symbols", "-o"]).arg(&unfinished).arg(source);
    run(&mut rustc)?;
    fs::rename(&unfinished, &finished).map_err(|error| io("rename a finished filter", &error))?;
    Ok(finished)
}

fn run(command: &mut Command) -> Result<(), ArtifactError> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|error| io(&format!("start {shown}"), &error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(ArtifactError::Build { command: shown, output: String::from_utf8_lossy(&output.stderr).into_owned() })
}

fn io(doing: &str, why: &std::io::Error) -> ArtifactError {
    ArtifactError::Io { doing: doing.to_owned(), why: why.to_string() }
}
