//! Gateways that share an account through a store, over a network that loses, repeats, delays and reorders whatever is
//! sent: what they spend together never exceeds what a strict limit allows, and the store's sum is the truth.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

#[path = "support/store.rs"]
mod store;

use proptest::prelude::*;
use std::collections::BTreeMap;
use store::Store;
use tollgate_core::config::raw::Debt;
use tollgate_core::limit::{
    Account, Answer, Ask, Asked, Asking, Due, Fleet, HoldId, Mode, Reserved, Span, Terms, Wanted, Window, Zone,
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
    /// A message arrives; what is repeated stays on its way.
    Deliver {
        which: usize,
        repeats: bool,
    },
    /// A message is lost.
    Lose {
        which: usize,
    },
    /// A gateway dies, and another takes its place.
    Crash {
        gateway: usize,
    },
    Pass {
        millis: u64,
    },
}

/// A message on its way, with the gateway that sent the request.
#[derive(Clone, Debug)]
enum Message {
    Request(String, Ask),
    Answer(String, Ask, Answer),
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
    network: Vec<Message>,
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
            network: Vec::new(),
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
            Step::Deliver { which, repeats } => self.deliver(which, repeats),
            Step::Lose { which } => {
                if let Some(which) = which.checked_rem(self.network.len()) {
                    self.network.swap_remove(which);
                }
            }
            Step::Crash { gateway } => {
                let gateway = gateway % self.gateways.len();
                let life = self.gateways[gateway].life + 1;
                self.gateways[gateway] = Gateway { life, account: Account::default() };
            }
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
            self.network.push(Message::Request(name, ask));
        }
    }

    fn deliver(&mut self, which: usize, repeats: bool) {
        let Some(which) = which.checked_rem(self.network.len()) else { return };
        let message = if repeats { self.network[which].clone() } else { self.network.swap_remove(which) };
        match message {
            Message::Request(name, ask) => {
                let answer = self.store.ask("w", &name, &ask);
                self.network.push(Message::Answer(name, ask, answer));
            }
            Message::Answer(name, ask, answer) => {
                let gateway = (0..self.gateways.len()).find(|gateway| self.name(*gateway) == name);
                if let Some(gateway) = gateway {
                    self.gateways[gateway].account.take(&self.terms, &ask, &answer, self.now);
                }
            }
        }
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
            while !self.network.is_empty() {
                self.deliver(0, false);
            }
        }
    }

    fn check_sums(&self) {
        let window = self.store.windows.get("w").cloned().unwrap_or_default();
        for gateway in 0..self.gateways.len() {
            let name = self.name(gateway);
            let charged = self.charged.get(&name).copied().unwrap_or(0);
            assert_eq!(
                window.said.get(&name).map_or(0, |said| said.spent),
                charged,
                "what {name} said is what it charged"
            );
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

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (any::<usize>(), 1..60_i128).prop_map(|(gateway, amount)| Step::Call { gateway, amount }),
        5 => (any::<usize>(), 0..=100_i128).prop_map(|(which, percent)| Step::End { which, percent }),
        3 => any::<usize>().prop_map(|gateway| Step::Tick { gateway }),
        9 => (any::<usize>(), prop::bool::weighted(0.2)).prop_map(|(which, repeats)| Step::Deliver { which, repeats }),
        2 => any::<usize>().prop_map(|which| Step::Lose { which }),
        1 => any::<usize>().prop_map(|gateway| Step::Crash { gateway }),
        3 => prop_oneof![1..250_u64, 1..3_000_u64].prop_map(|millis| Step::Pass { millis }),
    ];
    prop::collection::vec(step, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 256 } else { 2_048 }))]

    #[test]
    fn leases_never_exceed_a_strict_limit_and_sums_are_the_truth(gateways in 1..5_usize, steps in steps()) {
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
    fn eventual_sums_are_the_truth_once_everything_has_arrived(gateways in 1..5_usize, steps in steps()) {
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
            while !world.network.is_empty() {
                world.deliver(0, false);
            }
            if world.refused > 0 {
                return (world.used(), world);
            }
            world.end(0, 100);
        }
        world.now = world.now.plus_millis(20);
        if round % 10 == 0 {
            (0..3).for_each(|gateway| world.ask(gateway, Due::InUse));
            while !world.network.is_empty() {
                world.deliver(0, false);
            }
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
    world.deliver(0, false);
    world.deliver(0, false);
    world.call(0, 40);
    world.end(0, 50);
    assert!(world.store.windows["w"].claimed() > 40, "more than one call's amount is leased");
    world.come_to_rest();
    assert_eq!(world.store.windows["w"].claimed(), 20, "what was spent stays");
}

#[test]
fn a_store_that_lost_its_data_is_told_of_all_claims_before_it_grants_again() {
    let mut world = World::new(Mode::Strict, 2);
    for gateway in [0, 1] {
        for _ in 0..4 {
            world.call(gateway, 100);
            while !world.network.is_empty() {
                world.deliver(0, false);
            }
        }
    }
    let before = world.used();
    world.store = Store { is_settling: true, ..Store::default() };
    world.now = world.now.plus_millis(INTERVAL_MS);
    world.call(0, 500);
    (0..2).for_each(|gateway| world.ask(gateway, Due::InUse));
    while !world.network.is_empty() {
        world.deliver(0, false);
    }
    world.store.is_settling = false;
    world.check_strict();
    assert_eq!(world.used(), before, "nothing was granted meanwhile");
    assert!(world.store.windows["w"].claimed() >= before);
}
