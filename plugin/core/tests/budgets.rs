//! Budgets against a simple model: calls of several workers in any order, with any ending, over crashes and the edges of
//! windows. Changes of the ledger are the atoms: between any two of one call, other calls go on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

#[path = "support/ledger.rs"]
mod ledger;

use ledger::apply;
use proptest::prelude::*;
use std::collections::BTreeMap;
use tollgate_core::config::Config;
use tollgate_core::event::Event;
use tollgate_core::head::{Headers, RequestHead, ResponseHead};
use tollgate_core::ledger::{Bucket, BucketId};
use tollgate_core::limit::{Account, Balance, Limit, Window};
use tollgate_core::meter::{Body, Call, Ending, Meter, Verdict};
use tollgate_core::time::Timestamp;

const CONFIG: &str = r#"{
    "prices": [{"model": "m", "input_per_million": "1", "output_per_million": "5"}],
    "limits": [
        {"id": "minute", "measure": "cost_usd", "per": "minute", "limit": "0.004", "reserve": "upper_bound"},
        {"id": "hour", "measure": "tokens", "per": "hour", "key": ["api_key"], "limit": 2000, "reserve": "upper_bound"},
        {"id": "day", "measure": "cost_usd", "per": "day", "key": ["api_key", "model"], "limit": "0.03", "reserve": "upper_bound"},
        {"id": "bucket", "measure": "requests", "per": "minute", "refill": "steadily", "limit": 20, "burst": 12},
        {"id": "capped", "measure": "output_tokens", "per": "minute", "limit": 1500, "reserve": "upper_bound", "action": "cap_output"},
        {"id": "in-flight", "measure": "concurrency", "key": ["api_key"], "limit": 4}
    ]
}"#;
const WORKERS: usize = 3;
/// After so long nothing of a dead worker is held.
const FORGOTTEN_MS: u64 = 15 * 60 * 1_000;

#[derive(Clone, Debug)]
enum Step {
    /// A call arrives at a worker, with a key and the most output it allows.
    Arrive { worker: usize, key: u8, cap: u64 },
    /// A call that is being admitted makes its next change.
    Admit { which: usize },
    /// A call that runs ends.
    End { which: usize, output: u64, ending: Ending },
    /// A worker dies, with all its calls.
    Crash { worker: usize },
    /// Time passes, in which calls that run are renewed.
    Pass { seconds: u64 },
}

/// A call in the model: what is held for it, by limit and key.
struct Running {
    worker: usize,
    call: Call,
    cap: u64,
    held: Vec<(String, i128)>,
}

struct World {
    meters: Vec<Meter>,
    /// Names of the workers; one that died comes back under another.
    names: Vec<u64>,
    store: BTreeMap<BucketId, Vec<u8>>,
    now: Timestamp,
    arriving: Vec<Running>,
    running: Vec<Running>,
    /// What was charged, when, by limit and key.
    charged: Vec<(String, Timestamp, i128)>,
    last_crash: Option<Timestamp>,
}

impl World {
    fn new() -> Self {
        let config = Config::parse(CONFIG.as_bytes()).unwrap();
        Self {
            meters: (0..WORKERS).map(|_| Meter::new(config.clone(), [1, 2])).collect(),
            names: (0..WORKERS as u64).collect(),
            store: BTreeMap::new(),
            now: Timestamp::parse("2026-11-25T23:50:00Z").unwrap(),
            arriving: Vec::new(),
            running: Vec::new(),
            charged: Vec::new(),
            last_crash: None,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Arrive { worker, key, cap } => self.arrive(worker, key, cap),
            Step::Admit { which } => {
                if let Some(which) = which.checked_rem(self.arriving.len()) {
                    self.admit(which);
                }
            }
            Step::End { which, output, ending } => {
                if let Some(which) = which.checked_rem(self.running.len()) {
                    self.end(which, output, ending);
                }
            }
            Step::Crash { worker } => {
                self.names[worker] += 100;
                self.arriving.retain(|running| running.worker != worker);
                self.running.retain(|running| running.worker != worker);
                self.last_crash = Some(self.now);
            }
            Step::Pass { seconds } => self.pass(seconds),
        }
    }

