//! Calls at several gateways that share budgets, from admission to settlement, over a network that loses, repeats and
//! reorders: strict budgets are never exceeded, whatever waits, is given up or dies on the way, and all charges are exact.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

#[path = "support/ledger.rs"]
mod ledger;
#[path = "support/network.rs"]
mod network;
#[path = "support/store.rs"]
mod store;

use ledger::apply;
use network::{Fate, Network, fates};
use proptest::prelude::*;
use std::collections::BTreeMap;
use store::Store;
use tollgate_core::config::Config;
use tollgate_core::fleet;
use tollgate_core::head::{Headers, RequestHead, ResponseHead};
use tollgate_core::ledger::{Bucket, BucketId, Key};
use tollgate_core::limit::{Account, Ask, Asked, Due};
use tollgate_core::meter::{Body, Call, Change, Done, Ending, Meter, Verdict};
use tollgate_core::money::Usd;
use tollgate_core::time::Timestamp;

const CONFIG: &str = r#"{
    "prices": [{"model": "m", "input_per_million": "1", "output_per_million": "5"}],
    "failure_mode": "closed",
    "store": {"target": "s"},
    "limits": [
        {"id": "strict", "measure": "cost_usd", "per": "day", "limit": "0.02", "reserve": "upper_bound", "fleet": "strict"},
        {"id": "eventual", "measure": "tokens", "per": "day", "limit": 100000, "fleet": "eventual"},
        {"id": "own", "measure": "requests", "per": "day", "limit": 40}
    ]
}"#;
const LIMIT: &str = "0.02";

#[derive(Clone, Debug)]
enum Step {
    Arrive {
        gateway: usize,
        cap: u64,
    },
    /// A call that waits is told that no answer came.
    GiveUp {
        which: usize,
    },
    /// A call that waits is abandoned by its client.
    Abandon {
        which: usize,
    },
    End {
        which: usize,
        output: u64,
        ending: Ending,
    },
    Tick {
        gateway: usize,
    },
    Message(Fate),
    Pass {
        millis: u64,
    },
}

struct Gateway {
    meter: Meter,
    ledger: BTreeMap<BucketId, Vec<u8>>,
    waiting: Vec<(Call, u64)>,
    running: Vec<(Call, u64)>,
    /// What its events say that calls cost.
    cost: Usd,
}

struct World {
    gateways: Vec<Gateway>,
    store: Store,
    /// By the gateway that asks, the account, and its limit.
    network: Network<(usize, Key<Account>, usize)>,
    now: Timestamp,
}

impl World {
    fn new(gateways: usize) -> Self {
        let config = Config::parse(CONFIG.as_bytes()).unwrap();
        let gateway = |_| Gateway {
            meter: Meter::new(config.clone(), [1, 2]),
            ledger: BTreeMap::new(),
            waiting: Vec::new(),
            running: Vec::new(),
            cost: Usd::ZERO,
        };
        let now = Timestamp::parse("2026-11-25T10:00:00Z").unwrap();
        Self {
            gateways: (0..gateways).map(gateway).collect(),
            store: Store::default(),
            network: Network::default(),
            now,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Arrive { gateway, cap } => self.arrive(gateway % self.gateways.len(), cap),
            Step::GiveUp { which } => {
                if let Some((gateway, place)) = self.find(which, |gateway| gateway.waiting.len()) {
                    let (call, cap) = self.gateways[gateway].waiting.swap_remove(place);
                    self.hear(gateway, call, cap, false);
                }
            }
            Step::Abandon { which } => {
                if let Some((gateway, place)) = self.find(which, |gateway| gateway.waiting.len()) {
                    let (mut call, _) = self.gateways[gateway].waiting.swap_remove(place);
                    assert!(call.abandon());
                    self.make_next(gateway, &mut call);
                    self.end(gateway, call, Ending::LocalReply);
                }
            }
            Step::End { which, output, ending } => {
                if let Some((gateway, place)) = self.find(which, |gateway| gateway.running.len()) {
                    let (mut call, cap) = self.gateways[gateway].running.swap_remove(place);
                    if ending == Ending::Complete {
                        let meter = &self.gateways[gateway].meter;
                        meter.respond(&mut call, &ResponseHead { status: 200, headers: Headers::default() });
                        let output = output.min(cap);
                        let answer = format!(
                            r#"{{"choices":[{{"message":{{"content":"x"}}}}],"usage":{{"prompt_tokens":8,"completion_tokens":{output}}}}}"#
                        );
                        meter.read(&mut call, answer.as_bytes(), self.now);
                    }
                    self.end(gateway, call, ending);
                }
            }
            Step::Tick { gateway } => self.tick(gateway % self.gateways.len()),
            Step::Message(fate) => self.meet(&fate),
            Step::Pass { millis } => self.now = self.now.plus_millis(millis),
        }
    }

