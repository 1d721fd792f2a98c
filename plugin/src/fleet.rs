//! What this worker tells the other gateways of a fleet, and hears of them, through the store that they share.
//!
//! Every account in use is told of once in an interval, by whichever worker comes to it first: the account itself says
//! when it was told of last. Where a call cannot be decided by what is known, it waits for an answer; many calls wait
//! for one. A store that lost its data is told of every account anew; so that this does not take long to be noticed, no
//! worker that heard of the store once is silent for long.
//! Invariants: what is kept, under way and waiting is bounded; a call that waits is told, answer or not; a request that
//! fails is made again later, by a new one that says everything anew.
//! Must not know: what is said of an account, how the store adds it up.

use crate::abi::{self, LogLevel};
use crate::brake;
use crate::output::Metrics;
use crate::store::Store;
use std::collections::HashMap;
use tollgate_core::config::raw::RawStore;
use tollgate_core::fleet::{self, ASKS_MAX, Asks, Process, SILENCE_MS, Said};
use tollgate_core::ledger::Key;
use tollgate_core::limit::{Account, Asked, Change, Due, Limit, Mode};
use tollgate_core::meter::Done;
use tollgate_core::names::{STORE_LOG_PREFIX, label, metric};
use tollgate_core::time::Timestamp;

/// Most accounts that a worker tells of.
const USED_MAX: usize = 16_384;
/// Most requests under way beside those that calls wait for.
const SENT_MAX: usize = 4;
/// An account that was not used for so long is not told of until it is used again.
const REST_MS: u64 = 60_000;
/// The first pause after a failure; it doubles, until silence would last too long.
const PAUSE_FIRST_MS: u64 = 100;

/// The store, as one worker sees it.
pub(crate) struct Fleet {
    store: RawStore,
    process: Process,
    /// What the last answer said of the store's data: another one has lost what this one held.
    generation: Option<String>,
    used: HashMap<Box<str>, Used>,
    /// Accounts of other workers, or of this gateway before it was configured anew, are to be looked for.
    must_look: bool,
    /// The store has not been told of all accounts since it lost its data.
    has_more: bool,
    sent: Vec<Sent>,
    waiting: Vec<Waiting>,
    /// In a row.
    failures: u32,
    not_before: Timestamp,
    /// When the store last answered.
    heard: Timestamp,
}

/// An account in use.
struct Used {
    /// Its limit, by its place in the configuration.
    limit: usize,
    last: Timestamp,
    /// When it was last looked at.
    looked: Timestamp,
    /// The store may have lost what it was told of it.
    is_lost: bool,
}

/// A request under way.
struct Sent {
    token: u32,
    /// The call that made it itself; `None` where the root did, for all that wait.
    own: Option<u32>,
    at: Timestamp,
    asks: Asks,
}

/// A call that waits for what is said of an account.
struct Waiting {
    context: u32,
    account: Box<str>,
    amount: i128,
    /// It made a request itself, and its gateway goes on with it at the answer to that alone.
    is_own: bool,
}

/// What a worker keeps what it hears in.
pub(crate) struct Books<'a> {
    pub(crate) limits: &'a [Limit],
    pub(crate) store: &'a mut Store,
    pub(crate) metrics: &'a mut Metrics,
    pub(crate) now: Timestamp,
}

impl Fleet {
    pub(crate) fn new(store: &RawStore, process: Process, now: Timestamp) -> Self {
        Self {
            store: store.clone(),
            process,
            generation: None,
            used: HashMap::new(),
            must_look: true,
            has_more: false,
            sent: Vec::new(),
            waiting: Vec::new(),
            failures: 0,
            not_before: Timestamp::default(),
            heard: now,
        }
    }

    /// An account is in use.
    pub(crate) fn touch(&mut self, account: &Key<Account>, limit: usize, now: Timestamp, metrics: &mut Metrics) {
        if let Some(used) = self.used.get_mut(account.as_str()) {
            (used.limit, used.last) = (limit, now);
        } else if self.used.len() < USED_MAX {
            let used = Used { limit, last: now, looked: Timestamp::default(), is_lost: false };
            self.used.insert(account.as_str().into(), used);
        } else {
            metrics.count(metric::STORE_ERRORS, &[(label::REASON, "too_many_accounts")], 1);
        }
    }

    /// A call waits for what is said of an account; `false` where it would wait in vain. `is_own` where it must make the
    /// request itself.
    pub(crate) fn wait(
        &mut self,
        context: u32,
        (account, amount): (&Key<Account>, i128),
        is_own: bool,
        books: &mut Books<'_>,
    ) -> bool {
        if books.now < self.not_before {
            return false;
        }
        self.waiting.push(Waiting { context, account: account.as_str().into(), amount, is_own });
        let is_asked = self.sent.iter().any(|sent| sent.asks.iter().any(|(asked, _)| asked == account));
        if is_asked && !is_own {
            return true;
        }
        let Some(ask) = self.due(account, true, books) else { return self.forget(context) };
        self.send(vec![ask], is_own.then_some(context), books) || self.forget(context)
    }

