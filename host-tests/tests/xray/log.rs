//! The half that opens a log: totals, levels, files that are no logs, large ones, and the keyboard.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;

use serde_json::Value;
use tollgate_core::bill::{Bill, When};
use tollgate_core::money::Usd;
use tollgate_host::demo::{self, DemoOptions};

use crate::browser::Browser;
use crate::sample;

fn cost(event: &Value) -> Usd {
    event["cost_usd"].as_str().map_or(Usd::ZERO, |cost| Usd::parse(cost).expect("an amount"))
}

/// What some events come to, as the page must show it.
fn exactly<'e>(events: impl IntoIterator<Item = &'e Value>) -> String {
    format!("exactly ${}", events.into_iter().map(cost).sum::<Usd>())
}

fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let parts: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    parts.join(",")
}

/// The rows of the table of groups: key, and exact cost.
fn rows(browser: &mut Browser) -> BTreeMap<String, String> {
    let rows = browser.eval(
        "[...document.querySelectorAll('#groups tbody tr')].map((row) => [row.querySelector('button').dataset.key, row.querySelector('[title^=exactly]')?.title ?? ''])",
    );
    let pairs = rows.as_array().expect("rows").iter();
    pairs
        .map(|row| (row[0].as_str().unwrap_or_default().to_owned(), row[1].as_str().unwrap_or_default().to_owned()))
        .collect()
}

fn total(browser: &mut Browser) -> String {
    browser.text("document.querySelector('#total-cost').title")
}

/// Goes down into a group.
fn go(browser: &mut Browser, key: &str) {
    browser.click(&format!("#groups button[data-key=\"{key}\"]"));
    browser.wait_for(&format!("document.querySelector('.trail [aria-current]').innerText.includes('{key}') && !document.querySelector('#groups button[data-key=\"{key}\"]')"));
}

#[test]
fn every_level_shows_what_its_events_come_to_down_to_the_request() {
    let (page, mut browser, events) = crate::open_sample();
    assert_eq!(total(&mut browser), exactly(&events));
    assert_eq!(browser.text("document.querySelector('#total-calls').firstChild.data"), grouped(events.len()));

    let of = |event: &Value, level: &str| match level {
        "month" => event["time"].as_str().unwrap_or_default()[..7].to_owned(),
        level => event["attribution"][level].as_str().map_or_else(String::new, str::to_owned),
    };
    let mut left: Vec<&Value> = events.iter().collect();
    for level in ["month", "app", "task_type", "task", "session"] {
        let mut expected: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
        left.iter().for_each(|event| expected.entry(of(event, level)).or_default().push(event));
        let shown = rows(&mut browser);
        let sums: BTreeMap<_, _> =
            expected.iter().map(|(key, events)| (key.clone(), exactly(events.iter().copied()))).collect();
        assert_eq!(shown, sums, "{level}");
        // Into the group with the most calls.
        let (key, events) = expected.into_iter().max_by_key(|(_, events)| events.len()).expect("a group");
        go(&mut browser, &key);
        left = events;
        assert_eq!(total(&mut browser), exactly(left.iter().copied()), "{level} {key}");
    }
    assert_eq!(browser.eval("document.querySelectorAll('#groups tbody tr').length"), left.len());
    let one = left[0];
    go(&mut browser, one["id"].as_str().expect("an id"));
    assert_eq!(browser.text("document.querySelector('#cost').title"), exactly([one]));
    let shown: Value =
        serde_json::from_str(&browser.text("document.querySelector('#event-json').textContent")).expect("JSON");
    assert_eq!(shown, crate::plain(one));
    // And back to the top.
    browser.click(".trail button");
    browser.wait_for("document.querySelector('#groups button[data-key=\"2026-10\"]')");
    assert_eq!(total(&mut browser), exactly(&events));
    crate::close(&page, browser);
}

#[test]
fn the_demos_own_access_log_opens_while_the_gateway_runs() {
    let demo = demo::run(&DemoOptions::default()).unwrap_or_else(|why| panic!("{why}"));
    let (page, mut browser) = crate::open(Some(demo.envoy.access_log_path().to_owned()));
    browser.wait_for("document.querySelector('#total-cost')");
    assert_eq!(total(&mut browser), exactly(&demo.events));
    assert_eq!(browser.text("document.querySelector('#total-calls').firstChild.data"), grouped(demo.events.len()));
    let unpriced = demo.events.iter().filter(|event| event["cost_usd"].is_null()).count();
    assert!(unpriced > 0);
    assert!(browser.text_of("#total-cost").contains(&format!("and {unpriced} call")));
    // The request for the list of models is no call.
    assert!(browser.text_of("#log-notice").contains("1 line about something else"));
    crate::close(&page, browser);
}

