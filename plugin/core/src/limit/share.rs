//! Shares: what one gateway knows of an account that a whole fleet spends, and what it may spend of it.
//!
//! ```text
//! ask(number, spent, have, want) -> the store, which adds up what all gateways say -> answer -> take
//! ```
//! A gateway says how much it has spent in a window in all, and how much it claims; the store keeps the last of what
//! each said, by number, so a request that comes twice, late or in another order changes nothing. With [`Mode::Strict`]
//! a claim is a lease: the store grants no more than is left, and what is granted is spent without asking again.
//! Invariants: no answer lets a gateway spend more than its store has noted down for it, whatever is lost, repeated or
//! overtaken on the way.
//! Must not know: how a request travels, what an amount measures.
#![deny(clippy::arithmetic_side_effects)]

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A lease reaches this many times as far ahead as was spent from one request to the next.
const AHEAD: i128 = 4;
/// What is taken ahead is at most this part of what nobody has claimed, so that leases shrink as a budget ends.
const PART: i128 = 8;
/// After so many requests without anything spent, all that is left of a lease is given back.
const IDLE_MAX: u8 = 8;

/// How strictly the gateways of a fleet keep to one amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each decides by the sum it last heard of.
    Eventual,
    /// Each spends what it was granted before.
    Strict,
}

/// What the accounts of a fleet go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// How strictly.
    pub mode: Mode,
    /// How often a gateway asks, in milliseconds; what it heard within this time is fresh.
    pub interval_ms: u64,
    /// What is older than this is no longer decided by, in milliseconds.
    pub stale_ms: u64,
}

/// What the gateways of a fleet have told each other of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// When this gateway began to count, which tells this count from an earlier one of the same window.
    born_ms: u64,
    /// The number of the last request.
    number: u64,
    /// Answers to requests before this one no longer count.
    binding: u64,
    /// What the store noted down as this gateway's claim.
    claim: i128,
    /// What it may have noted down since, by requests that are not answered.
    wanted: i128,
    /// What the others have spent, and what they have claimed, which includes it.
    others: (i128, i128),
    /// What was overspent in the windows before.
    debt: i128,
    /// As of when that is known; 0 as long as nothing is.
    known_ms: u64,
    /// When the last request was made.
    asked_ms: u64,
    /// What the store knows of this gateway's own spending.
    told: i128,
    /// What was used at the last request, and how much more than at the one before.
    used: i128,
    pace: i128,
    /// How many requests in a row found nothing used.
    idle: u8,
}

/// What a gateway says of one account, and asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// When its window began; 0 where windows do not follow each other.
    pub window_ms: u64,
    /// When the gateway began to count.
    pub born_ms: u64,
    /// Greater than that of every earlier request for the same count.
    pub number: u64,
    /// What it has spent, in all.
    pub spent: i128,
    /// What it has claimed, as far as it knows.
    pub have: i128,
    /// What it wants to have claimed: less gives back.
    pub want: i128,
    /// What all gateways together may claim; `None` where claims have no bound.
    pub limit: Option<i128>,
    /// What was overspent in the windows before, as far as it knows.
    pub debt: i128,
    /// When nothing of it matters any more.
    pub expires: Timestamp,
}

/// What the store knows of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The last request of this gateway that it took.
    pub number: u64,
    /// This gateway's claim.
    pub claim: i128,
    /// What the others have spent.
    pub others_spent: i128,
    /// What the others have claimed.
    pub others_claimed: i128,
    /// What was overspent in the windows before.
    pub debt: i128,
}

/// What a gateway has used of an account, and the most that all together may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    /// What is charged.
    pub(super) spent: i128,
    /// What is held for calls that run.
    pub(super) held: i128,
    /// The most that may be used of it; `None` where nothing is refused.
    pub(super) bound: Option<i128>,
}

impl Use {
    pub(super) const fn own(self) -> i128 {
        self.spent.saturating_add(self.held)
    }
}

/// Why a request may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// A call waits for so much.
    Waits(i128),
    /// The account is in use.
    InUse,
    /// It was not used for a while.
    Rests,
    /// The store has lost its data, and has not heard of it since.
    Anew,
}

/// Whether a request is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// This one.
    Now(Ask),
    /// Not yet: another worker made one a moment ago.
    Lately,
    /// Not until something is used again.
    Settled,
}

/// Whether the other gateways of a fleet may be asked for the sake of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// They may.
    May,
    /// They were asked often enough: what is known decides.
    Done,
    /// They cannot be asked: what is known decides, without a lease.
    Cannot,
}

/// What a share leaves for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// So much.
    Known(i128),
    /// That must be asked for.
    Unknown,
}

impl Share {
    /// Nothing is known of a window that has begun, but that nothing was spent before it, and what is owed.
    pub(super) fn next_window(&self, start_ms: u64, debt: i128, now_ms: u64) -> Self {
        // What was heard just before a window holds as of its beginning.
        let known_ms = if self.known_ms == 0 { 0 } else { start_ms };
        Self { born_ms: now_ms, known_ms, debt, pace: self.pace, ..Self::default() }
    }

    /// What others have spent, and what is owed from before.
    pub(super) const fn spent(&self) -> i128 {
        self.others.0.saturating_add(self.debt)
    }

    /// What others have claimed and not spent.
    pub(super) fn leased(&self) -> i128 {
        self.others.1.saturating_sub(self.others.0).max(0)
    }

