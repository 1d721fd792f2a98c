//! What may stand between gateways and their Redis: webdis with a user of few rights, and what imitates Upstash.

mod support;

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;
use tollgate_core::config::raw::{RawStore, StoreKind};
use tollgate_core::fleet::{self, Process, Said};
use tollgate_core::ledger::Key;
use tollgate_core::limit::{Account, Ask};
use tollgate_core::time::Timestamp;
use tollgate_host::agent::client;
use tollgate_host::artifact;
use tollgate_host::envoy::{Envoy, Options};
use tollgate_host::redis::{AUTHORIZATION, Store};
use tollgate_host::standin::{Dialect, Standin};
use tollgate_host::upstash::Upstash;

const PASSWORD: &str = "another password";

/// The answer to a request of a gateway, as the filter sends it: status and body.
fn ask(port: u16, store: &RawStore, spent: i128) -> (u16, Vec<u8>) {
    let ask = Ask {
        window_ms: 1,
        born_ms: 1,
        number: u64::try_from(spent).expect("small"),
        spent,
        have: spent,
        want: spent,
        limit: None,
        debt: 0,
        expires: Timestamp::from_seconds(4_000_000_000),
    };
    let asks = vec![(Key::<Account>::new(&["a"]), ask)];
    let (headers, body) = fleet::request(store, &Process::new(&[1]), false, &asks);
    post(port, &headers, &body)
}

fn post(port: u16, headers: &[(&str, &str)], body: &str) -> (u16, Vec<u8>) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = agent.post(format!("http://127.0.0.1:{port}/"));
    for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(':')) {
        request = request.header(*name, *value);
    }
    let mut answer = request.send(body.as_bytes()).expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_to_vec().expect("a body"))
}

fn said(answer: &(u16, Vec<u8>)) -> Said {
    let said = fleet::said(&answer.1, 1).filter(|_| answer.0 == 200);
    said.unwrap_or_else(|| panic!("{} {}", answer.0, String::from_utf8_lossy(&answer.1)))
}

fn headers(authorization: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("authorization".to_owned(), authorization.to_owned())])
}

/// What the documentation gives webdis' user.
fn documented_rights() -> Vec<String> {
    let page = fs::read_to_string(artifact::root().join("examples/fleet/README.md")).expect("the page");
    let line = page.lines().find_map(|line| line.strip_prefix("ACL SETUSER tollgate on >ANOTHER-PASSWORD "));
    line.expect("the rights").split(' ').map(str::to_owned).collect()
}

#[test]
fn a_redis_user_with_the_documented_rights_does_all_that_the_filter_asks_and_nothing_else() {
    let mut redis = Store::start().expect("a store");
    let rights = documented_rights();
    redis.restrict(&rights.iter().map(String::as_str).collect::<Vec<_>>(), PASSWORD).expect("webdis is back");
    let store = RawStore { headers: headers(AUTHORIZATION), ..RawStore::default() };
    // The first request makes what the second one finds.
    for spent in [1, 2] {
        assert_eq!(said(&ask(redis.port(), &store, spent)).answers[0].claim, spent);
    }
    let script = |text: &str, key: &str| {
        let body = format!("EVAL/{}/1/{key}", text.replace(' ', "%20").replace(',', "%2C"));
        String::from_utf8(post(redis.port(), &[("authorization", AUTHORIZATION)], &body).1).expect("text")
    };
    for (text, key) in [
        ("return redis.call('SET',KEYS[1],'x')", "other:key"),
        ("return redis.call('GET',KEYS[1])", "other:key"),
        ("return redis.call('FLUSHALL')", "tollgate:key"),
        ("return redis.call('CONFIG','GET','*')", "tollgate:key"),
        ("return redis.call('KEYS','*')", "tollgate:key"),
    ] {
        let refused = script(text, key);
        assert!(refused.starts_with(r#"{"EVAL":[false,"#), "{text}: {refused}");
    }
}

#[test]
fn webdis_takes_nothing_from_who_does_not_know_the_password_and_one_command_from_who_does() {
    let redis = Store::start().expect("a store");
    for authorization in ["", "Basic dG9sbGdhdGU6d3Jvbmc="] {
        let store = RawStore { headers: headers(authorization), ..RawStore::default() };
        assert_eq!(ask(redis.port(), &store, 1).0, 403, "{authorization}");
    }
    for command in ["GET/tollgate:generation", "FLUSHALL", "EVALSHA/x/0"] {
        assert_eq!(post(redis.port(), &[("authorization", AUTHORIZATION)], command).0, 403, "{command}");
    }
}

#[test]
fn a_server_that_imitates_upstash_answers_what_the_filter_asks() {
    let redis = Store::start().expect("a store");
    let upstash = Upstash::start(&redis, "a-token").expect("a server");
    let store = RawStore { kind: StoreKind::Upstash, headers: headers("Bearer a-token"), ..RawStore::default() };
    let first = said(&ask(upstash.port(), &store, 1));
    assert!(!first.grants, "its data is new");
    assert_eq!(said(&ask(upstash.port(), &store, 2)).answers[0].claim, 2);
    let stranger = RawStore { headers: headers("Bearer another"), ..store };
    assert_eq!(ask(upstash.port(), &stranger, 3).0, 401);
}

#[test]
fn envoys_share_a_budget_through_a_server_that_imitates_upstash() {
    let redis = Store::start().expect("a store");
    redis.settle("tollgate:").expect("Redis answers");
    let upstash = Upstash::start(&redis, "a-token").expect("a server");
    let standin = Standin::start().expect("a provider");
    let mut options = Options::new(artifact::wasm().expect("the filter builds"), standin.address());
    options.store = Some(upstash.port());
    options.configuration = json!({
        "store": {
            "kind": "upstash", "target": "webdis", "headers": {"authorization": "Bearer a-token"}, "timeout_ms": 5_000,
        },
        "limits": [{
            "id": "seven", "measure": "requests", "per": "month", "limit": 7, "fleet": "strict", "failure_mode": "closed",
        }],
    });
    let envoys = [(), ()].map(|()| Envoy::start(&options).unwrap_or_else(|error| panic!("{error}")));
    let body = support::small_call(Dialect::OpenAiChat, false);
    let status = |number: usize| {
        let url = format!("{}{}", envoys[number % 2].url(), Dialect::OpenAiChat.path());
        client::post(&url, &[], &body).expect("an answer").status
    };
    let statuses: Vec<u16> = (0..10).map(status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 429, 429, 429]);
}