#[test]
fn spenders_are_ranked_by_any_dimension() {
    let (page, mut browser, events) = crate::open_sample();
    for (by, value) in [("team", "finance"), ("model", "gpt-4.1")] {
        browser.eval(&format!(
            "{{ const choice = document.querySelector('#spenders'); choice.value = '{by}'; choice.dispatchEvent(new Event('change')); true }}"
        ));
        browser.wait_for(&format!("document.querySelector('#top thead th').innerText === '{by}'"));
        let shown = browser.text(&format!(
            "[...document.querySelectorAll('#top tbody tr')].find((row) => row.cells[0].innerText === '{value}').querySelector('[title]').title"
        ));
        let is_meant =
            |event: &&Value| event["attribution"][by] == *value || (by == "model" && event["request_model"] == *value);
        assert_eq!(shown, exactly(events.iter().filter(is_meant)), "{by}");
    }
    crate::close(&page, browser);
}

#[test]
fn a_file_that_is_no_log_is_refused_with_line_and_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    };
    let (page, mut browser) = crate::open(None);
    browser.click("#nav-log");
    for (path, said) in [
        (file("empty.jsonl", b""), "empty.jsonl: the file is empty"),
        (file("table.csv", b"time,cost\n2026,1\n"), "table.csv: there is no event in this file. Line 1 is neither"),
        (
            file("cut.jsonl", b"{\"schema\":\"tollgate.event/1\",\"id\":\"a\""),
            "cut.jsonl: no event could be read. Line 1: broken JSON: EOF while parsing an object, in column 37",
        ),
        (
            file("newer.jsonl", b"\n{\"schema\":\"tollgate.event/9\"}\n"),
            "Line 2: an event of another schema, `tollgate.event/9`",
        ),
        (
            file("picture.png", b"\x89PNG\r\n\x1a\n\x00\xff"),
            "picture.png: no event could be read. Line 1: not UTF-8 text",
        ),
    ] {
        browser.choose("#log-file", &path);
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        browser.wait_for(&format!("!document.querySelector('#log-error').hidden && document.querySelector('#log-error').innerText.startsWith('{name}')"));
        let shown = browser.text_of("#log-error");
        assert!(shown.contains(said), "{shown}");
        assert_eq!(browser.text("document.querySelector('#log-error').getAttribute('role')"), "alert");
    }
    // What could be read of a damaged log is shown, and what could not is named.
    let mut damaged = sample::lines(&sample::events()[..3]);
    damaged
        .push_str("{\"schema\":\"tollgate.event/1\",\"id\":\"b\",\"time\":\"now\",\"outcome\":\"complete\"}\nnoise\n");
    browser.choose("#log-file", &file("damaged.jsonl", damaged.as_bytes()));
    browser.wait_for("document.querySelector('#total-calls')");
    let notice = browser.text_of("#log-notice");
    assert!(notice.contains("1 line about something else"), "{notice}");
    assert!(notice.contains("Line 4: a field of the event is not what it should be: `time` is `now`"), "{notice}");
    crate::close(&page, browser);
}

