//! A short mixed day: several applications, teams, users, models and dialects, with the accidents of a real one.
//!
//! Among the calls: a support bot that is given more tools halfway, a long document asked about several times, an unpriced model, a stream without usage, a pasted table, a rate limit answered with 429, a
//! failing provider, a client that leaves in the middle, and a request that is no LLM call.
//! Must not know: gateways, prices.

use serde_json::{Value, json};

use super::client::{self, ClientError, Sent};
use super::{Labels, plan, support};
use crate::standin::{Dialect, FAILURE_HEADER, PACE_HEADER};

/// One request of the day.
#[derive(Clone, Debug)]
pub struct Errand {
    /// The path.
    pub path: &'static str,
    /// The body; without one it is a GET.
    pub body: Option<Value>,
    /// Whom it belongs to.
    pub labels: Labels,
    /// Leave after about this many bytes of the answer.
    pub leave_after: Option<usize>,
}

impl Errand {
    fn call(dialect: Dialect, labels: &Labels, body: Value) -> Self {
        Self { path: dialect.path(), body: Some(body), labels: labels.clone(), leave_after: None }
    }

    /// Sends it.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn send(&self, base_url: &str) -> Result<Sent, ClientError> {
        let url = format!("{base_url}{}", self.path);
        match &self.body {
            None => client::get(&url),
            Some(body) => {
                client::post_and_leave(&url, self.labels.headers(), body, self.leave_after.unwrap_or(usize::MAX))
            }
        }
    }
}

/// The day's requests, in order.
#[must_use]
pub fn errands() -> Vec<Errand> {
    [support_bot(), contracts(), review(), search(), notebook(), accidents()].concat()
}

fn support_bot() -> Vec<Errand> {
    support::calls().into_iter().map(|(labels, body)| Errand::call(Dialect::OpenAiChat, &labels, body)).collect()
}

fn contracts() -> Vec<Errand> {
    let labels = Labels::app("contract-review", "legal").with("user", "h.lindqvist").with("task", "lease-2026-77");
    let clauses = plan::table(77, &["clause", "notice_days", "rent_eur", "index", "deposit_eur"], 40);
    let instructions =
        format!("You review leases. Quote the clause you rely on. The schedule of this lease:\n{clauses}");
    [
        "When can we leave the lease early?",
        "What is the highest rent in the schedule?",
        "Which clauses contradict each other?",
    ]
    .iter()
    .map(|question| {
        Errand::call(
            Dialect::OpenAiResponses,
            &labels,
            json!({
                "model": "gpt-5-mini", "instructions": instructions, "input": question, "max_output_tokens": 900,
                "stream": false
            }),
        )
    })
    .collect()
}

fn review() -> Vec<Errand> {
    let labels = Labels::app("code-review", "platform").with("agent", "reviewer").with("task-type", "pull-request");
    let patches = [
        ("dev-7", "fn retry(n: u32) { for _ in 0..n { call(); } }"),
        ("dev-9", "let total: f64 = prices.iter().sum();"),
        ("dev-7", "if user.is_admin = true { grant() }"),
    ];
    patches
        .iter()
        .map(|(user, patch)| {
            Errand::call(
                Dialect::Anthropic,
                &labels.clone().with("user", user),
                json!({
                    "model": "claude-haiku-5-5", "max_tokens": 600, "stream": true,
                    "system": "Review the change. Name the worst problem first.",
                    "messages": [{"role": "user", "content": patch}]
                }),
            )
        })
        .collect()
}

fn search() -> Vec<Errand> {
    let labels = Labels::app("site-search", "web").with("feature", "query-rewrite");
    ["waterproof jacket for cycling to work", "gift for somebody who hikes alone", "boots wide feet not leather"]
        .iter()
        .map(|query| {
            Errand::call(
                Dialect::OpenAiChat,
                &labels,
                json!({
                    "model": "gpt-4.1", "max_tokens": 60,
                    "messages": [{"role": "user", "content": format!("Rewrite as a product search: {query}")}]
                }),
            )
        })
        .collect()
}

fn notebook() -> Vec<Errand> {
    let labels = Labels::app("notebooks", "data-science").with("environment", "development").with("user", "t.novak");
    let chat = |model: &str, stream: bool| {
        json!({
            "model": model, "stream": stream,
            "messages": [{"role": "user", "content": "Explain the difference between a mean and a median to a child."}]
        })
    };
    let table = plan::table(5, &["day", "store", "visitors", "sales"], 200);
    let pasted = json!({
        "model": "gpt-4.1", "max_tokens": 300,
        "messages": [{"role": "user", "content": format!("What stands out here?\n{table}")}]
    });
    vec![
        // A model that no price list knows: tokens, but no dollars.
        Errand::call(Dialect::OpenAiChat, &labels, chat("ledger-embedder-7b-internal", false)),
        // A stream that was not asked for usage.
        Errand::call(Dialect::OpenAiChat, &labels, chat("gpt-4.1-mini", true)),
        // A whole table pasted into a prompt, where a limit says no.
        Errand::call(Dialect::OpenAiChat, &labels, pasted),
    ]
}

fn accidents() -> Vec<Errand> {
    let labels = Labels::app("support-bot", "customer-care").with("task-type", "support-reply").with("user", "u-1002");
    let chat = |stream: bool| {
        json!({
            "model": "gpt-4.1-mini", "stream": stream, "stream_options": {"include_usage": true}, "max_tokens": 300,
            "messages": [{"role": "user", "content": "Please tell me everything about crampons, in detail."}]
        })
    };
    let failing = |failure: &str| labels.clone().with_header(FAILURE_HEADER, failure);
    let mut leaving = Errand::call(Dialect::OpenAiChat, &labels.clone().with_header(PACE_HEADER, "60"), chat(true));
    leaving.leave_after = Some(900);
    let models = Errand { path: "/v1/models", body: None, labels: Labels::default(), leave_after: None };
    vec![
        Errand::call(Dialect::OpenAiChat, &failing("status-429"), chat(true)),
        Errand::call(Dialect::OpenAiChat, &failing("status-500"), chat(true)),
        leaving,
        models,
    ]
}
