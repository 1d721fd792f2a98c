//! The traffic of the demo: a data-analysis agent of fifteen steps, and a short mixed day of other applications.
//!
//! Everything is written down beforehand ([`plan`]), so the same calls go out on every run and the stand-in gives the same answers. Requests carry
//! their attribution in `x-tollgate-*` headers, the way an application would. Must not know: the filter, the gateway, prices.

pub mod client;
pub mod day;
pub mod plan;
pub mod support;
pub mod task;

use crate::standin::{Answer, Question, plain_answer};

/// Whom a call belongs to: the attribution headers of one application.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    headers: Vec<(String, String)>,
}

impl Labels {
    /// The labels every call of an application carries.
    #[must_use]
    pub fn app(app: &str, team: &str) -> Self {
        Self::default().with("app", app).with("team", team).with("environment", "production")
    }

    /// The same labels with `x-tollgate-NAME` set.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let name = format!("x-tollgate-{name}");
        self.headers.retain(|(have, _)| *have != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The same headers and one more of any name.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As request headers.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }
}

/// The stand-in's answers for this traffic: the agent's next step where the agent's tools are offered, else a plain answer.
#[must_use]
pub fn script(question: &Question) -> Answer {
    if question.tools.iter().any(|tool| tool == "run_sql") {
        plan::answer(question.tool_results)
    } else if question.model.starts_with("gpt-5") {
        Answer { reasoning_tokens: 320, ..plain_answer(question) }
    } else {
        plain_answer(question)
    }
}
