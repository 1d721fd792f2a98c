//! A budget that three real Envoys share through a real Redis, spent by three hundred clients at once.

#[path = "../../plugin/core/tests/support/store.rs"]
mod model;
mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::{SOON, event};
use tollgate_core::config::raw::{RawStore, StoreKind};
use tollgate_core::fleet::{self, Process};
use tollgate_core::ledger::Key;
use tollgate_core::limit::{Account, Ask};
use tollgate_core::money::Usd;
use tollgate_core::time::Timestamp;
use tollgate_host::agent::client;
use tollgate_host::artifact;
use tollgate_host::envoy::{Envoy, Options};
use tollgate_host::redis::{AUTHORIZATION, Store};
use tollgate_host::standin::{Dialect, Standin};
use tollgate_host::wait;

const GATEWAYS: usize = 3;
const CLIENTS: usize = 300;
const BUDGET: &str = "2.00";
const INTERVAL_MS: u64 = 500;
const TIMEOUT_MS: u64 = 2_000;

struct Fleet {
    store: Store,
    envoys: Vec<Envoy>,
    _standin: Standin,
}

/// A call that costs no more than can be told.
fn call() -> Value {
    let mut body = support::small_call(Dialect::OpenAiChat, false);
    body["max_completion_tokens"] = json!(60);
    body
}

/// The costs of events.
fn spent<'a>(events: impl IntoIterator<Item = &'a Value>) -> Usd {
    events.into_iter().map(|event| dollars(&event["cost_usd"])).sum()
}

impl Fleet {
    fn start(mode: &str, reserve: &str, budget: &str) -> Self {
        let (mut store, standin) = (Store::start().expect("a store"), Standin::start().expect("a provider"));
        store.settle("tollgate:").expect("Redis answers");
        store.watch().expect("Redis is watched");
        let mut options = Options::new(artifact::wasm().expect("the filter builds"), standin.address());
        options.store = Some(store.port());
        options.concurrency = 2;
        options.configuration = json!({
            "prices": [{"model": "gpt-4.1-mini*", "input_per_million": "5", "output_per_million": "10"}],
            "store": {
                "target": "webdis", "headers": {"authorization": AUTHORIZATION},
                "interval_ms": INTERVAL_MS, "timeout_ms": TIMEOUT_MS,
            },
            "limits": [{
                "id": "two-dollars", "measure": "cost_usd", "per": "month", "limit": budget,
                "fleet": mode, "reserve": reserve, "failure_mode": "closed",
            }],
        });
        let start = |_| Envoy::start(&options).unwrap_or_else(|error| panic!("{error}"));
        Self { store, envoys: (0..GATEWAYS).map(start).collect(), _standin: standin }
    }

    /// Lets every client call one of these gateways until its answer is the last; how often they called.
    fn spend(&self, gateways: &[usize], is_last: impl Fn(u16) -> bool + Sync) -> usize {
        self.spend_slowly(gateways, Duration::ZERO, is_last)
    }

    /// The same, with a pause after each call.
    fn spend_slowly(&self, gateways: &[usize], pause: Duration, is_last: impl Fn(u16) -> bool + Sync) -> usize {
        let body = call();
        let url = |gateway: &usize| format!("{}{}", self.envoys[*gateway].url(), Dialect::OpenAiChat.path());
        let urls: Vec<_> = gateways.iter().map(url).collect();
        let (urls, body, is_last) = (&urls, &body, &is_last);
        thread::scope(|clients| {
            let call = |client: usize| {
                let url = &urls[client % urls.len()];
                let is_over = |_: &usize| {
                    let status = client::post(url, &[], body).expect("an answer").status;
                    thread::sleep(if status == 503 { Duration::from_millis(100) } else { pause });
                    is_last(status)
                };
                (1..).find(is_over).unwrap_or(0)
            };
            let clients: Vec<_> = (0..CLIENTS).map(|client| clients.spawn(move || call(client))).collect();
            clients.into_iter().map(|client| client.join().expect("a client")).sum()
        })
    }

