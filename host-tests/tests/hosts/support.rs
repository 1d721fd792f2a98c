//! Builds the probe and asks it questions.

use std::{
    path::PathBuf,
    process::Command,
    sync::OnceLock,
    sync::atomic::{AtomicU32, Ordering},
};

use tollgate_host::gateway::{Filter, Gateway, Profile, RequestHead, ResponseHead, Settings, Stream};

/// The probe's bytes, with optional extra imports (`with_get_metric`, `with_log_level`).
pub fn probe_wasm(extra: Option<&str>) -> Vec<u8> {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/probe/probe.rs");
    static BUILDS: AtomicU32 = AtomicU32::new(0);
    let name = format!("probe-{}-{}.wasm", std::process::id(), BUILDS.fetch_add(1, Ordering::Relaxed));
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "--crate-type=cdylib", "--target=wasm32-wasip1", "-Copt-level=1", "-Cpanic=abort"]);
    rustc.args(["--check-cfg=cfg(with_get_metric,with_log_level)", "--crate-name=probe"]);
    if let Some(extra) = extra {
        rustc.args(["--cfg", extra]);
    }
    let built = rustc.arg("-o").arg(&target).arg(source).status().unwrap();
    assert!(built.success(), "the probe does not build");
    let wasm = std::fs::read(&target).unwrap();
    std::fs::remove_file(target).unwrap();
    wasm
}

/// The probe, compiled once.
pub fn probe() -> &'static Filter {
    static PROBE: OnceLock<Filter> = OnceLock::new();
    PROBE.get_or_init(|| Filter::compile(&probe_wasm(None)).unwrap())
}

/// A gateway as it comes, running a script.
pub fn gateway(profile: Profile, script: &str) -> Gateway {
    start(Settings::new(profile), script)
}

/// A gateway as Tollgate ships it, running a script.
pub fn shipped(profile: Profile, script: &str) -> Gateway {
    start(Settings::shipped(profile), script)
}

pub fn start(settings: Settings, script: &str) -> Gateway {
    Gateway::start(probe(), settings.with_config(script)).unwrap()
}

/// The log as texts.
pub fn logged(gateway: &Gateway) -> Vec<String> {
    gateway.log().into_iter().map(|line| line.text).collect()
}

/// What the first operation logged as `<operation>=` said; `None` if it was not reached.
pub fn said(gateway: &Gateway, operation: &str) -> Option<String> {
    let start = format!("{operation}=");
    logged(gateway).into_iter().find_map(|line| line.strip_prefix(&start).map(str::to_owned))
}

pub fn post() -> RequestHead {
    RequestHead::post_json("api.example", "/v1/chat/completions")
}

/// A plain call with a small body, up to the response headers.
pub fn call(gateway: &Gateway) -> Stream {
    let stream = gateway.worker(0).open(post());
    stream.request_body("hello", true);
    stream
}

/// A plain call with a small body and a small response.
pub fn answered(gateway: &Gateway) -> Stream {
    let stream = call(gateway);
    stream.respond(ResponseHead::json(200, 5)).response_body("world", true);
    stream
}
