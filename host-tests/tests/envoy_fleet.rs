//! A budget that three real Envoys share through a real Redis, spent by three hundred clients at once.

#[path = "../../plugin/core/tests/support/store.rs"]
mod model;
mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::{SOON, event};
use tollgate_core::config::raw::RawStore;
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
const INTERVAL_MS: u64 = 100;
const TIMEOUT_MS: u64 = 2_000;

struct Fleet {
    store: Store,
    envoys: Vec<Envoy>,
    _standin: Standin,
}

/// The costs of events.
fn spent<'a>(events: impl IntoIterator<Item = &'a Value>) -> Usd {
    events.into_iter().map(|event| dollars(&event["cost_usd"])).sum()
}

impl Fleet {
    fn start(mode: &str, reserve: &str, budget: &str) -> Self {
        let (store, standin) = (Store::start().expect("a store"), Standin::start().expect("a provider"));
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

    /// Lets every client call until the budget has refused it, each at one of the gateways; how often they called.
    fn spend(&self) -> usize {
        let mut body = support::small_call(Dialect::OpenAiChat, false);
        body["max_completion_tokens"] = json!(60);
        let urls: Vec<_> =
            self.envoys.iter().map(|envoy| format!("{}{}", envoy.url(), Dialect::OpenAiChat.path())).collect();
        let (urls, body) = (&urls, &body);
        thread::scope(|clients| {
            let call = |client: usize| {
                let url = &urls[client % urls.len()];
                (1..).find(|_| client::post(url, &[], body).expect("an answer").status != 200).unwrap_or(0)
            };
            let clients: Vec<_> = (0..CLIENTS).map(|client| clients.spawn(move || call(client))).collect();
            clients.into_iter().map(|client| client.join().expect("a client")).sum()
        })
    }

    /// Lets clients call whatever comes, while `meanwhile` does something to the fleet.
    fn load(&mut self, meanwhile: impl FnOnce(&mut Self)) {
        let mut body = support::small_call(Dialect::OpenAiChat, false);
        body["max_completion_tokens"] = json!(60);
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

    /// What each gateway said last, in all: what it spent, and what it claims.
    fn told(&self) -> Vec<(Usd, Usd)> {
        let windows = self.store.windows().expect("Redis answers");
        let said = windows.iter().flatten().filter_map(|(_, value)| {
            let mut amounts = value.split(':').skip(1).map(|text| Usd::from_femto(text.parse().expect("an amount")));
            amounts.next().zip(amounts.next())
        });
        said.collect()
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

fn dollars(value: &Value) -> Usd {
    value.as_str().and_then(|text| Usd::parse(text).ok()).unwrap_or_else(|| panic!("{value} is no amount"))
}

/// What calls cost that came within the bound of staleness before the first one was refused, or later.
fn unheard(events: &[Value]) -> Usd {
    let time = |event: &Value| event["time"].as_str().and_then(Timestamp::parse).expect("a time");
    let refused = events.iter().filter(|event| event["outcome"] == "denied").map(time).min().expect("a refusal");
    let stale = 2 * INTERVAL_MS + TIMEOUT_MS;
    spent(events.iter().filter(|event| time(event).plus_millis(stale) >= refused))
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

fn forwarded(log: &[Value]) -> usize {
    log.iter().filter(|line| event(line)["status"] == 200).count()
}

/// Webdis and Redis are killed and come back, the store says nothing for five seconds, a gateway is killed.
fn survive(mode: &str) -> (Fleet, Timestamp) {
    let mut fleet = Fleet::start(mode, "upper_bound", "1000.00");
    let mut killed = Timestamp::default();
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
        fleet.envoys[2].kill();
        killed = now();
        fleet.wait_for_calls(&[0, 1]);
    });
    (fleet, killed)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp::from_millis(u64::try_from(since.as_millis()).expect("a time"))
}

/// Each gateway that lives has told exactly what its events add up to.
fn check_survivors(fleet: &Fleet) {
    for gateway in [0, 1] {
        let own = || spent(&fleet.envoys[gateway].access_log().iter().map(event).collect::<Vec<_>>());
        let is_told = || fleet.told().iter().any(|(spent, _)| *spent == own());
        wait::until(SOON, || is_told().then_some(()));
        assert!(is_told(), "gateway {gateway} spent {}: {:?}", own(), fleet.told());
    }
    assert_eq!(fleet.told().len(), GATEWAYS, "one count for each gateway");
}

/// What the dead gateway spent up to a time, and what is told of it.
fn dead(fleet: &Fleet, until: Timestamp) -> (Usd, (Usd, Usd)) {
    let events: Vec<_> = fleet.envoys[2].access_log().iter().map(event).collect();
    let end = |event: &&Value| {
        let opened = event["time"].as_str().and_then(Timestamp::parse).expect("a time");
        opened.plus_millis(event["timing"]["duration_ms"].as_u64().expect("a duration")) <= until
    };
    let living = [0, 1].map(|gateway| spent(&fleet.envoys[gateway].access_log().iter().map(event).collect::<Vec<_>>()));
    let told = fleet.told().into_iter().find(|(spent, _)| !living.contains(spent)).expect("what the dead one told");
    (spent(events.iter().filter(end)), told)
}

#[test]
fn a_fleet_with_an_eventual_budget_survives_and_loses_no_more_than_the_last_interval_of_a_dead_gateway() {
    let (fleet, killed) = survive("eventual");
    check_survivors(&fleet);
    let heard_of = Timestamp::from_millis(killed.millis() - INTERVAL_MS - TIMEOUT_MS);
    let (spent, (told, _)) = dead(&fleet, heard_of);
    assert!(told >= spent, "{told} of {spent} is told");
}

#[test]
fn a_fleet_with_a_strict_budget_survives_and_counts_the_lease_of_a_dead_gateway_as_spent() {
    let (fleet, killed) = survive("strict");
    check_survivors(&fleet);
    let (spent, (_, claimed)) = dead(&fleet, killed);
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
    let mut generation = None;
    for _ in 0..400 {
        let gateway = draw(4);
        let mut amount = |below: u64| i128::from(draw(below)) * 999_999_999_937;
        let [spent, have, want, debt] = [40, 80, 120, 3].map(&mut amount);
        let limit = (draw(5) > 0).then_some(200 * 999_999_999_937);
        let (have, want) = (have.max(spent), want.max(spent));
        let number = draw(50) + 1;
        let expires = now().plus_millis(60_000);
        let ask = Ask { window_ms: draw(2), born_ms: gateway, number, spent, have, want, limit, debt, expires };
        let asks = vec![(account.clone(), ask.clone())];
        let (headers, body) = fleet::request(&store, &Process::new(&[1]), generation.as_deref(), &asks);
        let headers: Vec<_> = headers.into_iter().filter(|(name, _)| !name.starts_with(':')).collect();
        let mut request = ureq::post(&url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let said = request.send(body.as_bytes()).expect("an answer").body_mut().read_to_vec().expect("a body");
        let (known, answers) = fleet::answers(&said, 1).expect("an answer that can be read");
        generation = Some(known);
        assert_eq!(answers, [model.ask(&ask.window_ms.to_string(), &gateway.to_string(), &ask)], "{ask:?}");
    }
}

#[test]
fn three_gateways_never_spend_a_cent_beyond_a_strict_budget_and_reach_nearly_all_of_it() {
    let fleet = Fleet::start("strict", "upper_bound", BUDGET);
    let calls = fleet.spend();
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
    let calls = fleet.spend();
    let events = fleet.events(calls);
    let spent = spent(&events);
    assert!(spent <= dollars(&json!(BUDGET)).plus(unheard(&events)), "{spent}");
    assert!(spent >= dollars(&json!("1.94")), "{spent} is less than 97 %");
    check_refusals(&events);
    fleet.check_sum(spent);
}