    /// Lets clients call whatever comes, while `meanwhile` does something to the fleet.
    fn load(&mut self, meanwhile: impl FnOnce(&mut Self)) {
        let body = call();
        let urls: Vec<_> =
            self.envoys.iter().map(|envoy| format!("{}{}", envoy.url(), Dialect::OpenAiChat.path())).collect();
        let (is_over, urls, body) = (&AtomicBool::new(false), &urls, &body);
        thread::scope(|clients| {
            for client in 0..8 * GATEWAYS {
                clients.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        // A gateway that is dead or cannot decide is no reason to stop.
                        let status = client::post(&urls[client % GATEWAYS], &[], body).map_or(0, |sent| sent.status);
                        thread::sleep(Duration::from_millis(if status == 200 { 5 } else { 50 }));
                    }
                });
            }
            meanwhile(self);
            is_over.store(true, Ordering::Relaxed);
        });
    }

    /// Waits until each gateway that lives forwards calls.
    fn wait_for_calls(&self, gateways: &[usize]) {
        let counts =
            || gateways.iter().map(|gateway| forwarded(&self.envoys[*gateway].access_log())).collect::<Vec<_>>();
        let before = counts();
        let has_more = || counts().iter().zip(&before).all(|(now, before)| *now > before + 20);
        wait::until(SOON, || has_more().then_some(())).expect("calls are forwarded");
    }

    /// What each gateway said last, by the name of its count: what it spent in all, and what it claims.
    fn told(&self) -> Vec<(String, (Usd, Usd))> {
        let windows = self.store.windows().expect("Redis answers");
        let counts = windows.into_iter().flatten().filter(|(name, _)| name.contains('-'));
        counts.map(|(name, value)| (name, amounts(&value))).collect()
    }

    /// What a gateway told, whose count has this name: when, and what it had spent.
    fn tellings(&self, name: &str) -> Vec<(Timestamp, Usd)> {
        let seen = self.store.seen();
        let told = seen.iter().filter(|(_, words)| words[0] == "HSET" && words[2] == name);
        told.map(|(at, words)| (Timestamp::from_millis(*at), amounts(&words[3]).0)).collect()
    }

    /// What a count says last.
    fn count(&self, name: &str) -> (Usd, Usd) {
        self.told().into_iter().find(|(told, _)| told == name).expect("its count").1
    }

    /// Waits until the store knows that a gateway spent so much.
    fn wait_until_told(&self, name: &str, charged: Usd) {
        wait::until(SOON, || (self.count(name).0 >= charged).then_some(())).expect("what is charged is told");
    }

    /// The events of a gateway.
    fn own(&self, gateway: usize) -> Vec<Value> {
        self.envoys[gateway].access_log().iter().map(event).collect()
    }

    /// Lets a gateway spend a little before all others; the name of its count.
    fn introduce(&self, gateway: usize) -> String {
        let url = format!("{}{}", self.envoys[gateway].url(), Dialect::OpenAiChat.path());
        assert_eq!(client::post(&url, &[], &call()).expect("an answer").status, 200);
        self.names(&[gateway]).remove(0)
    }

    /// The name of the count of each gateway that lives, by what its events add up to.
    fn names(&self, gateways: &[usize]) -> Vec<String> {
        let name = |gateway: &usize| {
            let own = || spent(&self.own(*gateway));
            let find = || self.told().into_iter().find(|(_, (spent, _))| *spent == own());
            wait::until(SOON, find).unwrap_or_else(|| panic!("gateway {gateway} spent {}: {:?}", own(), self.told())).0
        };
        gateways.iter().map(name).collect()
    }

    /// The events of all gateways, once there are so many.
    fn events(&self, count: usize) -> Vec<Value> {
        let all = || self.envoys.iter().flat_map(Envoy::access_log).collect::<Vec<_>>();
        let log = wait::until(SOON, || Some(all()).filter(|log| log.len() >= count)).unwrap_or_else(all);
        log.iter().map(event).collect()
    }

    /// What Redis has of the only account, once the gateways have told all.
    fn check_sum(&self, expected: Usd) {
        let stored = || {
            let windows = self.store.windows().expect("Redis answers");
            let fields = windows.first().expect("an account");
            let sum = fields.iter().find(|(name, _)| name == "spent").expect("a sum");
            Usd::from_femto(sum.1.parse().expect("an amount"))
        };
        wait::until(SOON, || (stored() == expected).then_some(()));
        assert_eq!(stored(), expected, "the store's sum is that of the events");
    }
}