    /// One of the calls of all gateways, of a kind.
    fn find(&self, which: usize, count: impl Fn(&Gateway) -> usize) -> Option<(usize, usize)> {
        let mut which = which.checked_rem(self.gateways.iter().map(&count).sum())?;
        for (at, gateway) in self.gateways.iter().enumerate() {
            if which < count(gateway) {
                return Some((at, which));
            }
            which -= count(gateway);
        }
        None
    }

    fn arrive(&mut self, gateway: usize, cap: u64) {
        let headers = [("authorization", "Bearer sk-1")];
        let path = "/v1/chat/completions";
        let head = RequestHead { method: "POST", path, headers: Headers::new(&headers), ..RequestHead::default() };
        let meter = &mut self.gateways[gateway].meter;
        let mut call = meter.open(&head, "id".to_owned(), self.now).unwrap();
        let body = format!(r#"{{"model":"m","max_tokens":{cap},"messages":[{{"role":"user","content":"hello"}}]}}"#);
        assert_eq!(meter.admit(&mut call, Body::Whole(body.as_bytes())), Verdict::Forward);
        self.decide(gateway, call, cap);
    }

    fn hear(&mut self, gateway: usize, mut call: Call, cap: u64, is_answered: bool) {
        self.gateways[gateway].meter.heard(&mut call, is_answered);
        self.decide(gateway, call, cap);
    }

    fn decide(&mut self, gateway: usize, mut call: Call, cap: u64) {
        self.make_next(gateway, &mut call);
        match self.gateways[gateway].meter.admitted(&mut call, self.now) {
            Verdict::Forward => self.gateways[gateway].running.push((call, cap)),
            Verdict::Wait => {
                let (account, limit, amount) =
                    call.awaited().map(|(key, limit, amount)| (key.clone(), limit, amount)).unwrap();
                self.ask(gateway, &account, limit, Due::Waits(amount));
                self.gateways[gateway].waiting.push((call, cap));
            }
            Verdict::Deny(_) => {}
        }
    }

    fn make_next(&mut self, gateway: usize, call: &mut Call) {
        let Gateway { meter, ledger, .. } = &mut self.gateways[gateway];
        while let Some(change) = meter.next_change(call, 1) {
            let done = apply(ledger, &change, self.now);
            meter.take_change(call, Some(&done));
        }
    }

    fn end(&mut self, gateway: usize, mut call: Call, ending: Ending) {
        let Gateway { meter, ledger, cost, .. } = &mut self.gateways[gateway];
        let claims = call.take_claims();
        let mut event = meter.end(call, ending, self.now);
        for number in 0..claims.len() {
            let Some((change, charged)) = meter.settlement(&claims, number, &event) else { continue };
            let done = apply(ledger, &change, self.now);
            meter.settled(&claims, number, charged, Some(&done), &mut event);
        }
        *cost = cost.plus(event.cost_usd.unwrap());
    }

    fn tick(&mut self, gateway: usize) {
        let Gateway { meter, ledger, .. } = &self.gateways[gateway];
        let limits = &meter.config().limits;
        let mut accounts = Vec::new();
        for value in ledger.values() {
            accounts.extend(fleet::accounts(&Bucket::decode(Some(value), self.now).unwrap(), limits));
        }
        for (account, limit) in accounts {
            self.ask(gateway, &account, limit, Due::InUse);
        }
    }

    fn ask(&mut self, gateway: usize, account: &Key<Account>, limit: usize, due: Due) {
        let Gateway { meter, ledger, .. } = &mut self.gateways[gateway];
        let change = Change::ask(account, &meter.config().limits[limit], due).unwrap();
        if let Done::Asked(Asked::Now(ask)) = apply(ledger, &change, self.now) {
            self.network.send((gateway, account.clone(), limit), ask);
        }
    }

    fn meet(&mut self, fate: &Fate) {
        let Self { network, store, .. } = self;
        let serve = |(gateway, _, limit): &(usize, _, usize), ask: &Ask| {
            store.ask(&limit.to_string(), &gateway.to_string(), ask)
        };
        let Some(((gateway, account, limit), ask, answer)) = network.meet(fate, serve) else { return };
        let Gateway { meter, ledger, waiting, .. } = &mut self.gateways[gateway];
        let change = Change::take(&account, &meter.config().limits[limit], &ask, &answer).unwrap();
        apply(ledger, &change, self.now);
        let of_it = |(call, _): &(Call, u64)| call.awaited().is_some_and(|(awaited, ..)| *awaited == account);
        let (told, others): (Vec<_>, Vec<_>) = std::mem::take(waiting).into_iter().partition(of_it);
        *waiting = others;
        for (call, cap) in told {
            self.hear(gateway, call, cap, true);
        }
    }

    fn limit(&self, gateway: usize, id: &str) -> i128 {
        let Gateway { meter, ledger, .. } = &self.gateways[gateway];
        let limits = &meter.config().limits;
        let place = limits.iter().position(|limit| limit.id == id).unwrap();
        let terms = &limits[place].budget.as_ref().unwrap().terms;
        let mut own = 0;
        for value in ledger.values() {
            let bucket = Bucket::decode(Some(value), self.now).unwrap();
            for (key, account) in bucket.records::<Account>() {
                if key.contains(&format!(":{id}/")) {
                    // Without the others: what a gateway of no fleet sees.
                    own +=
                        account.stand(&tollgate_core::limit::Terms { fleet: None, ..terms.clone() }, self.now).used();
                }
            }
        }
        own
    }

    fn check(&self) {
        let used: i128 = (0..self.gateways.len()).map(|gateway| self.limit(gateway, "strict")).sum();
        assert!(used <= Usd::parse(LIMIT).unwrap().femto(), "{used} is held and spent");
    }

    fn come_to_rest(&mut self) {
        while let Some((gateway, place)) = self.find(0, |gateway| gateway.waiting.len()) {
            let (call, cap) = self.gateways[gateway].waiting.swap_remove(place);
            self.hear(gateway, call, cap, false);
        }
        while let Some((gateway, place)) = self.find(0, |gateway| gateway.running.len()) {
            let (call, _) = self.gateways[gateway].running.swap_remove(place);
            self.end(gateway, call, Ending::LocalReply);
        }
        for _ in 0..12 {
            self.now = self.now.plus_millis(200);
            (0..self.gateways.len()).for_each(|gateway| self.tick(gateway));
            while !self.network.is_empty() {
                self.meet(&Fate::Arrives { which: 0, repeats: false });
            }
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ending = prop_oneof![Just(Ending::Complete), Just(Ending::ClientGone), Just(Ending::LocalReply)];
    let step = prop_oneof![
        6 => (any::<usize>(), 1..600_u64).prop_map(|(gateway, cap)| Step::Arrive { gateway, cap }),
        1 => any::<usize>().prop_map(|which| Step::GiveUp { which }),
        1 => any::<usize>().prop_map(|which| Step::Abandon { which }),
        5 => (any::<usize>(), 0..700_u64, ending).prop_map(|(which, output, ending)| Step::End { which, output, ending }),
        2 => any::<usize>().prop_map(|gateway| Step::Tick { gateway }),
        15 => fates(7).prop_map(Step::Message),
        2 => prop_oneof![1..250_u64, 1..3_000_u64].prop_map(|millis| Step::Pass { millis }),
    ];
    prop::collection::vec(step, 1..250)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 512 }))]

    #[test]
    fn no_strict_budget_of_a_fleet_is_exceeded_and_all_charges_reach_the_store(gateways in 1..4_usize, steps in steps()) {
        let mut world = World::new(gateways);
        for step in steps {
            world.take(step);
            world.check();
        }
        world.come_to_rest();
        world.check();
        for (number, gateway) in world.gateways.iter().enumerate() {
            let said = |limit: &str| world.store.windows.get(limit).and_then(|window| window.said.get(&number.to_string()));
            prop_assert_eq!(said("0").map_or(0, |said| said.spent), gateway.cost.femto(), "gateway {}", number);
            prop_assert_eq!(said("0").map_or(0, |said| said.claim), gateway.cost.femto(), "what is not spent is given back");
        }
    }
}
