//! Two months of a company's calls, made up: events as the filter writes them, from exchanges that go through the core.
//!
//! In the second month the analyst's prompts are cached, its history is trimmed, and the support bot asks a smaller model.
//! Invariants: the same every time. Must not know: the page.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's data may panic as tests do")]

use serde_json::{Value, json};
use tollgate_core::time::Timestamp;

use crate::native::{self, Exchange};

const DAY_MS: u64 = 86_400_000;
const FIRST_DAY: &str = "2026-10-01T00:00:00Z";
const DAYS: u64 = 56;
/// 1 November.
const CHANGE: u64 = 31;

/// Numbers that look like chance and are the same every time.
struct Dice(u64);

impl Dice {
    /// A number below `end`.
    fn roll(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Words that come to about so many tokens.
fn words(tokens: u64) -> String {
    // Shares are what matters: components are scaled to what the provider reports.
    "margin ".repeat(usize::try_from(tokens / 25).unwrap().max(1))
}

/// Every event, in the order of time.
pub(crate) fn events() -> Vec<Value> {
    let mut dice = Dice(7);
    let mut events = Vec::new();
    for day in 0..DAYS {
        // Saturdays and Sundays are quiet.
        let is_quiet = matches!((day + 4) % 7, 0 | 6);
        analyst(day, if is_quiet { 0 } else { 1 }, &mut dice, &mut events);
        support(day, if is_quiet { 3 } else { 7 }, &mut dice, &mut events);
        review(day, if is_quiet { 0 } else { 2 }, &mut dice, &mut events);
    }
    events.sort_by_key(|event| event["time"].as_str().unwrap().to_owned());
    events
}

fn at(day: u64, dice: &mut Dice) -> u64 {
    let first = Timestamp::parse(FIRST_DAY).unwrap().millis();
    first + day * DAY_MS + 8 * 3_600_000 + dice.roll(9 * 3_600_000)
}

/// An agent's task of several steps, whose history grows.
fn analyst(day: u64, tasks: u64, dice: &mut Dice, events: &mut Vec<Value>) {
    for number in 0..tasks {
        let is_better = day >= CHANGE;
        let user = ["m.okafor", "j.lind", "a.rossi"][usize::try_from(dice.roll(3)).unwrap()];
        let kind = ["margin-analysis", "forecast"][usize::try_from(dice.roll(2)).unwrap()];
        let labels = [
            ("app", "ledgerline".to_owned()),
            ("team", "finance".to_owned()),
            ("user", user.to_owned()),
            ("agent", "data-analyst".to_owned()),
            ("task-type", kind.to_owned()),
            ("task", format!("task-{:04}", 400 + day * 4 + number)),
            ("session", format!("session-{day:02}-{user}")),
        ];
        let start = at(day, dice);
        let (mut read, mut history) = (0, 0);
        for step in 0..6 + dice.roll(4) {
            let (system, tools, user) = (1_700, 1_050, 170);
            let input = system + tools + history + user;
            let cached = if is_better { read } else { 0 };
            let written = if is_better { input - cached } else { 0 };
            let body = json!({
                "model": "claude-sonnet-5-5", "max_tokens": 1500, "system": words(system),
                "tools": [
                    {"name": "query_ledger", "description": words(tools * 2 / 3), "input_schema": {"type": "object"}},
                    {"name": "draw_chart", "description": words(tools / 3), "input_schema": {"type": "object"}}
                ],
                "messages": [{"role": "user", "content": words(user)}, {"role": "assistant", "content": words(history)},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": words(history / 2)}]}]
            });
            let usage = json!({
                "input_tokens": input - cached - written, "cache_read_input_tokens": cached,
                "cache_creation_input_tokens": written, "output_tokens": 60 + dice.roll(300)
            });
            (read, history) = (input, history + dice.roll(900) + if is_better { 1_100 } else { 1_900 });
            let answer = json!({
                "type": "message", "id": "msg_sample", "model": "claude-sonnet-5-5", "role": "assistant", "stop_reason": "end_turn",
                "content": [{"type": "tool_use", "id": "u", "name": "query_ledger", "input": {}}], "usage": usage
            });
            let place = ("api.anthropic.com", "/v1/messages");
            events.push(event(place, &labels, &body, &answer, start + step * 9_000, events.len()));
        }
    }
}

fn support(day: u64, calls: u64, dice: &mut Dice, events: &mut Vec<Value>) {
    for _ in 0..calls {
        let user = format!("u-{}", 1_000 + dice.roll(40));
        let is_small = day >= CHANGE && dice.roll(4) > 0;
        let labels = [
            ("app", "support-bot".to_owned()),
            ("team", "customer-care".to_owned()),
            ("session", format!("chat-{user}-{day}")),
            ("task-type", ["refund", "delivery", "exchange"][usize::try_from(dice.roll(3)).unwrap()].to_owned()),
            ("user", user),
        ];
        let (system, history, question) = (900, dice.roll(2_500), 40 + dice.roll(90));
        let cached = if history > 1_200 { 896 } else { 0 };
        chat(
            if is_small { "gpt-4.1-mini" } else { "gpt-4.1" },
            [system, 0, history, question],
            (cached, 80 + dice.roll(200)),
            &labels,
            at(day, dice),
            events,
        );
    }
}

fn review(day: u64, calls: u64, dice: &mut Dice, events: &mut Vec<Value>) {
    for _ in 0..calls {
        let labels = [
            ("app", "code-review".to_owned()),
            ("team", "platform".to_owned()),
            ("user", ["s.haug", "t.ito"][usize::try_from(dice.roll(2)).unwrap()].to_owned()),
            ("task", format!("pull-{}", 2_000 + day * 3 + dice.roll(3))),
        ];
        let shape = [600, 400, 2_000 + dice.roll(9_000), 200];
        chat("gpt-4.1", shape, (0, 300 + dice.roll(900)), &labels, at(day, dice), events);
    }
}

/// A call of OpenAI's: tokens of system, tools, history and question; those that were cached, and the answer's.
fn chat(
    model: &str,
    [system, tools, history, question]: [u64; 4],
    (cached, output): (u64, u64),
    labels: &[(&str, String)],
    at: u64,
    events: &mut Vec<Value>,
) {
    let mut body = json!({"model": model, "messages": [
        {"role": "system", "content": words(system)}, {"role": "user", "content": words(history / 2)},
        {"role": "assistant", "content": words(history / 2)}, {"role": "user", "content": words(question)}
    ]});
    if tools > 0 {
        let function = json!({"name": "read_file", "description": words(tools), "parameters": {"type": "object"}});
        body["tools"] = json!([{"type": "function", "function": function}]);
    }
    let usage = json!({
        "prompt_tokens": system + tools + history + question, "completion_tokens": output,
        "prompt_tokens_details": {"cached_tokens": cached}
    });
    let answer = json!({
        "id": "chatcmpl-sample", "object": "chat.completion", "model": model, "usage": usage,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Done."}}]
    });
    events.push(event(("api.openai.com", "/v1/chat/completions"), labels, &body, &answer, at, events.len()));
}

fn event(
    (host, path): (&str, &str),
    labels: &[(&str, String)],
    body: &Value,
    answer: &Value,
    at: u64,
    number: usize,
) -> Value {
    let headers: Vec<_> = labels.iter().map(|(name, value)| (format!("x-tollgate-{name}"), value.clone())).collect();
    let (asked, answered) = (body.to_string(), answer.to_string());
    let exchange = Exchange {
        method: "POST",
        path,
        host,
        request_headers: &headers,
        request: asked.as_bytes(),
        status: 200,
        response_headers: &[("content-type".to_owned(), "application/json".to_owned())],
        response: answered.as_bytes(),
    };
    let mut event = native::event(&exchange, "{}", Timestamp::from_millis(at));
    event["id"] = json!(format!("call-{number:05}"));
    event
}

/// Events as a log has them, one a line.
pub(crate) fn lines(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}
