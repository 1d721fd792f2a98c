//! Gateways that share an account through a store, over a network that loses, repeats, delays and reorders whatever is
//! sent: what they spend together never exceeds what a strict limit allows, and the store's sum is the truth. So it is
//! where the store loses all its data, but for what those had spent that died.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

#[path = "support/network.rs"]
mod network;
#[path = "support/store.rs"]
mod store;

use network::{Fate, Network, fates};
use proptest::prelude::*;
use std::collections::BTreeMap;
use store::Store;
use tollgate_core::config::raw::Debt;
use tollgate_core::limit::{
    Account, Asked, Asking, Due, Fleet, HoldId, Mode, Reserved, Span, Terms, Wanted, Window, Zone,
};
use tollgate_core::time::Timestamp;

const LIMIT: i128 = 1_000;
const INTERVAL_MS: u64 = 200;
const STALE_MS: u64 = 900;

#[derive(Clone, Debug)]
enum Step {
    /// A call arrives at a gateway.
    Call {
        gateway: usize,
        amount: i128,
    },
    /// A call that runs ends, with a part of what was held for it.
    End {
        which: usize,
        percent: i128,
    },
    /// A worker of a gateway comes to tell of the account.
    Tick {
        gateway: usize,
    },
    /// Something happens to a message.
    Message(Fate),
    /// A gateway dies, and another takes its place.
    Crash {
        gateway: usize,
    },
    /// The store loses all its data.
    LoseData,
    /// It grants again.
    Settle,
    Pass {
        millis: u64,
    },
}

#[derive(Default)]
struct Gateway {
    life: usize,
    account: Account,
}

struct World {
    terms: Terms,
    store: Store,
    gateways: Vec<Gateway>,
    /// By the gateway that asks.
    network: Network<String>,
    /// By gateway and life.
    running: Vec<(usize, usize, HoldId, i128)>,
    /// What was charged, by whoever lived.
    charged: BTreeMap<String, i128>,
    now: Timestamp,
    refused: u32,
}

impl World {
    fn new(mode: Mode, gateways: usize) -> Self {
        let fleet = Some(Fleet { mode, interval_ms: INTERVAL_MS, stale_ms: STALE_MS });
        let terms = Terms {
            window: Window::Fixed(Span::Day, Zone::default()),
            allowed: LIMIT,
            burst: LIMIT,
            cool_down_ms: 0,
            debt: Debt::Carry,
            thresholds: Vec::new(),
            fleet,
        };
        Self {
            terms,
            store: Store::default(),
            gateways: (0..gateways).map(|_| Gateway::default()).collect(),
            network: Network::default(),
            running: Vec::new(),
            charged: BTreeMap::new(),
            now: Timestamp::parse("2026-11-25T10:00:00Z").unwrap(),
            refused: 0,
        }
    }