    /// A call waits no longer.
    pub(crate) fn forget(&mut self, context: u32) -> bool {
        self.waiting.retain(|waiting| waiting.context != context);
        false
    }

    /// Time to say what is to be said.
    pub(crate) fn on_tick(&mut self, books: &mut Books<'_>) {
        let (now, interval) = (books.now, u64::from(self.store.interval_ms));
        // Answers to calls that broke off never come.
        let patience = u64::from(self.store.timeout_ms).saturating_mul(4);
        for sent in self.sent.extract_if(.., |sent| now.millis_since(sent.at) >= patience) {
            lose(&mut self.used, &sent.asks);
        }
        if self.must_look {
            self.look(books);
        }
        let lag = if self.used.is_empty() { 0 } else { now.millis_since(self.heard) };
        books.metrics.set(metric::STORE_LAG, &[], lag);
        if now < self.not_before {
            return;
        }
        let room = SENT_MAX.saturating_sub(self.sent.len()).saturating_mul(ASKS_MAX);
        let is_due = |looked: Timestamp| now.millis_since(looked) >= interval / 2;
        let mut looked: Vec<u64> =
            self.used.values().map(|used| used.looked).filter(|at| is_due(*at)).map(Timestamp::millis).collect();
        // Those that were not looked at for longest come first.
        looked.sort_unstable();
        let latest = looked.get(room).or(looked.last()).copied().unwrap_or(0);
        let due = self.used.iter().filter(|(_, used)| is_due(used.looked) && used.looked.millis() <= latest);
        let due: Vec<_> = due.take(room).filter_map(|(key, _)| Key::of_text(key)).collect();
        let asks: Vec<_> = due.iter().filter_map(|account| self.due(account, false, books)).collect();
        self.has_more = self.used.values().any(|used| used.is_lost);
        for asks in asks.chunks(ASKS_MAX) {
            self.send(asks.to_vec(), None, books);
        }
        let silence = now.millis_since(self.heard).saturating_add(interval);
        if self.generation.is_some() && self.sent.is_empty() && silence > SILENCE_MS {
            self.send(Asks::new(), None, books);
        }
    }

    /// The store answered, or did not (status 0): to the call that made the request itself, or to all that wait for what it
    /// asked. Gives these calls, and whether they were answered.
    pub(crate) fn on_answer(
        &mut self,
        token: u32,
        (status, body): (u16, &[u8]),
        books: &mut Books<'_>,
    ) -> Vec<(u32, bool)> {
        let Some(place) = self.sent.iter().position(|sent| sent.token == token) else { return Vec::new() };
        let Sent { asks, own, .. } = self.sent.swap_remove(place);
        let said = self.learn(&asks, status, body, books);
        let is_asked = |waiting: &Waiting| asks.iter().any(|(account, _)| account.as_str() == &*waiting.account);
        let is_told = |waiting: &Waiting| match own {
            Some(own) => waiting.context == own,
            None => !waiting.is_own && is_asked(waiting),
        };
        let (told, others) = std::mem::take(&mut self.waiting).into_iter().partition(is_told);
        self.waiting = others;
        let told: Vec<Waiting> = told;
        let is_leased = |waiting: &Waiting| {
            let limit = self.used.get(&waiting.account).and_then(|used| books.limits.get(used.limit));
            limit.and_then(Limit::fleet).is_some_and(|fleet| fleet.mode == Mode::Strict)
        };
        // A store that grants nothing for now says nothing of what a call may spend.
        let is_answered = |waiting: &Waiting| said.as_ref().is_some_and(|said| said.grants || !is_leased(waiting));
        told.iter().map(|waiting| (waiting.context, is_answered(waiting))).collect()
    }

    /// Takes an answer, where it is one.
    fn learn(&mut self, asks: &Asks, status: u16, body: &[u8], books: &mut Books<'_>) -> Option<Said> {
        let Some(said) = fleet::said(body, asks.len()).filter(|_| status == 200) else {
            lose(&mut self.used, asks);
            let reason = match status {
                0 => "unreachable",
                200 => "unreadable",
                _ => "refused",
            };
            self.fail(reason, status, body, books);
            return None;
        };
        self.hear(&said.generation, books.now);
        for ((account, ask), answer) in asks.iter().zip(&said.answers) {
            self.used.get_mut(account.as_str()).into_iter().for_each(|used| used.is_lost = false);
            let Some(limit) = self.limit(account, books) else { continue };
            if let Some(change) = Change::take(account, limit, ask, answer) {
                brake::make(&change, books.store, books.metrics, books.now);
            }
        }
        Some(said)
    }

