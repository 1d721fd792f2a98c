//! Few things in order, in little code: the standard library sorts anything fast, with 6 KB of code for each kind of thing.
//!
//! Invariants: of equals, the earlier stays before the later.
//! Must not know: what is ordered.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Puts an item into a list that is in order and holds `most` items; what it has no room for comes back. Takes a step for each
/// item in the list, so `most` must be few.
pub(crate) fn insert<T>(list: &mut Vec<T>, most: usize, item: T, compare: impl Fn(&T, &T) -> Ordering) -> Option<T> {
    let at = list.partition_point(|earlier| compare(earlier, &item) != Ordering::Greater);
    if at >= most {
        return Some(item);
    }
    list.insert(at, item);
    if list.len() > most { list.pop() } else { None }
}

/// All items in order.
pub(crate) fn all<T>(items: impl IntoIterator<Item = T>, compare: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    let mut list = Vec::new();
    for item in items {
        insert(&mut list, usize::MAX, item, &compare);
    }
    list
}

/// All items as a map. To collect one sorts them first.
pub(crate) fn map<K: Ord, V>(items: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(items);
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_list_is_what_sorting_all_of_it_and_cutting_it_gives(
            items in prop::collection::vec((0_u8..20, any::<u8>()), 0..60),
            most in 0_usize..30,
        ) {
            let by_first = |one: &(u8, u8), other: &(u8, u8)| one.0.cmp(&other.0);
            let mut sorted = items.clone();
            sorted.sort_by(by_first);
            prop_assert_eq!(&all(items.clone(), by_first), &sorted);
            let (mut list, mut left) = (Vec::new(), 0);
            for item in items {
                left += usize::from(insert(&mut list, most, item, by_first).is_some());
            }
            prop_assert_eq!(left, sorted.len().saturating_sub(most));
            sorted.truncate(most);
            prop_assert_eq!(list, sorted);
        }
    }
}
