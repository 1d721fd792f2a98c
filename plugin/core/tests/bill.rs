//! The bill reads what events say: every recorded event's cost, divided as the event divides it.

use std::fs;
use std::path::Path;
use tollgate_core::bill::{Billed, Effects, Period};
use tollgate_core::money::Usd;

#[test]
fn every_event_of_the_test_data_is_billed_at_its_cost() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let (mut billed, mut all) = (0, Period::default());
    for dialect in fs::read_dir(folder).expect("test data").flatten() {
        for file in fs::read_dir(dialect.path()).into_iter().flatten().flatten() {
            let Ok(text) = fs::read_to_string(file.path()) else { continue };
            let Some((_, json)) = text.split_once("\n---\n") else { continue };
            let Ok(event) = serde_json::from_str::<serde_json::Value>(json) else { continue };
            let Some(cost) = event["cost_usd"].as_str().and_then(|cost| Usd::parse(cost).ok()) else { continue };
            let call: Billed = serde_json::from_str(json).unwrap_or_else(|why| panic!("{:?}: {why}", file.path()));
            let mut period = Period::default();
            period.add(&call);
            assert_eq!(period.cost_usd, cost, "{:?}", file.path());
            let is_divided = event["cost"].get("unattributed").is_none();
            assert_eq!(period.undivided, u64::from(!is_divided), "{:?}", file.path());
            assert!(!is_divided || period.fees_usd == fees(&event), "{:?}", file.path());
            all.add(&call);
            billed += 1;
        }
    }
    assert!(billed > 100, "only {billed} events");
    assert_eq!(Effects::between(&Period::default(), &all).volume, all.cost_usd);
}

fn fees(event: &serde_json::Value) -> Usd {
    let fee = |name: &str| event.pointer(&format!("/cost/{name}"))?.as_str().and_then(|cost| Usd::parse(cost).ok());
    ["citation", "web_search", "request"].into_iter().filter_map(fee).sum()
}