    /// The limit of an account, as long as it is in use.
    fn limit<'l>(&self, account: &Key<Account>, books: &Books<'l>) -> Option<&'l Limit> {
        books.limits.get(self.used.get(account.as_str())?.limit)
    }

    /// What is to be said of an account now, if anything is.
    fn due(
        &mut self,
        account: &Key<Account>,
        is_awaited: bool,
        books: &mut Books<'_>,
    ) -> Option<(Key<Account>, fleet::Ask)> {
        let limit = self.limit(account, books)?;
        let used = self.used.get_mut(account.as_str())?;
        used.looked = books.now;
        let rests = books.now.millis_since(used.last) > REST_MS;
        let of_account = |waiting: &&Waiting| &*waiting.account == account.as_str();
        let amounts = self.waiting.iter().filter(of_account).map(|waiting| waiting.amount);
        let due = match (is_awaited, used.is_lost, rests) {
            (true, ..) => Due::Waits(amounts.fold(0, i128::saturating_add)),
            (false, true, _) => Due::Anew,
            (false, false, false) => Due::InUse,
            (false, false, true) => Due::Rests,
        };
        let done = brake::make(&Change::ask(account, limit, due)?, books.store, books.metrics, books.now)?;
        // From here on it is told, unless that fails.
        used.is_lost = false;
        match done {
            Done::Asked(Asked::Now(ask)) => Some((account.clone(), ask)),
            Done::Asked(Asked::Settled) if rests => {
                self.used.remove(account.as_str());
                None
            }
            _ => None,
        }
    }

    fn send(&mut self, asks: Asks, own: Option<u32>, books: &mut Books<'_>) -> bool {
        let (headers, body) = fleet::request(&self.store, &self.process, self.has_more, &asks);
        let called = abi::http_call(&self.store.target, &headers, &body, self.store.timeout_ms);
        let token = books.metrics.note("http_call", called);
        match token {
            Some(token) => self.sent.push(Sent { token, own, at: books.now, asks }),
            None => {
                lose(&mut self.used, &asks);
                self.fail("unreachable", 0, &[], books);
            }
        }
        token.is_some()
    }

    /// The store cannot be asked for a while.
    fn fail(&mut self, reason: &str, status: u16, body: &[u8], books: &mut Books<'_>) {
        books.metrics.count(metric::STORE_ERRORS, &[(label::REASON, reason)], 1);
        if self.failures == 0 {
            let said = String::from_utf8_lossy(body.get(..body.len().min(200)).unwrap_or_default());
            let told = serde_json::json!({"state": "unreachable", "reason": reason, "status": status, "said": said});
            abi::log(LogLevel::Warn, &format!("{STORE_LOG_PREFIX}{told}"));
        }
        self.failures = self.failures.saturating_add(1);
        let pause = PAUSE_FIRST_MS.saturating_mul(1 << self.failures.saturating_sub(1).min(16)).min(SILENCE_MS);
        self.not_before = books.now.plus_millis(pause);
    }

    /// The store answered.
    fn hear(&mut self, generation: &str, now: Timestamp) {
        if self.failures > 0 {
            let told = serde_json::json!({"state": "back", "after_ms": now.millis_since(self.heard)});
            abi::log(LogLevel::Warn, &format!("{STORE_LOG_PREFIX}{told}"));
        }
        if self.generation.as_ref().is_some_and(|known| known != generation) {
            let told = serde_json::json!({"state": "lost_data"});
            abi::log(LogLevel::Warn, &format!("{STORE_LOG_PREFIX}{told}"));
            self.used.values_mut().for_each(|used| used.is_lost = true);
            (self.must_look, self.has_more) = (true, true);
        }
        (self.failures, self.heard) = (0, now);
        self.generation = Some(generation.to_owned());
    }

    /// Looks for accounts in the ledger that this worker does not know of, and whose gateway may not have told of them.
    fn look(&mut self, books: &mut Books<'_>) {
        self.must_look = false;
        let (limits, metrics, now) = (books.limits, &mut *books.metrics, books.now);
        let read = books.store.read_all(now, |bucket| {
            for (account, limit) in fleet::accounts(bucket, limits) {
                self.touch(&account, limit, now, metrics);
                self.used.get_mut(account.as_str()).into_iter().for_each(|used| used.is_lost = true);
            }
        });
        books.metrics.note_store(read);
    }
}

/// The store may not know of these accounts what it was told.
fn lose(used: &mut HashMap<Box<str>, Used>, asks: &Asks) {
    for (account, _) in asks {
        used.get_mut(account.as_str()).into_iter().for_each(|used| used.is_lost = true);
    }
}