    fn name(&self, gateway: usize) -> String {
        format!("{gateway}.{}", self.gateways[gateway].life)
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Call { gateway, amount } => self.call(gateway % self.gateways.len(), amount),
            Step::End { which, percent } => self.end(which, percent),
            Step::Tick { gateway } => self.ask(gateway % self.gateways.len(), Due::InUse),
            Step::Message(fate) => self.meet(&fate),
            Step::Crash { gateway } => {
                let gateway = gateway % self.gateways.len();
                let life = self.gateways[gateway].life + 1;
                self.gateways[gateway] = Gateway { life, account: Account::default() };
            }
            Step::LoseData => self.lose_data(),
            Step::Settle => self.settle(),
            Step::Pass { millis } => self.now = self.now.plus_millis(millis),
        }
    }

    fn call(&mut self, gateway: usize, amount: i128) {
        let wanted = Wanted { amount, least: None, deny_percent: Some(100), asking: Asking::May };
        match self.gateways[gateway].account.reserve(&self.terms, 1, wanted, self.now).unwrap() {
            Reserved::Held(hold, _, held) => {
                self.running.push((gateway, self.gateways[gateway].life, hold, held));
            }
            Reserved::Refused { .. } => self.refused += 1,
            Reserved::Unknown => self.ask(gateway, Due::Waits(amount)),
        }
    }

    fn end(&mut self, which: usize, percent: i128) {
        let Some(which) = which.checked_rem(self.running.len()) else { return };
        let (gateway, life, hold, held) = self.running.swap_remove(which);
        if self.gateways[gateway].life != life {
            return;
        }
        let actual = held * percent / 100;
        self.gateways[gateway].account.settle(&self.terms, Some((hold, held)), actual, self.now);
        *self.charged.entry(self.name(gateway)).or_default() += actual;
    }

    fn ask(&mut self, gateway: usize, due: Due) {
        let name = self.name(gateway);
        if let Some(Asked::Now(ask)) = self.gateways[gateway].account.ask(&self.terms, Some(100), due, self.now) {
            self.network.send(name, ask);
        }
    }

    fn meet(&mut self, fate: &Fate) {
        let Self { network, store, .. } = self;
        let Some((name, ask, answer)) = network.meet(fate, |name, ask| store.ask("w", name, ask)) else { return };
        if let Some(gateway) = (0..self.gateways.len()).find(|gateway| self.name(*gateway) == name) {
            self.gateways[gateway].account.take(&self.terms, &ask, &answer, self.now);
        }
    }

    /// Everything that is under way arrives.
    fn arrive(&mut self) {
        while !self.network.is_empty() {
            self.meet(&Fate::Arrives { which: 0, repeats: false });
        }
    }

    fn lose_data(&mut self) {
        self.store = Store { is_settling: true, ..Store::default() };
        self.forget_unknown();
    }

    /// As long after it lost its data that nothing is under way any more that was said before, and every gateway that
    /// lives has said anew what it spent and claimed.
    fn settle(&mut self) {
        if !self.store.is_settling {
            return;
        }
        self.network.clear();
        (0..self.gateways.len()).for_each(|gateway| self.ask(gateway, Due::Anew));
        // Whether they are answered, is another matter.
        (0..self.network.len()).for_each(|which| self.meet(&Fate::Arrives { which, repeats: true }));
        self.store.is_settling = false;
        self.forget_unknown();
    }

    /// What those had spent that are dead, and that the store knows nothing of, nobody knows.
    fn forget_unknown(&mut self) {
        let names: Vec<_> = (0..self.gateways.len()).map(|gateway| self.name(gateway)).collect();
        let window = self.store.windows.get("w").cloned().unwrap_or_default();
        self.charged.retain(|name, _| names.contains(name) || window.said.contains_key(name));
    }

    /// What all gateways have charged and hold: those that died included, as far as the store knows of them.
    fn used(&self) -> i128 {
        let charged: i128 = self.charged.values().sum();
        let lives = |gateway: &usize, life: &usize| self.gateways[*gateway].life == *life;
        charged
            + self.running.iter().filter(|(gateway, life, ..)| lives(gateway, life)).map(|call| call.3).sum::<i128>()
    }

    fn check_strict(&self) {
        let window = self.store.windows.get("w").cloned().unwrap_or_default();
        assert!(window.claimed() <= LIMIT, "the store grants more than there is: {window:#?}");
        assert!(self.used() <= LIMIT, "{} is spent: {window:#?}", self.used());
        if self.store.is_settling {
            return;
        }
        for gateway in 0..self.gateways.len() {
            let name = self.name(gateway);
            let running = self.running.iter().filter(|call| call.0 == gateway && call.1 == self.gateways[gateway].life);
            let own = self.charged.get(&name).copied().unwrap_or(0) + running.map(|call| call.3).sum::<i128>();
            let claim = window.said.get(&name).map_or(0, |said| said.claim);
            assert!(own <= claim, "gateway {name} spends {own} of {claim}");
        }
    }

    /// Everybody says what is to be said, and everything arrives.
    fn come_to_rest(&mut self) {
        for _ in 0..12 {
            self.now = self.now.plus_millis(INTERVAL_MS);
            for gateway in 0..self.gateways.len() {
                self.ask(gateway, Due::InUse);
            }
            self.arrive();
        }
    }

    /// What each gateway said is what it charged.
    fn check_store(&self) {
        let window = self.store.windows.get("w").cloned().unwrap_or_default();
        for gateway in 0..self.gateways.len() {
            let name = self.name(gateway);
            let charged = self.charged.get(&name).copied().unwrap_or(0);
            assert_eq!(window.said.get(&name).map_or(0, |said| said.spent), charged, "{name}: {window:#?}");
        }
    }

    fn check_sums(&self) {
        self.check_store();
        let window = self.store.windows.get("w").cloned().unwrap_or_default();
        for gateway in 0..self.gateways.len() {
            let name = self.name(gateway);
            let charged = self.charged.get(&name).copied().unwrap_or(0);
            let others: i128 =
                window.said.iter().filter(|(known, _)| **known != name).map(|(_, said)| said.spent).sum();
            let balance = self.gateways[gateway].account.clone().stand(&self.terms, self.now);
            // Who has nothing to say of a strict limit asks again when it is used.
            let is_strict = self.terms.fleet.is_some_and(|fleet| fleet.mode == Mode::Strict);
            assert!(balance.spent <= others + charged, "{name} knows of no more than all have spent");
            assert!(is_strict || balance.spent == others + charged, "{name} knows what all have spent");
        }
    }
}