    /// What this gateway may still spend without asking.
    pub(super) const fn left(&self, spent: i128, held: i128) -> i128 {
        self.claim.saturating_sub(spent).saturating_sub(held)
    }

    fn is_known_within(&self, millis: u64, now: Timestamp) -> bool {
        self.known_ms > 0 && now.millis().saturating_sub(self.known_ms) <= millis
    }

    /// What is left for a call that needs so much of it; `asks` where it may be asked for more.
    pub(super) fn room(&self, fleet: &Fleet, used: Use, needed: i128, asking: Asking, now: Timestamp) -> Room {
        let own = used.own();
        let bound = used.bound.unwrap_or(i128::MAX);
        let free = bound.saturating_sub(self.others.1).saturating_sub(self.debt).saturating_sub(own);
        match fleet.mode {
            _ if asking == Asking::Cannot => Room::Known(free),
            Mode::Eventual if asking == Asking::Done => Room::Known(free),
            Mode::Eventual if self.is_known_within(fleet.stale_ms, now) => Room::Known(free),
            Mode::Eventual => Room::Unknown,
            Mode::Strict => {
                let leased = self.claim.saturating_sub(own);
                let is_spent = needed > free && self.is_known_within(fleet.interval_ms, now);
                let is_final = is_spent || asking == Asking::Done;
                if needed <= leased || is_final { Room::Known(leased.min(free)) } else { Room::Unknown }
            }
        }
    }

    /// What is to be said and asked next, where that is due.
    pub(super) fn ask(
        &mut self,
        fleet: &Fleet,
        used: Use,
        due: Due,
        (window, expires): (Timestamp, Timestamp),
        now: Timestamp,
    ) -> Asked {
        let limit = used.bound.filter(|_| fleet.mode == Mode::Strict);
        let waiting = match due {
            Due::Waits(amount) => amount,
            Due::Anew if self.is_blank(used) => return Asked::Settled,
            Due::Anew => 0,
            // Workers are not in step: who comes a little early asks for all.
            _ if now.millis_since(Timestamp::from_millis(self.asked_ms))
                < fleet.interval_ms.saturating_sub(fleet.interval_ms / 4) =>
            {
                return Asked::Lately;
            }
            _ if self.has_settled(used, limit.is_some(), due) => return Asked::Settled,
            Due::InUse | Due::Rests => 0,
        };
        if self.born_ms == 0 {
            self.born_ms = now.millis();
        }
        self.keep_pace(used.own());
        self.number = self.number.saturating_add(1);
        self.asked_ms = now.millis();
        let want = limit.map_or(used.spent, |limit| self.want(used, limit, waiting));
        if want < self.wanted {
            // What is given back is not spent any more, whether or not the store has heard of it.
            (self.claim, self.binding) = (self.claim.min(want), self.number);
        }
        self.wanted = want;
        let have = if limit.is_some() { self.claim.max(used.own()) } else { used.spent };
        let (window_ms, born_ms, number) = (window.millis(), self.born_ms, self.number);
        Asked::Now(Ask { window_ms, born_ms, number, spent: used.spent, have, want, limit, debt: self.debt, expires })
    }

    /// A store that lost its data misses nothing of it.
    fn is_blank(&self, used: Use) -> bool {
        used.own().max(self.claim).max(self.debt) <= 0
    }

    /// Nothing is to be said or given back.
    fn has_settled(&self, used: Use, is_leased: bool, due: Due) -> bool {
        let is_told = self.known_ms > 0 && self.told == used.spent;
        is_told && if is_leased { self.idle >= IDLE_MAX && self.claim <= used.own() } else { due == Due::Rests }
    }

    /// What a gateway wants to have claimed: what is used, what calls wait for, and what is likely used next.
    fn want(&self, used: Use, limit: i128, waiting: i128) -> i128 {
        let claimed = self.others.1.saturating_add(self.debt).saturating_add(self.claim);
        let part = limit.saturating_sub(claimed).max(0) / PART;
        let ahead = self.pace.max(waiting).saturating_mul(AHEAD).min(part);
        let want = used.own().saturating_add(waiting).saturating_add(ahead).max(used.spent);
        // What another worker asks for at this moment is not given back.
        if waiting > 0 && self.wanted > self.claim { want.max(self.wanted.saturating_add(waiting)) } else { want }
    }

    /// Follows how much is used from one request to the next: up at once, down little by little.
    fn keep_pace(&mut self, own: i128) {
        let more = own.saturating_sub(self.used).max(0);
        self.used = own;
        self.idle = if more > 0 { 0 } else { self.idle.saturating_add(1).min(IDLE_MAX) };
        let slower = self.pace.saturating_sub(self.pace / 4);
        self.pace = if self.idle >= IDLE_MAX { 0 } else { slower.max(more) };
    }

    /// Takes the answer to a request. One that was overtaken says nothing that still holds.
    pub(super) fn take(&mut self, asked: &Ask, answer: &Answer, now: Timestamp) {
        if asked.born_ms != self.born_ms || answer.number < self.binding {
            return;
        }
        self.binding = answer.number;
        self.claim = answer.claim;
        if answer.number == self.number {
            self.wanted = answer.claim;
        }
        self.others = (answer.others_spent, answer.others_claimed.max(answer.others_spent));
        self.debt = self.debt.max(answer.debt);
        self.known_ms = self.known_ms.max(now.millis());
        if answer.number == asked.number {
            self.told = asked.spent;
        }
    }
}
