//! Which series a gateway's metrics may have: decided once for all its workers, and never taken back.
//!
//! ```text
//! labels of a call -> values beyond the cap of their label are `other` -> the set is admitted, or all of it is `other`
//! ```
//! A set of labels is admitted together with every series that it can ever have, so that no admitted call is counted in
//! one metric and missing in another. What is admitted is one record of the ledger, which only grows; once nothing more
//! can be admitted, every worker decides from its own copy, and all decide alike.
//! Invariants: the admitted series never exceed the cap; what was admitted stays so as long as the process, as its
//! series do; values are kept as hashes, so that a record of a thousand sets fits.
//! Must not know: what is counted, how records are kept.
#![deny(clippy::arithmetic_side_effects)]

use crate::ledger::{Key, Record};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};

/// Stands for values, and for sets of labels, that are not admitted.
pub(crate) const OTHER: &str = "other";
/// Most entries of a record. Nine bytes each, so that it fits its bucket beside others.
const ENTRIES_MAX: usize = 2_500;
/// Bits of an entry that tell the value.
const VALUE_BITS: u32 = 40;

/// How many series there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caps {
    /// Values of each label.
    pub(crate) values: usize,
    /// Series in all sets together.
    pub(crate) series: u64,
}

/// The labels that series of one kind share, and how many series they can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set<'a> {
    pub(crate) labels: Vec<(&'a str, &'a str)>,
    pub(crate) weight: u64,
}

/// What becomes of a set of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is counted as it is by now.
    Admitted,
    /// It may be admitted still; all workers decide that together.
    Open,
    /// There is no more room: it is counted as `other`.
    Refused,
}

/// What was admitted so far: the series that the admitted sets can have, and an entry for each set and each value, sorted.
/// An entry holds a hash of its label before one of its value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted(u64, Vec<u64>);

impl Record for Admitted {
    const KIND: &'static str = "series";
    const VERSION: u8 = 1;
}

impl Admitted {
    /// Until when it is kept: as long as the process.
    pub const EXPIRES: Timestamp = Timestamp::from_millis(u64::MAX);

    /// The key of the one record that there is.
    #[must_use]
    pub fn key() -> Key<Self> {
        Key::new(&[])
    }

    /// Folds the values of a set that are beyond the cap of their label, and says how the set stands.
    pub(crate) fn fold(&self, set: &mut Set<'_>, caps: Caps) -> Standing {
        for (label, value) in &mut set.labels {
            if !self.has(entry(label, *value)) && self.values(label) >= caps.values {
                *value = OTHER;
            }
        }
        // With room for an entry of each value, and of the set.
        let entries = self.1.len().saturating_add(set.labels.len());
        match () {
            () if self.has(set.entry()) => Standing::Admitted,
            () if entries >= ENTRIES_MAX || self.0.saturating_add(set.weight) > caps.series => Standing::Refused,
            () => Standing::Open,
        }
    }

    /// Admits a set where there is room; `true` when that is new.
    pub(crate) fn admit(&mut self, mut set: Set<'_>, caps: Caps) -> bool {
        if self.fold(&mut set, caps) != Standing::Open {
            return false;
        }
        self.0 = self.0.saturating_add(set.weight);
        let values = set.labels.iter().filter(|(_, value)| *value != OTHER);
        self.1.extend(values.map(|(label, value)| entry(label, *value)));
        self.1.push(set.entry());
        self.1.sort_unstable();
        self.1.dedup();
        true
    }

    fn has(&self, entry: u64) -> bool {
        self.1.binary_search(&entry).is_ok()
    }

    /// How many values a label has.
    fn values(&self, label: &str) -> usize {
        let label = hash_of(label) >> VALUE_BITS;
        let before = self.1.partition_point(|entry| entry >> VALUE_BITS < label);
        let upto = self.1.partition_point(|entry| entry >> VALUE_BITS <= label);
        upto.saturating_sub(before)
    }
}

impl Set<'_> {
    fn entry(&self) -> u64 {
        entry("", &self.labels)
    }
}