/// What is spent and claimed, of `number:spent:claim`.
fn amounts(count: &str) -> (Usd, Usd) {
    let mut amounts = count.split(':').skip(1).map(|text| Usd::from_femto(text.parse().expect("an amount")));
    amounts.next().zip(amounts.next()).expect("two amounts")
}

fn dollars(value: &Value) -> Usd {
    value.as_str().and_then(|text| Usd::parse(text).ok()).unwrap_or_else(|| panic!("{value} is no amount"))
}

/// What calls cost that came within the documented bound of staleness before the first one was refused, or later.
fn within_bound(events: &[Value]) -> Usd {
    let refused = events.iter().filter(|event| event["outcome"] == "denied").map(opened).min().expect("a refusal");
    let stale = 2 * INTERVAL_MS + TIMEOUT_MS;
    spent(events.iter().filter(|event| opened(event).plus_millis(stale) >= refused))
}

/// What the others had spent and not told yet when each gateway heard of them before it forwarded its last call; the most
/// of all gateways. What Redis answered less than two intervals before may not have reached it yet.
fn unheard(fleet: &Fleet) -> Usd {
    let gateways: Vec<_> = (0..GATEWAYS).collect();
    let tellings: Vec<_> = fleet.names(&gateways).iter().map(|name| fleet.tellings(name)).collect();
    let until = |tellings: &[(Timestamp, Usd)], at: Timestamp| {
        tellings.iter().rfind(|(told, _)| *told <= at).map_or((Timestamp::default(), Usd::ZERO), |told| *told)
    };
    let of = |gateway: usize| {
        let events = fleet.own(gateway);
        let last = events.iter().filter(|event| event["status"] == 200).map(opened).max().expect("a call");
        let (heard, _) = until(&tellings[gateway], Timestamp::from_millis(last.millis() - 2 * INTERVAL_MS));
        let others = tellings.iter().enumerate().filter(|(other, _)| *other != gateway);
        let secret =
            |(_, told): (usize, &Vec<(Timestamp, Usd)>)| told.last().expect("it told").1.minus(until(told, heard).1);
        others.map(secret).sum::<Usd>()
    };
    gateways.into_iter().map(of).max().expect("gateways")
}

fn opened(event: &Value) -> Timestamp {
    event["time"].as_str().and_then(Timestamp::parse).expect("a time")
}

/// Of what was refused, each by what it is told: no call that the budget still paid for.
fn check_refusals(events: &[Value]) {
    let refused: Vec<_> = events.iter().filter(|event| event["outcome"] == "denied").collect();
    assert!(!refused.is_empty());
    for event in refused {
        let found = &event["limits"][0];
        assert_eq!((&event["status"], &found["standing"]), (&json!(429), &json!("exceeded")), "{found:#}");
        let wanted = dollars(&found["spent"]).plus(dollars(&found["held"])).plus(dollars(&found["amount"]));
        assert!(wanted > dollars(&json!(BUDGET)), "refused without need: {found:#}");
    }
}

/// What a process is granted that nobody knew of, and that asks for the whole budget.
fn ask_for_all(store: &Store, window: &str) -> Usd {
    let all = dollars(&json!(BUDGET)).femto();
    let [spent, have, debt] = [0; 3];
    let expires = now().plus_millis(600_000);
    let ask = Ask {
        window_ms: 0,
        born_ms: 1,
        number: now().millis(),
        spent,
        have,
        want: all,
        limit: Some(all),
        debt,
        expires,
    };
    let asks = vec![(Key::<Account>::new(&["a"]), ask)];
    let raw = RawStore { kind: StoreKind::Upstash, interval_ms: 200, timeout_ms: 2_000, ..RawStore::default() };
    let (_, command) = fleet::request(&raw, &Process::new(&[1]), false, &asks);
    let mut words: Vec<String> = serde_json::from_str(&command).expect("a command");
    words[4] = window.to_owned();
    let said = store.command(&words.iter().map(String::as_str).collect::<Vec<_>>()).expect("Redis answers");
    let said = fleet::said(json!({"result": said}).to_string().as_bytes(), 1).expect("an answer");
    Usd::from_femto(said.answers[0].claim)
}

