//! Budgets: carries out what the meter wants changed in the ledger, while a call is admitted, runs, and is over.
//!
//! Invariants: a change that fails is counted, and the meter decides what that means for the call.
//! Must not know: what limits are, what a change does.

use crate::output::Metrics;
use crate::root::Root;
use crate::store::Store;
use tollgate_core::event::Event;
use tollgate_core::meter::{Body, Call, Change, Claims, Done, Verdict};
use tollgate_core::time::Timestamp;

/// Judges a call by its request, and asks every budget that applies whether it may go on; once more where a cheaper model
/// is to answer.
pub(crate) fn admit(root: &mut Root, call: &mut Call, body: Body<'_>, now: Timestamp) -> Verdict {
    let verdict = judge(root, call, body, now);
    decide(root, call, body, verdict, now)
}

/// Goes on where a call waited for the other gateways of its fleet: they said what they know, or cannot be asked.
pub(crate) fn heard(root: &mut Root, call: &mut Call, body: Body<'_>, is_answered: bool, now: Timestamp) -> Verdict {
    root.meter.heard(call, is_answered);
    make_next(root, call, now);
    let verdict = root.meter.admitted(call, now);
    decide(root, call, body, verdict, now)
}

/// Judges a call where nothing can wait.
pub(crate) fn admit_at_once(root: &mut Root, call: &mut Call, body: Body<'_>, now: Timestamp) {
    let mut verdict = admit(root, call, body, now);
    while verdict == Verdict::Wait {
        verdict = heard(root, call, body, false, now);
    }
}

/// A call is over that still waits: what it holds is let go.
pub(crate) fn abandon(root: &mut Root, call: &mut Call, now: Timestamp) -> bool {
    let waits = call.abandon();
    if waits {
        make_next(root, call, now);
    }
    waits
}

fn decide(root: &mut Root, call: &mut Call, body: Body<'_>, verdict: Verdict, now: Timestamp) -> Verdict {
    if verdict == Verdict::Wait {
        return verdict;
    }
    if !root.meter.downgrade(call, body) {
        return verdict;
    }
    make_next(root, call, now);
    judge(root, call, body, now)
}

/// Judges a call once more whose changed request the gateway did not take: as one that cannot be changed.
pub(crate) fn admit_unchanged(root: &mut Root, call: &mut Call, body: Body<'_>, now: Timestamp) -> Verdict {
    if !call.keep_request() {
        return Verdict::Forward;
    }
    make_next(root, call, now);
    admit(root, call, body, now)
}

fn judge(root: &mut Root, call: &mut Call, body: Body<'_>, now: Timestamp) -> Verdict {
    match root.meter.admit(call, body) {
        Verdict::Forward => {
            make_next(root, call, now);
            root.meter.admitted(call, now)
        }
        decided => decided,
    }
}

/// Makes all changes that are due for a call.
#[inline(never)]
fn make_next(root: &mut Root, call: &mut Call, now: Timestamp) {
    let worker = root.vm.number();
    while let Some(change) = root.meter.next_change(call, worker) {
        let done = make(&change, &mut root.store, &mut root.metrics, now);
        root.meter.take_change(call, done.as_ref());
    }
    touch(root, call.claims(), now);
}

/// Keeps what is held for a call from expiring while its answer streams.
pub(crate) fn renew(root: &mut Root, call: &mut Call, now: Timestamp) {
    if !call.must_renew(now) {
        return;
    }
    for number in 0..call.claim_count() {
        let Some(change) = root.meter.renewal(call, number) else { continue };
        let done = make(&change, &mut root.store, &mut root.metrics, now);
        call.renewed(number, done.as_ref(), now);
    }
}

/// Whether a call's stream is to be ended now, by the name of the limit that says so.
pub(crate) fn must_cut(root: &mut Root, call: &mut Call, now: Timestamp) -> Option<String> {
    for number in 0..call.claim_count() {
        let Some(change) = root.meter.look(call, number, now) else { continue };
        let done = make(&change, &mut root.store, &mut root.metrics, now);
        call.looked(number, done.as_ref());
    }
    root.meter.must_cut(call, now)
}

/// Charges every budget for a call that is over, and writes into its event how they stand.
#[inline(never)]
pub(crate) fn settle(root: &mut Root, claims: &Claims, event: &mut Event, now: Timestamp) {
    for number in 0..claims.len() {
        let Some((change, charged)) = root.meter.settlement(claims, number, event) else { continue };
        let done = make(&change, &mut root.store, &mut root.metrics, now);
        root.meter.settled(claims, number, charged, done.as_ref(), event);
    }
    touch(root, claims, now);
}

/// What the other gateways of a fleet are to be told of.
fn touch(root: &mut Root, claims: &Claims, now: Timestamp) {
    let Some(fleet) = &mut root.fleet else { return };
    for (account, limit) in root.meter.shared(claims) {
        fleet.touch(account, limit, now, &mut root.metrics);
    }
}

/// Makes one change; `None` where the ledger or the gateway failed, which is counted.
pub(crate) fn make(change: &Change<'_>, store: &mut Store, metrics: &mut Metrics, now: Timestamp) -> Option<Done> {
    let done = store.update(change.account(), now, |bucket| change.apply(bucket, now));
    metrics.note_store(done)
}