/// What stands for a value of a label, the same in every worker. Who finds two values with one entry gains a series, no
/// more.
fn entry(label: &str, value: impl Hash) -> u64 {
    const VALUE: u64 = (1 << VALUE_BITS) - 1;
    (hash_of(label) & !VALUE) | (hash_of(value) & VALUE)
}

fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Bucket, Keep};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const CAPS: Caps = Caps { values: 3, series: 100 };

    fn set<'a>(app: &'a str, user: &'a str) -> Set<'a> {
        Set { labels: vec![("app", app), ("user", user)], weight: 10 }
    }

    fn folded<'a>(admitted: &Admitted, app: &'a str, user: &'a str) -> (Standing, &'a str, &'a str) {
        let mut set = set(app, user);
        let standing = admitted.fold(&mut set, CAPS);
        (standing, set.labels[0].1, set.labels[1].1)
    }

    #[test]
    fn a_label_beyond_its_cap_is_other_and_the_labels_beside_it_keep_their_values() {
        let mut admitted = Admitted::default();
        ["1", "2", "3", "4", "5"]
            .iter()
            .for_each(|user| assert!(admitted.admit(set("shop", user), CAPS) || *user == "5"));
        assert_eq!(folded(&admitted, "shop", "2"), (Standing::Admitted, "shop", "2"));
        assert_eq!(folded(&admitted, "shop", "9"), (Standing::Admitted, "shop", OTHER));
        assert_eq!(folded(&admitted, "blog", "1"), (Standing::Open, "blog", "1"));
    }

    #[test]
    fn a_set_is_refused_where_its_series_have_no_room_and_stays_admitted_where_they_had() {
        let mut admitted = Admitted::default();
        let caps = Caps { values: 50, series: 100 };
        let names: Vec<_> = (0..20).map(|app| app.to_string()).collect();
        let count = names.iter().filter(|app| admitted.admit(set(app, "u"), caps)).count();
        assert_eq!((count, admitted.0), (10, 100));
        assert_eq!(admitted.fold(&mut set("3", "u"), caps), Standing::Admitted);
        assert_eq!(admitted.fold(&mut set("13", "u"), caps), Standing::Refused);
    }

    #[test]
    fn the_largest_record_fits_its_bucket() {
        let caps = Caps { values: usize::MAX, series: u64::MAX };
        let mut admitted = Admitted::default();
        let names: Vec<_> = (0..ENTRIES_MAX).map(|app| format!("application-{app}")).collect();
        let count = names.iter().filter(|app| admitted.admit(set(app, app), caps)).count();
        assert!(count > ENTRIES_MAX / 4, "{count}");
        assert_eq!(admitted.fold(&mut set("late", "late"), caps), Standing::Refused);
        let mut bucket = Bucket::default();
        bucket.put(&Admitted::key(), &admitted, Admitted::EXPIRES, Keep::Live).unwrap();
        let value = bucket.encode();
        let read = Bucket::decode(Some(&value), Timestamp::from_seconds(2_000_000_000)).unwrap();
        assert_eq!(read.get(&Admitted::key()).unwrap(), Some(admitted));
    }

    proptest! {
        #[test]
        fn workers_that_share_a_record_agree_and_never_exceed_the_cap(
            calls in prop::collection::vec((0_usize..4, 0_u8..12, 0_u8..12), 0..200),
        ) {
            let mut shared = Admitted::default();
            let mut workers = vec![Admitted::default(); 4];
            let mut told = BTreeMap::new();
            for (worker, app, user) in calls {
                let (app, user) = (app.to_string(), user.to_string());
                let own = &mut workers[worker];
                if folded(own, &app, &user).0 == Standing::Open {
                    shared.admit(set(&app, &user), CAPS);
                    own.clone_from(&shared);
                }
                let (standing, as_app, as_user) = folded(own, &app, &user);
                prop_assert_ne!(standing, Standing::Open);
                prop_assert!(shared.0 <= CAPS.series);
                // Once it is decided, it stays so, whoever is asked.
                let now = (standing, as_app.to_owned(), as_user.to_owned());
                if standing == Standing::Admitted {
                    let before = told.entry((app.clone(), user.clone())).or_insert_with(|| now.clone());
                    prop_assert_eq!(&*before, &now);
                }
            }
        }
    }
}
