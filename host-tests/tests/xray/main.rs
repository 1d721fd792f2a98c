//! The X-ray page in a real Chromium: what it shows is what the events say, it asks nobody else, and it can be used without a
//! mouse or a picture.

#[path = "../support/native.rs"]
mod native;

mod browser;
mod call;
mod log;
mod pictures;
mod sample;

use std::fs;
use std::path::PathBuf;

use browser::Browser;
use serde_json::Value;
use tollgate_host::page::{self, Page};

/// The page on a server of its own, on a log where one is given, in a browser of its own.
fn open(log: Option<PathBuf>) -> (Page, Browser) {
    let folder = page::built().unwrap_or_else(|why| panic!("{why}"));
    let page = Page::serve(folder, log).unwrap_or_else(|why| panic!("{why}"));
    let mut browser = Browser::start();
    browser.open(&page.url());
    (page, browser)
}

/// The page on the log of a company's two months, with that log's events.
fn open_sample() -> (Page, Browser, Vec<Value>) {
    let events = sample::events();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.jsonl");
    fs::write(&file, sample::lines(&events)).expect("a log");
    let (page, mut browser) = open(Some(file));
    browser.wait_for("document.querySelector('#top')");
    (page, browser, events)
}

/// Ends a test: nothing went wrong in the page, and everything that it asked for, it asked its own server.
fn close(page: &Page, browser: Browser) {
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
    let own = page.url();
    let own = own.split('#').next().unwrap_or_default();
    let requested = browser.requested();
    assert!(requested.contains(&format!("{own}tollgate_xray_bg.wasm")), "{requested:#?}");
    let strangers: Vec<_> = requested.iter().filter(|url| !url.starts_with(own)).collect();
    assert!(strangers.is_empty(), "the page asked {strangers:#?}");
}

/// JSON as JavaScript writes it: `0` for `0.0`.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        Value::Number(number) => number
            .to_string()
            .strip_suffix(".0")
            .and_then(|whole| whole.parse::<i64>().ok())
            .map_or_else(|| value.clone(), Value::from),
        other => other.clone(),
    }
}