    fn arrive(&mut self, worker: usize, key: u8, cap: u64) {
        let authorization = format!("Bearer sk-{key}");
        let headers = [("authorization", authorization.as_str())];
        let head = RequestHead {
            method: "POST",
            path: "/v1/chat/completions",
            headers: Headers::new(&headers),
            ..RequestHead::default()
        };
        let meter = &mut self.meters[worker];
        let mut call = meter.open(&head, "id".to_owned(), self.now).unwrap();
        call.allow_changes(true, true);
        let body = format!(r#"{{"model":"m","max_tokens":{cap},"messages":[{{"role":"user","content":"hello"}}]}}"#);
        assert_eq!(meter.admit(&mut call, Body::Whole(body.as_bytes())), Verdict::Forward);
        self.arriving.push(Running { worker, call, cap, held: Vec::new() });
    }

    /// One change, or the decision where none is left.
    fn admit(&mut self, which: usize) {
        let running = &mut self.arriving[which];
        let (meter, name) = (&self.meters[running.worker], self.names[running.worker]);
        if let Some(change) = meter.next_change(&running.call, name) {
            let done = apply(&mut self.store, &change, self.now);
            return meter.take_change(&mut running.call, Some(&done));
        }
        let mut running = self.arriving.swap_remove(which);
        let meter = &mut self.meters[running.worker];
        let verdict = meter.admitted(&mut running.call, self.now);
        let mut event = meter.so_far(&running.call, self.now);
        match verdict {
            Verdict::Deny(_) => self.check_refusal(&mut event),
            _ => {
                let left = event.changes.as_ref().and_then(|changes| Some(changes.max_output_tokens.as_ref()?.to));
                assert!(left.is_none_or(|left| left < running.cap), "output is only ever lowered");
                running.cap = left.unwrap_or(running.cap);
                running.held = findings(&event, "amount", &self.meters[0].config().limits);
                self.running.push(running);
            }
        }
    }

    fn end(&mut self, which: usize, output: u64, ending: Ending) {
        let Running { worker, mut call, cap, .. } = self.running.swap_remove(which);
        let meter = &mut self.meters[worker];
        let output = output.min(cap);
        if ending == Ending::Complete {
            let head = ResponseHead { status: 200, headers: Headers::default() };
            meter.respond(&mut call, &head);
            let answer = format!(
                r#"{{"choices":[{{"message":{{"content":"x"}}}}],"usage":{{"prompt_tokens":8,"completion_tokens":{output}}}}}"#
            );
            meter.read(&mut call, answer.as_bytes(), self.now);
        }
        let claims = call.take_claims();
        let mut event = meter.end(call, ending, self.now);
        for number in 0..claims.len() {
            let Some((change, charged)) = meter.settlement(&claims, number, &event) else { continue };
            let done = apply(&mut self.store, &change, self.now);
            meter.settled(&claims, number, charged, Some(&done), &mut event);
        }
        let limits = &self.meters[0].config().limits;
        let charged = findings(&event, "charged", limits);
        let cost = event.cost_usd.map(tollgate_core::money::Usd::femto).unwrap();
        for (name, amount) in charged {
            if name.starts_with("minute") || name.starts_with("day") {
                assert_eq!(amount, cost, "{name}: charged is what the event says the call cost");
            }
            self.charged.push((name, self.now, amount));
        }
    }

    fn pass(&mut self, seconds: u64) {
        while !self.arriving.is_empty() {
            self.admit(0);
        }
        self.now = self.now.plus_millis(seconds * 1_000);
        for running in &mut self.running {
            let (meter, call) = (&self.meters[running.worker], &mut running.call);
            if !call.must_renew(self.now) {
                continue;
            }
            for number in 0..call.claim_count() {
                let Some(change) = meter.renewal(call, number) else { continue };
                let done = apply(&mut self.store, &change, self.now);
                call.renewed(number, Some(&done), self.now);
            }
        }
    }

    /// Every account with its limit, by limit and key.
    fn accounts(&self) -> BTreeMap<String, (&Limit, Balance)> {
        let limits = &self.meters[0].config().limits;
        let mut accounts = BTreeMap::new();
        for value in self.store.values() {
            let bucket = Bucket::decode(Some(value), self.now).unwrap();
            for (key, account) in bucket.records::<Account>() {
                let limit = limits.iter().find(|limit| key.contains(&format!(":{}/", limit.id))).unwrap();
                let balance = account.stand(&limit.budget.as_ref().unwrap().terms, self.now);
                // A part of a key is written with its length; the hash of an API key has sixteen letters.
                let hash = key.split("17:=").nth(1).unwrap_or_default();
                assert!(accounts.insert(format!("{} {hash}", limit.id), (limit, balance)).is_none(), "{key}");
            }
        }
        accounts
    }

    /// Nothing is refused while there is room for what is charged, held and asked for.
    fn check_refusal(&self, event: &mut Event) {
        // Whose output can be capped makes do with sixteen tokens.
        for found in event.limits.iter_mut().filter(|found| found.id == "capped") {
            let amount: u64 = found.amount.as_ref().unwrap().parse().unwrap();
            found.amount = Some(amount.min(16).to_string());
        }

        let refusing: Vec<_> = event.limits.iter().filter(|finding| finding.denies()).collect();
        assert_eq!(refusing.len(), 1, "{refusing:#?}");
        let [spent, held, amount, limit] = ["spent", "held", "amount", "limit"].map(|field| {
            let all = findings(event, field, &self.meters[0].config().limits);
            all.into_iter().find(|(name, _)| name.starts_with(&refusing[0].id)).unwrap().1
        });
        assert!(spent + held + amount > limit, "{refusing:#?}");
    }

    fn check(&self) {
        for (name, (limit, balance)) in self.accounts() {
            assert!(balance.used() <= balance.allowed, "{name} is exceeded: {balance:?}");
            let window = limit.budget.as_ref().unwrap().terms.window;
            let of = |known: &str| known == name;
            if let Window::Fixed(..) = window {
                let since = window.start(self.now);
                let charged = self.charged.iter().filter(|(known, at, _)| of(known) && *at >= since);
                let sum: i128 = charged.map(|(_, _, amount)| amount).sum();
                assert_eq!(balance.spent, sum, "{name}: what is spent is what was charged");
            }
            let held: i128 = self
                .running
                .iter()
                .flat_map(|running| &running.held)
                .filter(|(known, _)| of(known))
                .map(|(_, amount)| amount)
                .sum();
            let is_settled = self.last_crash.is_none_or(|at| self.now.millis_since(at) > FORGOTTEN_MS);
            if self.arriving.is_empty() && is_settled {
                assert_eq!(balance.held, held, "{name}: what is held is held for calls that run");
            } else {
                assert!(balance.held >= held, "{name}: every call that runs holds its amount");
            }
        }
    }
}

/// What an event's limits say in a field, by limit and key.
fn findings(event: &Event, field: &str, limits: &[Limit]) -> Vec<(String, i128)> {
    let event = serde_json::to_value(event).unwrap();
    let found = event["limits"].as_array().unwrap().iter().filter_map(|finding| {
        let limit = limits.iter().find(|limit| finding["id"] == *limit.id).unwrap();
        let text = finding[field].as_str()?;
        let hash = finding["key"]["api_key"].as_str().unwrap_or_default();
        let amount = tollgate_core::limit::Gauge::parse(limit.gauge.measure, text).unwrap();
        Some((format!("{} {hash}", limit.id), amount))
    });
    found.collect()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ending = prop_oneof![Just(Ending::Complete), Just(Ending::ClientGone), Just(Ending::LocalReply)];
    let step = prop_oneof![
        4 => (0..WORKERS, 0..3_u8, 1..600_u64).prop_map(|(worker, key, cap)| Step::Arrive { worker, key, cap }),
        12 => any::<usize>().prop_map(|which| Step::Admit { which }),
        4 => (any::<usize>(), 0..700_u64, ending).prop_map(|(which, output, ending)| Step::End { which, output, ending }),
        1 => (0..WORKERS).prop_map(|worker| Step::Crash { worker }),
        2 => prop_oneof![0..30_u64, 0..240_u64].prop_map(|seconds| Step::Pass { seconds }),
    ];
    prop::collection::vec(step, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 96 } else { 512 }))]

    #[test]
    fn no_budget_is_exceeded_all_charges_are_exact_and_nothing_stays_held(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            world.check();
        }
        world.pass(0);
        while !world.running.is_empty() {
            world.end(0, 7, Ending::Complete);
        }
        world.check();
        // Four minutes at most between looks, as long as calls run; now none does.
        world.now = world.now.plus_millis(FORGOTTEN_MS + 1);
        world.check();
        for (name, (_, balance)) in world.accounts() {
            prop_assert_eq!(balance.held, 0, "{} leaks", name);
        }
    }
}
