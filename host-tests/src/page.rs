//! The X-ray page: built into a folder that any file server can serve, and served on loopback.
//!
//! The core is compiled for the browser by cargo, and wrapped by the library half of wasm-bindgen's program, which cargo
//! keeps at the version that the crate was compiled with. Everything else of the page is files, copied as they are.
//! Invariants: a folder is finished or not there. Must not know: what the page shows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use wasm_bindgen_cli_support::Bindgen;

use crate::artifact::{self, ArtifactError};
use crate::loopback::{Reply, Server};

/// Under which name the served page finds the log that it is served with.
const LOG: &str = "events.jsonl";

/// Why there is no page.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PageError {
    /// The core does not compile for the browser.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// wasm-bindgen refused it.
    #[error("wasm-bindgen: {0}")]
    Bindgen(String),
    /// A file cannot be read or written.
    #[error("{}: {why}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        why: String,
    },
    /// No port can be had.
    #[error("cannot serve the page: {0}")]
    Serve(String),
}

/// The folder with the finished page, built first if it is stale.
///
/// # Errors
/// When it does not build.
pub fn built() -> Result<PathBuf, PageError> {
    static BUILT: OnceLock<Result<PathBuf, PageError>> = OnceLock::new();
    BUILT.get_or_init(build).clone()
}

fn build() -> Result<PathBuf, PageError> {
    let wasm = artifact::xray()?;
    let finished = artifact::target().join("xray");
    let unfinished = artifact::target().join(format!("xray-{}", std::process::id()));
    remove(&unfinished)?;
    let mut bindgen = Bindgen::new();
    let wrapped = bindgen
        .input_path(&wasm)
        .remove_name_section(true)
        .remove_producers_section(true)
        .web(true)
        .map(|bindgen| bindgen.typescript(false).generate(&unfinished));
    wrapped.and_then(|generated| generated).map_err(|why| PageError::Bindgen(format!("{why:#}")))?;
    copy(&artifact::root().join("examples").join("xray").join("page"), &unfinished)?;
    remove(&finished)?;
    fs::rename(&unfinished, &finished).map_err(|why| file(&finished, &why))?;
    Ok(finished)
}

fn remove(folder: &Path) -> Result<(), PageError> {
    match fs::remove_dir_all(folder) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(file(folder, &why)),
        _ => Ok(()),
    }
}

/// Copies a folder's files into another.
fn copy(from: &Path, to: &Path) -> Result<(), PageError> {
    fs::create_dir_all(to).map_err(|why| file(to, &why))?;
    for entry in fs::read_dir(from).map_err(|why| file(from, &why))? {
        let path = entry.map_err(|why| file(from, &why))?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(|why| file(&path, &why))?;
        }
    }
    Ok(())
}

fn file(path: &Path, why: &io::Error) -> PageError {
    PageError::File { path: path.to_owned(), why: why.to_string() }
}

/// The page on a free loopback port. Dropping it stops the server.
#[derive(Debug)]
pub struct Page {
    server: Server,
    has_log: bool,
}

impl Page {
    /// Serves a built page, with a log beside it where one is given.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn serve(folder: PathBuf, log: Option<PathBuf>) -> Result<Self, PageError> {
        let has_log = log.is_some();
        let answer = move |path: &str| {
            let name = path.split(['?', '#']).next().unwrap_or_default().trim_start_matches('/');
            let name = if name.is_empty() { "index.html" } else { name };
            // Nothing outside the folder.
            if name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
                return Reply::whole(404, "text/plain", "there is no such file");
            }
            let file = if name == LOG { log.clone() } else { Some(folder.join(name)) };
            match file.and_then(|file| fs::read(file).ok()) {
                Some(bytes) => Reply::whole(200, content_type(name), bytes).with_header("cache-control", "no-cache"),
                None => Reply::whole(404, "text/plain", "there is no such file"),
            }
        };
        let server = Server::start(move |request| answer(&request.path));
        Ok(Self { server: server.map_err(|why| PageError::Serve(why.to_string()))?, has_log })
    }

    /// Where to open it: on its log, where it has one.
    #[must_use]
    pub fn url(&self) -> String {
        let place = if self.has_log { format!("#log={LOG}") } else { String::new() };
        format!("{}/{place}", self.server.url())
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}