fn forwarded(log: &[Value]) -> usize {
    log.iter().filter(|line| event(line)["status"] == 200).count()
}

/// What is known of a gateway that was killed under load.
struct Dead {
    /// The name of its count.
    name: String,
    /// What it had charged a moment before it was killed; the store knew of it by then.
    charged: Usd,
    killed: Timestamp,
}

/// Webdis and Redis are killed and come back, the store says nothing for five seconds, a gateway is killed once the store
/// knows what it had charged a moment before.
fn survive(mode: &str) -> (Fleet, Dead) {
    let mut fleet = Fleet::start(mode, "upper_bound", "1000.00");
    let mut dead = Dead { name: fleet.introduce(2), charged: Usd::ZERO, killed: Timestamp::default() };
    fleet.load(|fleet| {
        fleet.wait_for_calls(&[0, 1, 2]);
        fleet.store.kill_webdis();
        fleet.store.restart_webdis().expect("webdis is back");
        fleet.wait_for_calls(&[0, 1, 2]);
        fleet.store.kill_redis();
        fleet.store.restart_redis().expect("Redis is back");
        fleet.wait_for_calls(&[0, 1, 2]);
        fleet.store.stop_webdis().expect("webdis stops");
        thread::sleep(Duration::from_secs(5));
        fleet.store.resume_webdis().expect("webdis goes on");
        fleet.wait_for_calls(&[0, 1, 2]);
        dead.charged = spent(&fleet.own(2));
        fleet.wait_until_told(&dead.name, dead.charged);
        fleet.envoys[2].kill();
        dead.killed = now();
        fleet.wait_for_calls(&[0, 1]);
    });
    (fleet, dead)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp::from_millis(u64::try_from(since.as_millis()).expect("a time"))
}

/// Each gateway that lives has told exactly what its events add up to.
fn check_survivors(fleet: &Fleet, dead: &Dead) {
    let living = fleet.names(&[0, 1]);
    let told = fleet.told();
    assert_eq!(told.len(), GATEWAYS, "one count for each gateway");
    assert!(!living.contains(&dead.name), "{living:?}");
}

/// What the dead gateway charged up to a time.
fn charged(fleet: &Fleet, until: Timestamp) -> Usd {
    let end = |event: &Value| opened(event).plus_millis(event["timing"]["duration_ms"].as_u64().expect("a duration"));
    spent(fleet.own(2).iter().filter(|event| end(event) <= until))
}

/// What a gateway charged is told without an end of the load, and is kept. That no more than an interval passes until
/// then is checked to the millisecond in `filter`, on a clock that no machine under load delays.
#[test]
fn a_fleet_with_an_eventual_budget_survives_and_loses_what_a_dead_gateway_charged_since_it_told_the_last_time() {
    let (fleet, dead) = survive("eventual");
    check_survivors(&fleet, &dead);
    let (at, told) = *fleet.tellings(&dead.name).last().expect("it told");
    assert_eq!(fleet.count(&dead.name).0, told, "what arrived is kept");
    assert!(told >= dead.charged, "{told} of {} is told", dead.charged);
    let lost = spent(&fleet.own(2)).minus(told);
    println!("told {} ms before its death; lost {lost} of {told}", dead.killed.millis_since(at));
}

#[test]
fn a_fleet_with_a_strict_budget_survives_and_counts_the_lease_of_a_dead_gateway_as_spent() {
    let (fleet, dead) = survive("strict");
    check_survivors(&fleet, &dead);
    let (_, claimed) = fleet.count(&dead.name);
    let spent = charged(&fleet, dead.killed);
    assert!(claimed >= spent, "{claimed} is claimed for {spent}");
}