#[test]
fn two_hundred_thousand_calls_are_read_while_the_page_goes_on() {
    const CALLS: usize = 200_000;
    // What every event of the sample says that the page adds up; the rest would only make the file larger.
    const FIELDS: [&str; 14] = [
        "schema",
        "dialect",
        "provider",
        "operation",
        "request_model",
        "outcome",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cost_usd",
        "cost",
        "components",
        "cache",
        "attribution",
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("large.jsonl");
    let events: Vec<Value> = sample::events();
    let bodies: Vec<String> = events
        .iter()
        .map(|event| {
            let fields: serde_json::Map<_, _> =
                FIELDS.iter().map(|field| ((*field).to_owned(), event[field].clone())).collect();
            Value::Object(fields).to_string()
        })
        .collect();
    let mut out = std::io::BufWriter::new(fs::File::create(&file).expect("a file"));
    for number in 0..CALLS {
        let (event, body) = (&events[number % events.len()], &bodies[number % events.len()]);
        let time = event["time"].as_str().expect("a time");
        writeln!(out, "{{\"id\":\"n-{number}\",\"time\":\"{time}\",{}", &body[1..]).expect("a line");
    }
    out.into_inner().expect("a written file");
    let expected: Usd = (0..CALLS).map(|number| cost(&events[number % events.len()])).sum();

    let (page, mut browser) = crate::open(None);
    browser.click("#nav-log");
    // The page itself must go on: it counts its own frames while the log is read.
    browser.eval("{ globalThis.turns = 0; setInterval(() => { if (!document.querySelector('#log-progress').hidden) globalThis.turns++; }, 5); true }");
    browser.choose("#log-file", &file);
    browser.wait_for("document.querySelector('#total-cost')");
    assert_eq!(total(&mut browser), format!("exactly ${expected}"));
    assert_eq!(browser.text("document.querySelector('#total-calls').firstChild.data"), "200,000");
    assert!(browser.eval("globalThis.turns").as_u64() > Some(20));
    go(&mut browser, "2026-10");
    assert_eq!(rows(&mut browser).len(), 3);
    crate::close(&page, browser);
}

#[test]
fn the_keyboard_alone_opens_a_level_and_the_focus_follows() {
    let (page, mut browser, _) = crate::open_sample();
    let focus =
        "document.activeElement.innerText?.trim() || document.activeElement.id || document.activeElement.tagName";
    let mut seen = Vec::new();
    browser.press("Tab");
    while browser.text(focus) != "2026-10" {
        seen.push(browser.text(focus));
        assert!(seen.len() < 40, "the months are never reached: {seen:?}");
        browser.press("Tab");
    }
    assert_eq!(seen[..3], ["Skip to the content", "Open a call", "Open a log"]);
    browser.press("Enter");
    browser.wait_for("document.activeElement.innerText?.includes('2026-10') && document.activeElement.getAttribute('aria-current') === 'page'");
    crate::close(&page, browser);
}

#[test]
fn every_picture_has_words_and_a_table_and_everything_that_can_be_used_a_name() {
    let (page, mut browser, _) = crate::open_sample();
    browser.wait_for("document.querySelectorAll('canvas').length === 4");
    let silent = browser.eval(
        "[...document.querySelectorAll('canvas')].filter((canvas) => canvas.getAttribute('role') !== 'img' || canvas.getAttribute('aria-label').length < 20 || !canvas.closest('section').querySelector('table')).length",
    );
    assert_eq!(silent, 0);
    let nameless = browser.eval(
        "[...document.querySelectorAll('button, input, select, textarea, a')].filter((one) => !(one.innerText?.trim() || one.labels?.length || one.getAttribute('aria-label'))).map((one) => one.outerHTML)",
    );
    assert_eq!(nameless, serde_json::json!([]));
    for landmark in
        ["header", "nav[aria-label]", "main", "footer", "section[aria-labelledby]", "[role=status]", "[role=alert]"]
    {
        assert_eq!(browser.eval(&format!("document.querySelector('{landmark}') !== null")), true, "{landmark}");
    }
    crate::close(&page, browser);
}

#[test]
fn two_periods_are_compared_and_the_causes_sum_to_the_difference() {
    let (page, mut browser, events) = crate::open_sample();
    browser.wait_for("document.querySelector('#lines')");
    let of = |month: &str| {
        events
            .iter()
            .filter(|event| event["time"].as_str().is_some_and(|time| time.starts_with(month)))
            .map(cost)
            .sum::<Usd>()
    };
    let difference = of("2026-11").minus(of("2026-10"));
    let amounts = |browser: &mut Browser| -> Vec<Vec<Usd>> {
        let rows = browser.eval("[...document.querySelectorAll('#lines tr')].slice(1).map((row) => [...row.querySelectorAll('[title^=exactly]')].map((amount) => amount.title.slice(9)))");
        let amount = |text: &Value| Usd::parse(text.as_str().expect("text")).expect("an amount");
        let row = |row: &Value| row.as_array().expect("amounts").iter().map(amount).collect();
        rows.as_array().expect("rows").iter().map(row).collect()
    };
    let shown = amounts(&mut browser);
    // Before, after, four causes, and the difference; three apps and all of them.
    assert_eq!(shown.len(), 4);
    for row in &shown {
        let [before, after, causes @ .., line] = row.as_slice() else { panic!("{row:?}") };
        assert_eq!((causes.len(), causes.iter().copied().sum::<Usd>()), (4, *line));
        assert_eq!(after.minus(*before), *line);
    }
    assert_eq!(shown[3][6], difference);
    let verdict = browser.text_of("#verdict");
    assert!(verdict.contains("less ("), "{verdict}");
    // The same as the program says of two files.
    let mut bill = Bill::default();
    for event in &events {
        let when = if event["time"].as_str() < Some("2026-11") { When::Before } else { When::After };
        bill.add(when, event["attribution"]["app"].as_str(), &serde_json::from_value(event.clone()).expect("an event"));
    }
    let effects = bill.lines().total.effects;
    assert_eq!(shown[3][2..6], [effects.volume, effects.caching, effects.routing, effects.trimming]);

    // In one app only, by user; and periods that cannot be compared.
    go(&mut browser, "2026-10");
    go(&mut browser, "support-bot");
    browser.wait_for("document.querySelectorAll('#lines tbody tr').length === 1");
    browser.paste("#after-from", "2026-10-15T00:00:00");
    browser.eval("{ document.querySelector('#compare-form').requestSubmit(); true }");
    browser.wait_for("!document.querySelector('#compare-error').hidden");
    assert!(browser.text_of("#compare-error").contains("overlap"));
    crate::close(&page, browser);
}
