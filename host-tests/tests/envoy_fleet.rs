//! A budget that three real Envoys share through a real Redis, spent by three hundred clients at once.

mod support;

use std::thread;

use serde_json::{Value, json};
use support::{SOON, event};
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
    fn start(mode: &str, reserve: &str) -> Self {
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
                "id": "two-dollars", "measure": "cost_usd", "per": "month", "limit": BUDGET,
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

#[test]
fn three_gateways_never_spend_a_cent_beyond_a_strict_budget_and_reach_nearly_all_of_it() {
    let fleet = Fleet::start("strict", "upper_bound");
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
    let fleet = Fleet::start("eventual", "upper_bound");
    let calls = fleet.spend();
    let events = fleet.events(calls);
    let spent = spent(&events);
    assert!(spent <= dollars(&json!(BUDGET)).plus(unheard(&events)), "{spent}");
    assert!(spent >= dollars(&json!("1.94")), "{spent} is less than 97 %");
    check_refusals(&events);
    fleet.check_sum(spent);
}