/// The script in Redis says what the model says that the properties of the core are checked with.
#[test]
fn redis_and_the_model_of_it_say_the_same() {
    let redis = Store::start().expect("a store");
    let mut model = model::Store::default();
    let store =
        RawStore { headers: BTreeMap::from([("authorization".into(), AUTHORIZATION.into())]), ..RawStore::default() };
    let url = format!("http://127.0.0.1:{}/", redis.port());
    let account = Key::<Account>::new(&["a"]);
    let mut random = 7_u64;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for round in 0..400 {
        // At first its data is new.
        model.is_settling = round < 100;
        if round == 100 {
            redis.settle(&store.key_prefix).expect("Redis answers");
        }
        let gateway = draw(4);
        let mut amount = |below: u64| i128::from(draw(below)) * 999_999_999_937;
        let [spent, have, want, debt] = [40, 80, 120, 3].map(&mut amount);
        let limit = (draw(5) > 0).then_some(200 * 999_999_999_937);
        let (have, want) = (have.max(spent), want.max(spent));
        let number = draw(50) + 1;
        let expires = now().plus_millis(60_000);
        let ask = Ask { window_ms: draw(2), born_ms: gateway, number, spent, have, want, limit, debt, expires };
        let asks = vec![(account.clone(), ask.clone())];
        let (headers, body) = fleet::request(&store, &Process::new(&[1]), false, &asks);
        let headers: Vec<_> = headers.into_iter().filter(|(name, _)| !name.starts_with(':')).collect();
        let mut request = ureq::post(&url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let said = request.send(body.as_bytes()).expect("an answer").body_mut().read_to_vec().expect("a body");
        let said = fleet::said(&said, 1).expect("an answer that can be read");
        assert_eq!(said.grants, !model.is_settling);
        assert_eq!(said.answers, [model.ask(&ask.window_ms.to_string(), &gateway.to_string(), &ask)], "{ask:?}");
    }
}

#[test]
fn three_gateways_never_spend_a_cent_beyond_a_strict_budget_and_reach_nearly_all_of_it() {
    let fleet = Fleet::start("strict", "upper_bound", BUDGET);
    let calls = fleet.spend(&[0, 1, 2], |status| status != 200);
    let events = fleet.events(calls);
    let spent = spent(&events);
    assert!(spent <= dollars(&json!(BUDGET)), "{spent}");
    assert!(spent >= dollars(&json!("1.94")), "{spent} is less than 97 %");
    check_refusals(&events);
    fleet.check_sum(spent);
}

#[test]
fn three_gateways_exceed_an_eventual_budget_by_no_more_than_what_they_spend_unheard() {
    let fleet = Fleet::start("eventual", "upper_bound", BUDGET);
    // Not so fast that the machine rather than the bound decides what is heard of.
    let calls = fleet.spend_slowly(&[0, 1, 2], Duration::from_secs(1), |status| status != 200);
    let events = fleet.events(calls);
    let spent = spent(&events);
    fleet.check_sum(spent);
    let (budget, unheard, bound) = (dollars(&json!(BUDGET)), unheard(&fleet), within_bound(&events));
    println!("{spent} of {budget}: {unheard} was not heard of, of {bound} that the bound allows");
    assert!(unheard <= bound, "what was heard is older than the bound");
    assert!(spent <= budget.plus(unheard), "{spent}, and {unheard} was not heard of");
    assert!(spent >= dollars(&json!("1.94")), "{spent} is less than 97 %");
    check_refusals(&events);
}

/// Two gateways have spent a part when Redis loses all. Another one asks first, for everything.
#[test]
fn a_strict_budget_is_not_exceeded_where_redis_loses_its_data_and_a_fresh_gateway_asks_first() {
    let fleet = Fleet::start("strict", "upper_bound", BUDGET);
    let count = AtomicUsize::new(0);
    let before = fleet.spend(&[0, 1], |_| count.fetch_add(1, Ordering::Relaxed) > 2_000);
    let window = fleet.store.command(&["KEYS", "tollgate:*:*"]).expect("Redis answers");
    fleet.store.stop_webdis().expect("webdis stops");
    fleet.store.command(&["FLUSHALL"]).expect("Redis answers");
    let claims = || ask_for_all(&fleet.store, &window);
    assert_eq!(claims(), Usd::ZERO, "a new store grants nothing");
    fleet.store.resume_webdis().expect("webdis goes on");
    let calls = before + fleet.spend(&[0, 1, 2], |status| status == 429);
    let spent = spent(&fleet.events(calls));
    assert!(spent <= dollars(&json!(BUDGET)), "{spent}");
    assert!(spent >= dollars(&json!("1.94")), "{spent} is less than 97 %");
    fleet.check_sum(spent);
    let left = dollars(&json!(BUDGET)).minus(spent);
    assert!(claims() <= left, "no more is granted than {left}");
}
