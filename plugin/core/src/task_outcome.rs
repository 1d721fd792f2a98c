//! What became of a task: accepted or rejected, as whoever judges it reports, and what an accepted one costs.
//!
//! A report comes in headers of a later call, about a task of the caller's own, or from an operator, about any.
//! ```text
//! report -> the task's account: its last outcome -> the group's (team, app, scenario, task type): cost per accepted task
//! ```
//! Invariants: a task counts once in its group, with its last outcome and all it cost by then; a client reports of its own
//! tasks alone, since the key of a task holds whose it is.
//! Must not know: how records are kept, who judges.
#![deny(clippy::arithmetic_side_effects)]

use crate::attribution::{Attribution, Dimension, bounded};
use crate::head::Headers;
use crate::ledger::{Key, Record, TaskAccount};
use crate::money::Usd;
use crate::names::header;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A group without a report for this long begins anew.
const LIFETIME_MS: u64 = 31 * 24 * 60 * 60 * 1_000;

/// Whether a task's result was any good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TaskResult {
    /// It was accepted.
    Accepted,
    /// It was rejected.
    Rejected,
}

impl TaskResult {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Accepted, Self::Rejected];

    /// The name used in reports, events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|result| text.trim().eq_ignore_ascii_case(result.name()))
    }
}

/// A report on a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskOutcome {
    /// The task.
    pub task: String,
    /// Its result.
    pub result: TaskResult,
    /// How good it is, on the evaluator's own scale: a decimal.
    pub score: Option<String>,
    /// Who or what judged.
    pub evaluator: Option<String>,
    /// Whether it was there in time.
    pub sla_met: Option<bool>,
    /// What the task cost by now, in dollars; `null` where the gateway's workers share nothing.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub task_cost_usd: Option<Usd>,
    /// Tasks of its team, application, scenario and type that were accepted so far.
    pub accepted: Option<u64>,
    /// Those that were rejected.
    pub rejected: Option<u64>,
    /// What all of them cost, divided by those that were accepted, in dollars; `null` where none was.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub cost_per_accepted_usd: Option<Usd>,
    /// What the report adds to counts.
    #[serde(skip)]
    pub news: News,
    /// Whose task it is.
    #[serde(skip)]
    pub owner: Attribution,
}

/// What a report adds to what was known of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// The result is new for the task, and this was the one before.
    pub is_new: bool,
    before: Option<TaskResult>,
    /// What the task cost since the report before.
    pub cost: Usd,
}

/// All that was reported of the tasks of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64, i128)", into = "(u64, u64, i128)")]
pub struct Outcomes {
    accepted: u64,
    rejected: u64,
    cost_femto: i128,
}

impl From<(u64, u64, i128)> for Outcomes {
    fn from((accepted, rejected, cost_femto): (u64, u64, i128)) -> Self {
        Self { accepted, rejected, cost_femto }
    }
}

impl From<Outcomes> for (u64, u64, i128) {
    fn from(outcomes: Outcomes) -> Self {
        (outcomes.accepted, outcomes.rejected, outcomes.cost_femto)
    }
}

impl Record for Outcomes {
    const KIND: &'static str = "outcomes";
    const VERSION: u8 = 1;
}

/// Whose a task is: the parts of its account's key.
const OWNER: [Dimension; 3] = [Dimension::ApiKey, Dimension::Team, Dimension::App];

/// The account of a task. A task belongs to who runs it: another team's, application's or key's task of the same name is
/// another one.
pub(crate) fn account_of(task: &str, owner: &Attribution) -> Key<TaskAccount> {
    let [key, team, app] = OWNER.map(|dimension| owner.get(dimension).unwrap_or_default());
    Key::new(&[key, team, app, task])
}

impl TaskOutcome {
    /// What a request's headers report.
    pub(crate) fn read(headers: &Headers<'_>) -> Option<Self> {
        Self::new(&|field| headers.get(field).map(bounded))
    }

    /// What a report says whose fields have these names; whose task it is about, [`TaskOutcome::owned_by`] tells.
    pub(crate) fn new(field: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let result = TaskResult::parse(&field(header::OUTCOME)?)?;
        Some(Self {
            task: field(header::OUTCOME_TASK).unwrap_or_default(),
            result,
            score: field(header::OUTCOME_SCORE).filter(|score| Usd::parse(score).is_ok()),
            evaluator: field(header::OUTCOME_EVALUATOR),
            sla_met: field(header::OUTCOME_SLA).and_then(|sla| match sla.as_str() {
                "met" => Some(true),
                "missed" => Some(false),
                _ => None,
            }),
            task_cost_usd: None,
            accepted: None,
            rejected: None,
            cost_per_accepted_usd: None,
            // Until the ledger knows better.
            news: News { is_new: true, ..News::default() },
            owner: Attribution::default(),
        })
    }

    /// The report as this caller's, of the task that it names, or else of the caller's present one; `None` where there is
    /// neither.
    pub(crate) fn owned_by(mut self, owner: &Attribution) -> Option<Self> {
        if self.task.is_empty() {
            owner.get(Dimension::Task)?.clone_into(&mut self.task);
        }
        self.owner = owner.clone();
        Some(self)
    }

