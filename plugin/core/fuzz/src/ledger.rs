//! Any bytes are a value of the ledger, or somebody else's, and whatever an account says, calls can be held against it and
//! charged.

use tollgate_core::calibration::Lessons;
use tollgate_core::config::raw::Debt;
use tollgate_core::dialect::UsagePart;
use tollgate_core::ledger::{Bucket, Bytes, Created, Keep, Key, Owner, Record, TaskAccount};
use tollgate_core::limit::{Account, Asking, Due, Fleet, Mode, Reserved, Span, Terms, Wanted, Window, Zone};
use tollgate_core::retry::Try;
use tollgate_core::series::Admitted;
use tollgate_core::task_outcome::Outcomes;
use tollgate_core::time::Timestamp;
use tollgate_core::usage::Usage;

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_040);

pub(crate) fn run(bytes: &[u8]) {
    if let Ok(bucket) = Bucket::decode(Some(bytes), NOW) {
        look(&bucket);
        let again = bucket.encode();
        let again = Bucket::decode(Some(&again), NOW).expect("what was encoded can be decoded");
        assert_eq!(again.encode(), bucket.encode());
    }
    // As records of every kind, where a whole value would seldom be made up.
    if let Ok(account) = postcard::from_bytes::<Account>(bytes) {
        spend(&account);
        assert!(put(&account).is_none_or(|stored| stored == account));
    }
    if let Ok(created) = postcard::from_bytes(bytes) {
        charge(created);
    }
    let _ = postcard::from_bytes::<TaskAccount>(bytes).map(|record| put(&record));
    let _ = postcard::from_bytes::<Outcomes>(bytes).map(|record| put(&record));
    let _ = postcard::from_bytes::<Admitted>(bytes).map(|record| put(&record));
    let _ = postcard::from_bytes::<Lessons>(bytes).map(|record| put(&record));
    let _ = postcard::from_bytes::<Try>(bytes).map(|record| put(&record));
}

fn look(bucket: &Bucket<'_>) {
    bucket.records::<Account>().for_each(|(_, account)| spend(&account));
    bucket.keys::<Account>().for_each(|key| {
        let _ = (key.parts(), bucket.get(&key));
    });
    _ = (bucket.records::<TaskAccount>().count(), bucket.records::<Created>().count());
    _ = (bucket.records::<Owner>().count(), bucket.records::<Bytes>().count());
}

/// A record can be stored, where there is room for it, and read again.
fn put<R: Record>(record: &R) -> Option<R> {
    let (mut bucket, key) = (Bucket::default(), Key::new(&["a"]));
    bucket.put(&key, record, NOW.plus_millis(1), Keep::Live).ok()?;
    bucket.get(&key).expect("a record")
}

/// What was created can be charged once more, to whoever created it.
fn charge(mut created: Created) {
    let _ = created.creator.as_ref().map(|creator| (creator.attribution(), creator.prompt()));
    let told = [UsagePart { model: None, usage: Usage::default() }];
    assert!(created.charge(&told).is_empty(), "nothing is told");
    put(&created);
}

fn spend(account: &Account) {
    for window in [
        Window::Fixed(Span::Month, Zone::parse("Europe/Berlin").expect("a zone")),
        Window::Steady(Span::Minute),
        Window::Idle { after_ms: 1_000 },
        Window::InFlight,
    ] {
        for fleet in [None, Some(Fleet { mode: Mode::Strict, interval_ms: 1_000, stale_ms: 10_000 })] {
            let terms = Terms {
                window,
                allowed: 100,
                burst: 100,
                cool_down_ms: 1_000,
                debt: Debt::Carry,
                thresholds: vec![50],
                fleet,
            };
            let mut account = account.clone();
            let wanted = Wanted { amount: 10, least: Some(1), deny_percent: Some(100), asking: Asking::May };
            let hold = match account.reserve(&terms, 1, wanted, NOW) {
                Some(Reserved::Held(hold, _, amount)) => Some((hold, amount)),
                _ => None,
            };
            let _ = account.ask(&terms, Some(100), Due::InUse, NOW);
            account.settle(&terms, hold, 10, NOW);
            assert!(account.expires(&terms, NOW) > NOW);
            let _ = account.stand(&terms, NOW);
        }
    }
}
