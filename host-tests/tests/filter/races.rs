//! Workers that change the same budget at the same moment: nothing is lost, on fresh keys least of all.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tollgate_core::config::Config;
use tollgate_core::ledger::Bucket;
use tollgate_core::limit::Account;
use tollgate_core::time::Timestamp;
use tollgate_host::gateway::{Gateway, Profile, Settings};
use tollgate_host::replay;
use tollgate_host::standin::Dialect;

use super::support::{one, start};

const WORKERS: usize = 8;
const KEYS: usize = 1_000;
const CONFIG: &str = r#"{"shared_data": "on", "log_events": false,
    "limits": [{"id": "user", "measure": "requests", "per": "day", "key": ["user"], "limit": 1000}]}"#;

fn call(gateway: &Gateway, worker: usize, user: usize) {
    let exchange = one(Dialect::OpenAiChat, false);
    let head = exchange.request_head().header("x-tollgate-user", &format!("user-{user}"));
    let stream = gateway.worker(worker % WORKERS).open(head);
    stream.request_body(&exchange.request, true);
    stream.respond(exchange.response_head()).response_body(&exchange.response, true);
    assert_eq!(stream.finish().status(), 200);
}

/// Calls that the ledger has charged, by account; `held` in all of them.
fn charged(gateway: &Gateway, settings: &Settings) -> (BTreeMap<String, i128>, i128) {
    let config = Config::parse(CONFIG.as_bytes()).unwrap();
    let terms = &config.limits[0].budget.as_ref().unwrap().terms;
    let now = Timestamp::from_millis(gateway.now_ns() / 1_000_000);
    let (mut spent, mut held) = (BTreeMap::new(), 0);
    for (_, value) in gateway.shared_data().entries(&settings.vm_id) {
        let Ok(bucket) = Bucket::decode(Some(&value), now) else { continue };
        for (key, account) in bucket.records::<Account>() {
            let balance = account.stand(terms, now);
            held += balance.held;
            assert!(spent.insert(key.to_owned(), balance.spent).is_none(), "{key} is there twice");
        }
    }
    (spent, held)
}

#[test]
fn eight_workers_that_race_on_a_thousand_fresh_keys_lose_nothing() {
    for profile in [Profile::Envoy, Profile::Kong] {
        let settings = Settings { workers: WORKERS, ..replay::settings(profile, CONFIG) };
        let gateway = Rc::new(start(settings.clone()));
        // Which key is being called, by which worker, and how often others came between.
        let (key, turn) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let between = {
            let (gateway, key, turn) = (Rc::downgrade(&gateway), Rc::clone(&key), Rc::clone(&turn));
            move || {
                turn.set(turn.get() + 1);
                // Every read of a key's first call is overtaken, by another worker each time.
                let worker = key.get() + 1 + turn.get() % (WORKERS - 1);
                if let (Some(gateway), true) = (gateway.upgrade(), turn.get() <= 2) {
                    call(&gateway, worker, key.get());
                }
            }
        };
        gateway.interrupt_reads(between);
        for user in 0..KEYS {
            key.set(user);
            turn.set(0);
            call(&gateway, user, user);
        }
        let (spent, held) = charged(&gateway, &settings);
        assert_eq!((spent.len(), held), (KEYS, 0), "{profile:?}");
        let wrong: Vec<_> = spent.iter().filter(|(_, spent)| **spent != 3).collect();
        assert!(wrong.is_empty(), "{profile:?}: {wrong:?}");
    }
}
