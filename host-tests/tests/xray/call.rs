//! The half that opens a call: one exchange of every dialect, what is pasted otherwise, and what is no call.

use std::fs;

use serde_json::{Value, json};
use tollgate_core::dialect::Dialect;
use tollgate_host::agent::{self, client, task::Task};
use tollgate_host::artifact;
use tollgate_host::recording::Recording;
use tollgate_host::standin::Standin;

use crate::browser::Browser;

/// Of the recorded exchanges, those that come back for what an earlier call created are told nothing here.
fn first_exchange(dialect: Dialect) -> std::path::PathBuf {
    let folder = artifact::root().join("plugin/core/testdata").join(dialect.name());
    let mut files: Vec<_> =
        fs::read_dir(&folder).expect("test data").filter_map(|file| Some(file.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    let is_plain = |file: &&std::path::PathBuf| {
        let recording = Recording::read(file).expect("a recording");
        recording.response.status == 200
    };
    files.iter().find(is_plain).unwrap_or_else(|| panic!("{}: no exchange", folder.display())).clone()
}

fn open_call(browser: &mut Browser, request: &str, response: &str, address: &str) {
    browser.eval("{ document.querySelector('#call-result').replaceChildren(); document.querySelector('#call-error').hidden = true; true }");
    browser.paste("#request", request);
    browser.paste("#response", response);
    browser.paste("#address", address);
    browser.click("#call-form button[type=submit]");
    browser.wait_for("document.querySelector('#event-json') || !document.querySelector('#call-error').hidden");
}

fn event(browser: &mut Browser) -> Value {
    let error = browser.text("document.querySelector('#call-error').textContent");
    assert_eq!(error, "");
    serde_json::from_str(&browser.text("document.querySelector('#event-json').textContent")).expect("JSON")
}

/// What the golden event beside an exchange says.
fn golden(exchange: &std::path::Path, field: &str) -> Value {
    let snapshot = fs::read_to_string(exchange.with_extension("snap")).expect("a golden event");
    let (_, json) = snapshot.trim_start_matches("---").split_once("---\n").expect("a golden event");
    let event: Value = serde_json::from_str(&json.replace(",\n}", "\n}"))
        .unwrap_or_else(|why| panic!("{}: {why}", exchange.display()));
    event[field].clone()
}

#[test]
fn an_exchange_of_every_dialect_opens_as_the_filter_meters_it() {
    let (page, mut browser) = crate::open(None);
    for dialect in Dialect::ALL {
        let exchange = first_exchange(dialect);
        open_call(&mut browser, &fs::read_to_string(&exchange).expect("an exchange"), "", "");
        let event = event(&mut browser);
        for field in ["dialect", "input_tokens", "output_tokens", "cost_usd", "components", "outcome"] {
            assert_eq!(event[field], crate::plain(&golden(&exchange, field)), "{field} of {}", exchange.display());
        }
        let shown = browser.text("document.querySelector('#cost').title");
        assert_eq!(
            shown,
            event["cost_usd"].as_str().map_or_else(|| "unknown".to_owned(), |cost| format!("exactly ${cost}"))
        );
    }
    crate::close(&page, browser);
}

#[test]
fn a_body_and_a_stream_without_heads_are_enough_and_so_is_a_curl_command() {
    let (page, mut browser) = crate::open(None);
    let recorded = fs::read_to_string(artifact::root().join("plugin/core/testdata/openai_chat/streamed.json"))
        .expect("an exchange");
    let recorded: Value = serde_json::from_str(&recorded).expect("JSON");
    let (request, response) =
        (recorded["request"]["body"].as_str().expect("text"), recorded["response"]["body"].as_str().expect("text"));
    open_call(&mut browser, request, response, "");
    let plain = event(&mut browser);
    assert!(plain["cost_usd"].is_string() && plain["usage_source"] == "reported", "{plain:#}");
    let url = recorded["request"]["url"].as_str().expect("a URL");
    let command = format!(
        "curl '{url}' \\\n  -H 'content-type: application/json' \\\n  --data-raw '{}'",
        request.replace('\'', "'\\''")
    );
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n{response}");
    open_call(&mut browser, &command, &answer, "");
    assert_eq!(event(&mut browser)["cost_usd"], plain["cost_usd"]);
    // Without an answer, the input is predicted.
    open_call(&mut browser, request, "", url);
    assert_eq!(event(&mut browser)["outcome"], "in_flight");
    assert!(browser.text_of("#call-result").contains("predicted cost of the input"));
    crate::close(&page, browser);
}

#[test]
fn what_is_no_call_says_what_is_missing() {
    let (page, mut browser) = crate::open(None);
    for (request, address, said) in [
        ("", "", "there is nothing to open"),
        ("{\"hello\": \"world\"}", "", "give the address"),
        ("{\"model\": \"m\"}", "nonsense", "`nonsense` is no address"),
        ("curl -d @body.json https://api.openai.com/v1/chat/completions", "", "paste the body itself"),
    ] {
        open_call(&mut browser, request, "", address);
        let shown = browser.text_of("#call-error");
        assert!(shown.contains(said), "{shown}");
    }
    crate::close(&page, browser);
}

#[test]
fn other_models_can_be_compared_and_tools_are_weighed() {
    let (page, mut browser) = crate::open(None);
    browser.click("#example");
    browser.wait_for("document.querySelector('#alternatives')");
    let listed = "document.querySelectorAll('#alternatives tbody tr').length";
    let before = browser.eval(listed).as_u64().expect("a number");
    browser.paste("#compare", "openai/gpt-4o-mini");
    browser.eval("{ document.querySelector('#compare').form.requestSubmit(); true }");
    browser.wait_for(&format!("{listed} === {}", before + 1));
    let row = browser.text("[...document.querySelectorAll('#alternatives tbody tr')].find((row) => row.cells[0].innerText === 'openai/gpt-4o-mini').innerText");
    assert!(row.contains('$') && row.contains('×'), "{row}");
    let tools = browser.text_of("#tools");
    assert!(tools.contains("called") && tools.contains("not called"), "{tools}");
    crate::close(&page, browser);
}

/// `TOLLGATE_UPDATE=1` writes it anew.
#[test]
fn the_example_is_a_step_of_the_demos_agent() {
    const STEP: usize = 9;
    let standin = Standin::with_script(Box::new(agent::script)).expect("a stand-in");
    let task = Task::demo();
    let send = |step| {
        let url = format!("{}{}", standin.url(), task.dialect.path());
        client::post(&url, task.labels.headers(), &task.request(step)).expect("an answer").text()
    };
    // What a step reads from the cache, the steps before it have written.
    (0..STEP).for_each(|step| drop(send(step)));
    let answer = send(STEP);
    let headers: serde_json::Map<_, _> =
        task.labels.headers().iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let example = json!({
        "request": {"method": "POST", "url": "https://api.anthropic.com/v1/messages", "headers": headers,
            "body": task.request(STEP).to_string()},
        "response": {"status": 200, "headers": {"content-type": "text/event-stream"}, "body": answer},
        "recorded_at": "2026-11-19T14:05:00Z"
    });
    let path = artifact::root().join("examples/xray/page/example.json");
    if std::env::var_os("TOLLGATE_UPDATE").is_some() {
        fs::write(&path, format!("{example:#}\n")).expect("a written example");
    }
    let written: Value = serde_json::from_str(&fs::read_to_string(&path).expect("an example")).expect("JSON");
    let known = |value: &Value| value["request"]["body"].clone();
    assert_eq!(known(&written), known(&example));
}