/// What happens; with so many losses of the store's data in a hundred steps.
fn steps(losses: u32) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (any::<usize>(), 1..60_i128).prop_map(|(gateway, amount)| Step::Call { gateway, amount }),
        5 => (any::<usize>(), 0..=100_i128).prop_map(|(which, percent)| Step::End { which, percent }),
        3 => any::<usize>().prop_map(|gateway| Step::Tick { gateway }),
        11 => fates(18).prop_map(Step::Message),
        1 => any::<usize>().prop_map(|gateway| Step::Crash { gateway }),
        3 => prop_oneof![1..250_u64, 1..3_000_u64].prop_map(|millis| Step::Pass { millis }),
        losses => prop_oneof![Just(Step::LoseData), Just(Step::Settle)],
    ];
    prop::collection::vec(step, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 256 } else { 2_048 }))]

    #[test]
    fn leases_never_exceed_a_strict_limit_and_sums_are_the_truth(gateways in 1..5_usize, steps in steps(0)) {
        let mut world = World::new(Mode::Strict, gateways);
        for step in steps {
            world.take(step);
            world.check_strict();
        }
        world.come_to_rest();
        world.check_strict();
        world.check_sums();
    }

    #[test]
    fn leases_never_exceed_what_a_strict_limit_leaves_to_those_who_live_where_the_store_loses_its_data(
        gateways in 1..5_usize, steps in steps(1),
    ) {
        let mut world = World::new(Mode::Strict, gateways);
        for step in steps {
            world.take(step);
            world.check_strict();
        }
        world.settle();
        world.come_to_rest();
        world.check_strict();
        world.check_store();
    }

    #[test]
    fn eventual_sums_are_the_truth_once_everything_has_arrived(gateways in 1..5_usize, steps in steps(0)) {
        let mut world = World::new(Mode::Eventual, gateways);
        for step in steps {
            world.take(step);
        }
        world.come_to_rest();
        world.check_sums();
    }
}

/// Calls of one unit at all gateways in turn, each of which is answered at once, until one is refused.
fn spend_all(mode: Mode) -> (i128, World) {
    let mut world = World::new(mode, 3);
    for round in 0_u64..10_000 {
        let gateway = usize::try_from(round % 3).unwrap();
        for _ in 0..8 {
            world.call(gateway, 2);
            world.arrive();
            if world.refused > 0 {
                return (world.used(), world);
            }
            world.end(0, 100);
        }
        world.now = world.now.plus_millis(20);
        if round % 10 == 0 {
            (0..3).for_each(|gateway| world.ask(gateway, Due::InUse));
            world.arrive();
        }
    }
    (world.used(), world)
}

#[test]
fn gateways_that_lease_spend_nearly_all_of_a_budget_before_one_refuses() {
    let (used, world) = spend_all(Mode::Strict);
    world.check_strict();
    assert!(used * 100 >= LIMIT * 97, "{used} of {LIMIT}");
}

#[test]
fn an_idle_gateway_gives_back_what_it_leased() {
    let mut world = World::new(Mode::Strict, 2);
    world.call(0, 40);
    world.arrive();
    world.call(0, 40);
    world.end(0, 50);
    assert!(world.store.windows["w"].claimed() > 40, "more than one call's amount is leased");
    world.come_to_rest();
    assert_eq!(world.store.windows["w"].claimed(), 20, "what was spent stays");
}

#[test]
fn a_store_that_lost_its_data_is_told_of_all_claims_before_it_grants_again_whoever_asks_first() {
    let mut world = World::new(Mode::Strict, 3);
    for gateway in [0, 1] {
        for _ in 0..4 {
            world.call(gateway, 100);
            world.arrive();
        }
    }
    let before = world.used();
    assert!(before > 0);
    world.lose_data();
    // Nobody knows yet of the third one, nor it of anybody.
    world.call(2, 500);
    world.arrive();
    world.call(2, 500);
    assert_eq!(world.used(), before, "nothing is granted meanwhile");
    world.settle();
    assert!(world.store.windows["w"].claimed() >= before);
    for _ in 0..LIMIT {
        world.call(2, 1);
        world.arrive();
        world.check_strict();
    }
    assert!(world.used() > before, "what is left is granted");
}

#[test]
fn a_store_that_lost_its_data_is_told_of_an_account_that_rests_and_of_none_that_was_not_used() {
    let mut world = World::new(Mode::Strict, 2);
    world.call(0, 40);
    world.arrive();
    world.call(0, 40);
    world.end(0, 100);
    world.come_to_rest();
    world.ask(0, Due::Rests);
    assert!(world.network.is_empty(), "all is said");
    world.lose_data();
    world.ask(1, Due::Anew);
    assert!(world.network.is_empty(), "there is nothing to say");
    world.settle();
    assert_eq!(world.store.windows["w"].spent(), 40);
}

#[test]
fn a_store_that_lost_its_data_is_told_of_what_its_last_answers_before_allowed() {
    let mut world = World::new(Mode::Strict, 2);
    world.call(0, 100);
    world.arrive();
    (0..2).for_each(|_| world.call(0, 100));
    world.now = world.now.plus_millis(INTERVAL_MS);
    world.ask(0, Due::InUse);
    world.meet(&Fate::Arrives { which: 0, repeats: false });
    world.call(0, 20);
    world.lose_data();
    world.ask(0, Due::Anew);
    world.meet(&Fate::Arrives { which: 1, repeats: false });
    // The answer of before comes first, the one of after says less.
    world.meet(&Fate::Arrives { which: 0, repeats: false });
    world.call(0, 60);
    assert_eq!(world.used(), 280);
    world.arrive();
    world.settle();
    for _ in 0..LIMIT {
        world.call(1, 1);
        world.arrive();
        world.check_strict();
    }
}
