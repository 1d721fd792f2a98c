//! A real Chromium without a screen, spoken to in its DevTools protocol over a pipe: no port, no driver, no client library.
//!
//! Invariants: a browser has a profile of its own, and is gone when the value is. Nothing here sleeps: the page is asked to
//! answer once something is true. Must not know: the page under test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's harness may panic as tests do")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_host::artifact;

/// How long the page may take to do what it was asked, in milliseconds; on two busy cores, with a large log.
const PATIENCE_MS: u64 = 60_000;

pub(crate) struct Browser {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    session: String,
    last: u64,
    /// What the page wrote to its console as an error, and what it failed with.
    pub(crate) complaints: Vec<String>,
    profile: TempDir,
}

/// What colours the system prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

impl Browser {
    /// Starts a browser with an empty page.
    pub(crate) fn start() -> Self {
        let profile = TempDir::new().unwrap();
        // Descriptors 3 and 4 are where Chromium reads and writes the protocol.
        let mut shell = Command::new("sh");
        shell.arg("-c").arg("exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >&2").arg(binary());
        shell.args(["--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]);
        shell.args(["--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-sync"]);
        shell.args(["--disable-component-update", "--disable-extensions", "--disable-default-apps", "--lang=en-US"]);
        shell.arg(format!("--user-data-dir={}", profile.path().join("profile").display()));
        shell.arg(format!("--log-net-log={}", profile.path().join("net.json").display()));
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = shell.spawn().expect("a shell");
        let (requests, answers) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let (session, complaints) = (String::new(), Vec::new());
        let mut browser = Self { child, requests, answers, session, last: 0, complaints, profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        browser.session = text(&browser.call("Target.attachToTarget", attach)["sessionId"]);
        for domain in ["Page", "Runtime", "Log", "DOM"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.size(1280, 900);
        browser
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) fn open(&mut self, url: &str) {
        // A change behind `#` alone loads nothing.
        self.call("Page.navigate", json!({"url": "about:blank"}));
        let done = self.call("Page.navigate", json!({"url": url}));
        assert!(done["errorText"].is_null(), "{url}: {done}");
        self.wait_for("document.readyState === 'complete'");
    }

    /// The value of an expression, once a promise is kept.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let question = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", question);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {:#}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// The same, as text.
    pub(crate) fn text(&mut self, expression: &str) -> String {
        text(&self.eval(expression))
    }

    /// The text of the first element that a selector finds.
    pub(crate) fn text_of(&mut self, selector: &str) -> String {
        self.text(&format!("document.querySelector({}).innerText.trim()", json!(selector)))
    }

    /// Waits until an expression is true.
    pub(crate) fn wait_for(&mut self, expression: &str) {
        let waiting = format!(
            "new Promise((done) => {{
                const end = performance.now() + {PATIENCE_MS};
                const look = () => {{
                    let is = false;
                    try {{ is = Boolean({expression}); }} catch {{ }}
                    if (is || performance.now() > end) done(is); else setTimeout(look, 20);
                }};
                look();
            }})"
        );
        if self.eval(&waiting) != true {
            let page = self.text("document.body.innerText");
            panic!("never true: {expression}\nthe page says:\n{page}\ncomplaints: {:#?}", self.complaints);
        }
    }

    /// Puts a text into a field, as pasting does.
    pub(crate) fn paste(&mut self, selector: &str, text: &str) {
        let (selector, text) = (json!(selector), json!(text));
        self.eval(&format!(
            "{{ const field = document.querySelector({selector}); field.value = {text}; field.dispatchEvent(new Event('input', {{bubbles: true}})); true }}"
        ));
    }

    pub(crate) fn click(&mut self, selector: &str) {
        self.eval(&format!("{{ document.querySelector({}).click(); true }}", json!(selector)));
    }

    /// Chooses a file in an input, as its dialogue does.
    pub(crate) fn choose(&mut self, selector: &str, file: &Path) {
        let found = json!({"expression": format!("document.querySelector({})", json!(selector))});
        let object = self.call("Runtime.evaluate", found)["result"]["objectId"].clone();
        self.call("DOM.setFileInputFiles", json!({"objectId": object, "files": [file]}));
    }

    /// Presses a key: `Tab`, `Enter`.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Tab" => (9, ""),
            other => panic!("no code for {other}"),
        };
        let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        let event =
            |kind: &str| json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
        self.call("Input.dispatchKeyEvent", event(kind));
        self.call("Input.dispatchKeyEvent", event("keyUp"));
    }

    pub(crate) fn size(&mut self, width: u64, height: u64) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    pub(crate) fn prefer(&mut self, scheme: Scheme) {
        let value = if scheme == Scheme::Dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": value}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// A picture of what the window shows, as PNG.
    pub(crate) fn screenshot(&mut self) -> Vec<u8> {
        // Charts are drawn with the next frames.
        self.eval(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))",
        );
        let picture = self.call("Page.captureScreenshot", json!({"format": "png", "optimizeForSpeed": false}));
        base64::engine::general_purpose::STANDARD.decode(text(&picture["data"])).unwrap()
    }

    /// Closes the browser; gives every address that anything in it asked for, workers included.
    pub(crate) fn requested(mut self) -> BTreeSet<String> {
        self.close();
        let log = fs::read(self.profile.path().join("net.json")).unwrap();
        let log: Value = serde_json::from_slice(&log).unwrap();
        let urls = log["events"].as_array().unwrap().iter().filter_map(|event| event["params"]["url"].as_str());
        urls.filter(|url| url.starts_with("http") || url.starts_with("ws")).map(str::to_owned).collect()
    }

    fn close(&mut self) {
        if self.requests.is_some() {
            self.send("Browser.close", &json!({}));
            self.requests = None;
            let _ = self.child.wait();
        }
    }

    fn send(&mut self, method: &str, params: &Value) -> u64 {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if !self.session.is_empty() && !method.starts_with("Browser.") {
            message["sessionId"] = json!(self.session);
        }
        let pipe = self.requests.as_mut().expect("an open browser");
        let written = pipe.write_all(format!("{message}\0").as_bytes()).and_then(|()| pipe.flush());
        written.expect("Chromium takes commands; does it start?");
        self.last
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, &params);
        loop {
            let mut message = Vec::new();
            self.answers.read_until(0, &mut message).unwrap();
            assert_eq!(message.pop(), Some(0), "Chromium is gone, after {method}");
            let message: Value = serde_json::from_slice(&message).unwrap();
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.hear(&message);
        }
    }

    fn hear(&mut self, message: &Value) {
        let params = &message["params"];
        let complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => Some(params["exceptionDetails"].to_string()),
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => Some(params["entry"].to_string()),
            Some("Runtime.consoleAPICalled") if params["type"] == "error" => Some(params["args"].to_string()),
            _ => None,
        };
        self.complaints.extend(complaint);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if self.requests.take().is_some() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn binary() -> PathBuf {
    let script = Command::new(artifact::root().join("scripts/chromium")).output().expect("the script starts");
    assert!(script.status.success(), "{}", String::from_utf8_lossy(&script.stderr));
    PathBuf::from(String::from_utf8(script.stdout).unwrap().trim())
}
