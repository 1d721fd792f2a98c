//! Reports on tasks: told to the ledger, and answered with what it knows.
//!
//! Invariants: a report that the ledger cannot take is counted, and told as far as it is known.
//! Must not know: what a report means.

use crate::output::Metrics;
use crate::store::Store;
use tollgate_core::ledger::{Keep, TaskAccount};
use tollgate_core::task_outcome::{Outcomes, TaskOutcome};
use tollgate_core::time::Timestamp;

/// Tells the account of a task its result, and its group what is new in it.
pub(crate) fn tell(outcome: &mut TaskOutcome, store: &mut Store, metrics: &mut Metrics, now: Timestamp) {
    let (result, account) = (outcome.result, outcome.account());
    let told = store.update(&account, now, |bucket| {
        let mut task: TaskAccount = bucket.get(&account)?.unwrap_or_default();
        let news = task.report(result);
        bucket.put(&account, &task, TaskAccount::expires(now), Keep::Evictable)?;
        Ok((task, news))
    });
    let Some((task, news)) = metrics.note_store(told) else { return };
    outcome.take_account(&task, news);
    let group = outcome.group();
    let told = store.update(&group, now, |bucket| {
        let outcomes = bucket.get(&group)?.unwrap_or_default().counted(result, &news);
        bucket.put(&group, &outcomes, Outcomes::expires(now), Keep::Evictable)?;
        Ok(outcomes)
    });
    metrics.note_store(told).iter().for_each(|outcomes| outcome.take_group(outcomes));
}