    /// The account of the task.
    #[must_use]
    pub fn account(&self) -> Key<TaskAccount> {
        account_of(&self.task, &self.owner)
    }

    /// What the tasks of its kind are counted under.
    #[must_use]
    pub fn group(&self) -> Key<Outcomes> {
        let of = |dimension| self.owner.get(dimension).unwrap_or_default();
        let [key, team, app] = OWNER.map(of);
        Key::new(&[key, team, app, of(Dimension::Scenario), of(Dimension::TaskType)])
    }

    /// Takes up what the task's account says, once it knows of the report.
    pub fn take_account(&mut self, account: &TaskAccount, news: News) {
        self.task_cost_usd = Some(account.cost());
        self.news = news;
    }

    /// Takes up what the group says.
    pub fn take_group(&mut self, outcomes: &Outcomes) {
        self.accepted = Some(outcomes.accepted);
        self.rejected = Some(outcomes.rejected);
        self.cost_per_accepted_usd = outcomes.cost_per_accepted();
    }
}

impl News {
    /// The news of a result after this one, of a task that has cost so much more since.
    #[must_use]
    pub fn of(result: TaskResult, before: Option<TaskResult>, cost: Usd) -> Self {
        Self { is_new: before != Some(result), before, cost }
    }
}

impl Outcomes {
    /// With a report more.
    #[must_use]
    pub fn counted(mut self, result: TaskResult, news: &News) -> Self {
        if news.is_new {
            if let Some(before) = news.before {
                let count = self.count(before);
                *count = count.saturating_sub(1);
            }
            let count = self.count(result);
            *count = count.saturating_add(1);
        }
        self.cost_femto = self.cost_femto.saturating_add(news.cost.femto());
        self
    }

    const fn count(&mut self, result: TaskResult) -> &mut u64 {
        match result {
            TaskResult::Accepted => &mut self.accepted,
            TaskResult::Rejected => &mut self.rejected,
        }
    }

    fn cost_per_accepted(&self) -> Option<Usd> {
        (self.accepted > 0).then(|| Usd::from_femto(self.cost_femto).ratio(1, self.accepted))
    }

    /// When a group that was reported on now is over, unless there is another report.
    #[must_use]
    pub fn expires(now: Timestamp) -> Timestamp {
        now.plus_millis(LIFETIME_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::Trust;
    use crate::ledger::Charge;

    fn owner() -> Attribution {
        let mut owner = Attribution::default();
        owner.set(Dimension::Task, "t-1".to_owned(), Trust::Client);
        owner.set(Dimension::App, "shop".to_owned(), Trust::Client);
        owner
    }

    fn read(pairs: &[(&str, &str)]) -> Option<TaskOutcome> {
        TaskOutcome::read(&Headers::new(pairs))?.owned_by(&owner())
    }

    #[test]
    fn a_report_names_a_result_and_what_else_it_knows() {
        let full = read(&[
            ("x-tollgate-outcome", "Accepted"),
            ("x-tollgate-outcome-task", "t-0"),
            ("x-tollgate-outcome-score", "4.5"),
            ("x-tollgate-outcome-evaluator", "judge-2"),
            ("x-tollgate-outcome-sla", "missed"),
        ])
        .unwrap();
        assert_eq!((full.task.as_str(), full.result), ("t-0", TaskResult::Accepted));
        assert_eq!((full.score.as_deref(), full.sla_met), (Some("4.5"), Some(false)));
        let short = read(&[("x-tollgate-outcome", "rejected"), ("x-tollgate-outcome-score", "good")]).unwrap();
        assert_eq!((short.task.as_str(), short.result, short.score), ("t-1", TaskResult::Rejected, None));
        assert_eq!(read(&[("x-tollgate-outcome", "maybe")]), None);
        assert_eq!(read(&[("x-tollgate-outcome-task", "t-0")]), None);
    }

    #[test]
    fn a_task_counts_once_with_its_last_result_and_all_it_cost() {
        let charge = |femto| Charge {
            input_tokens: 1,
            output_tokens: 1,
            cost: Some(Usd::from_femto(femto)),
            is_overhead: false,
        };
        let mut account = TaskAccount::default().charged(&charge(90));
        let mut outcomes = Outcomes::default();
        let mut tell = |account: &mut TaskAccount, result| {
            let news = account.report(result);
            outcomes = outcomes.counted(result, &news);
            (outcomes.accepted, outcomes.rejected, outcomes.cost_per_accepted())
        };
        assert_eq!(tell(&mut account, TaskResult::Rejected), (0, 1, None));
        account = account.charged(&charge(30));
        assert_eq!(tell(&mut account, TaskResult::Accepted), (1, 0, Some(Usd::from_femto(120))));
        assert_eq!(tell(&mut account, TaskResult::Accepted), (1, 0, Some(Usd::from_femto(120))));
        let mut other = TaskAccount::default().charged(&charge(60));
        assert_eq!(tell(&mut other, TaskResult::Rejected), (1, 1, Some(Usd::from_femto(180))));
    }
}
