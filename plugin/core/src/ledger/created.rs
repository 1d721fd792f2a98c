//! What is known of something that was created at a provider, and may be told again: by whom, and what of it was charged.
//!
//! A provider tells usage as often as it is asked, whole each time, and of a batch that still runs more each time. So a
//! record holds what was charged so far, and what is told beyond it is what is left to charge.
//! Invariants: whatever is told in whatever order, the sum of what is left to charge is the largest that was told of
//! each model; bounded size.
//! Must not know: how a charge is priced; whether it is told by a response or a batch.
#![deny(clippy::arithmetic_side_effects)]

use super::Record;
use crate::attribution::{Attribution, Dimension, Trust};
use crate::dialect::UsagePart;
use crate::prompt::{Component, Kind, Part, Print, Prompt};
use crate::time::Timestamp;
use crate::usage::{Bucket, PerBucket, Usage};
use serde::{Deserialize, Serialize};

/// Providers keep responses and batches for about this long.
const LIFETIME_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// More models than one batch asks; the charges of further ones count as the last's.
const MODELS_MAX: usize = 16;

/// The record of a response or a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct Created {
    /// Who created it; `None` where that was not seen.
    pub creator: Option<Creator>,
    charged: Vec<Charged>,
}

/// Whose something is that is kept at a provider: the principal that is first known to have to do with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct Owner(pub String);

impl Record for Owner {
    const KIND: &'static str = "owner";
    const VERSION: u8 = 1;
}

/// Who created something, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creator {
    /// The id of the call's event.
    pub event: String,
    at_ms: u64,
    /// Dimensions by their place among all, their values, and whether the gateway says so.
    attribution: Vec<(u64, String, bool)>,
    /// The prompt's tokens by component.
    components: Vec<u64>,
}

/// Usage that was charged, of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Charged {
    model: Option<String>,
    /// By bucket.
    tokens: Vec<u64>,
    web_searches: u64,
    citation_tokens: u64,
}

impl Record for Created {
    const KIND: &'static str = "created";
    const VERSION: u8 = 1;
}

/// How records are kept: texts and counts, in a row. Records with a shape of their own are 60 KB more of the module.
#[derive(Serialize, Deserialize)]
struct Kept(Vec<String>, Vec<u64>);

impl From<Owner> for Kept {
    fn from(Owner(principal): Owner) -> Self {
        Self(vec![principal], Vec::new())
    }
}

impl From<Kept> for Owner {
    fn from(Kept(texts, _): Kept) -> Self {
        Self(texts.into_iter().next().unwrap_or_default())
    }
}

impl From<Created> for Kept {
    fn from(created: Created) -> Self {
        let (mut texts, mut counts) = (Vec::new(), vec![u64::from(created.creator.is_some())]);
        if let Some(creator) = created.creator {
            texts.push(creator.event);
            counts.push(creator.at_ms);
            counts.push(u64::try_from(creator.attribution.len()).unwrap_or(u64::MAX));
            for (place, value, is_gateways) in creator.attribution {
                texts.push(value);
                counts.extend([place, u64::from(is_gateways)]);
            }
            counts.extend(creator.components);
        }
        for charged in created.charged {
            texts.push(charged.model.unwrap_or_default());
            counts.extend(charged.tokens);
            counts.extend([charged.web_searches, charged.citation_tokens]);
        }
        Self(texts, counts)
    }
}

impl From<Kept> for Created {
    fn from(Kept(texts, counts): Kept) -> Self {
        let (mut texts, mut counts) = (texts.into_iter(), counts.into_iter());
        let has_creator = counts.next() == Some(1);
        let creator = has_creator.then(|| Creator::of_kept(&mut texts, &mut counts));
        let mut charged = Vec::new();
        for model in texts {
            charged.push(Charged {
                model: Some(model).filter(|model| !model.is_empty()),
                tokens: counts.by_ref().take(Bucket::ALL.len()).collect(),
                web_searches: counts.next().unwrap_or_default(),
                citation_tokens: counts.next().unwrap_or_default(),
            });
        }
        Self { creator, charged }
    }
}

impl Creator {
    fn of_kept(texts: &mut impl Iterator<Item = String>, counts: &mut impl Iterator<Item = u64>) -> Self {
        let event = texts.next().unwrap_or_default();
        let (at_ms, values) = (counts.next().unwrap_or_default(), counts.next().unwrap_or_default());
        let mut attribution = Vec::new();
        for value in texts.take(usize::try_from(values).unwrap_or(usize::MAX)) {
            attribution.push((counts.next().unwrap_or_default(), value, counts.next() == Some(1)));
        }
        Self { event, at_ms, attribution, components: counts.take(Component::ALL.len()).collect() }
    }

    /// A creator as an event tells it.
    pub(crate) fn new(
        event: String,
        at: Timestamp,
        attribution: &Attribution,
        components: [u64; Component::ALL.len()],
    ) -> Self {
        let places = (0_u64..).zip(Dimension::ALL);
        let kept = places.filter_map(|(place, dimension)| {
            Some((place, attribution.get(dimension)?.to_owned(), attribution.trust(dimension)? == Trust::Gateway))
        });
        Self { event, at_ms: at.millis(), attribution: kept.collect(), components: components.to_vec() }
    }

    /// When it was created.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.at_ms)
    }

    /// Who the charge belongs to.
    #[must_use]
    pub fn attribution(&self) -> Attribution {
        let mut attribution = Attribution::default();
        for (place, value, is_gateways) in &self.attribution {
            let dimension = usize::try_from(*place).ok().and_then(|place| Dimension::ALL.get(place));
            let trust = if *is_gateways { Trust::Gateway } else { Trust::Client };
            dimension.into_iter().for_each(|dimension| attribution.set(*dimension, value.clone(), trust));
        }
        attribution
    }

    /// What the prompt consisted of, as far as it is kept.
    #[must_use]
    pub fn prompt(&self) -> Prompt {
        let part =
            |(component, tokens)| Part { component, kind: Kind::Message, name: None, tokens, print: Print::default() };
        Prompt {
            parts: Component::ALL.into_iter().zip(self.components.iter().copied()).map(part).collect(),
            ..Prompt::default()
        }
    }
}

impl Created {
    /// Created by this call, of which this much is charged already.
    #[must_use]
    pub fn by(creator: Creator, charged: &[UsagePart]) -> Self {
        let mut created = Self { creator: Some(creator), charged: Vec::new() };
        created.charge(charged);
        created
    }

    /// When a record that was changed now is over.
    #[must_use]
    pub fn expires(now: Timestamp) -> Timestamp {
        now.plus_millis(LIFETIME_MS)
    }

    /// Nothing of it was charged yet.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.charged.is_empty()
    }

    /// What is told beyond what was charged, which now is charged too. Empty where nothing is.
    pub fn charge(&mut self, told: &[UsagePart]) -> Vec<UsagePart> {
        let sum = |parts: &mut dyn Iterator<Item = u64>| parts.fold(0_u64, u64::saturating_add);
        let all_told = sum(&mut told.iter().map(|part| total(&part.usage)));
        let all_charged = sum(&mut self.charged.iter().map(|charged| total(&charged.usage())));
        // The same by another name: OpenAI's totals name one model, the results each their own.
        if all_told <= all_charged {
            return Vec::new();
        }
        told.iter().map(|part| self.charge_part(part)).filter(|left| *left != empty(left)).collect()
    }

    fn charge_part(&mut self, part: &UsagePart) -> UsagePart {
        let is_full = self.charged.len() >= MODELS_MAX;
        let known = self.charged.iter().position(|charged| charged.model == part.model);
        // A call that broke off may not have been told its model yet.
        let nameless = || self.charged.iter().position(|charged| charged.model.is_none() || part.model.is_none());
        let place = known.or_else(nameless).or_else(|| self.charged.len().checked_sub(1).filter(|_| is_full));
        let Some(charged) = place.and_then(|place| self.charged.get_mut(place)) else {
            self.charged.push(Charged::of(part));
            return part.clone();
        };
        let before = charged.usage();
        let left = Usage {
            tokens: PerBucket::from_fn(|bucket| part.usage.get(bucket).saturating_sub(before.get(bucket))),
            web_searches: part.usage.web_searches.saturating_sub(before.web_searches),
            citation_tokens: part.usage.citation_tokens.saturating_sub(before.citation_tokens),
        };
        let mut usage = before;
        usage.add(&left);
        *charged = Charged::of(&UsagePart { model: charged.model.clone().or_else(|| part.model.clone()), usage });
        UsagePart { model: part.model.clone(), usage: left }
    }
}

fn total(usage: &Usage) -> u64 {
    let beside = usage.web_searches.saturating_add(usage.citation_tokens);
    usage.input_total().saturating_add(usage.output_total()).saturating_add(beside)
}

fn empty(part: &UsagePart) -> UsagePart {
    UsagePart { model: part.model.clone(), usage: Usage::default() }
}

impl Charged {
    fn of(part: &UsagePart) -> Self {
        let tokens = Bucket::ALL.map(|bucket| part.usage.get(bucket)).to_vec();
        let Usage { web_searches, citation_tokens, .. } = part.usage;
        Self { model: part.model.clone(), tokens, web_searches, citation_tokens }
    }

    fn usage(&self) -> Usage {
        let (web_searches, citation_tokens) = (self.web_searches, self.citation_tokens);
        let mut usage = Usage { web_searches, citation_tokens, ..Usage::default() };
        Bucket::ALL.into_iter().zip(&self.tokens).for_each(|(bucket, tokens)| usage.set(bucket, *tokens));
        usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(model: Option<&str>, input: u64, output: u64) -> UsagePart {
        let mut usage = Usage::default();
        usage.set(Bucket::InputUncached, input);
        usage.set(Bucket::Output, output);
        UsagePart { model: model.map(str::to_owned), usage }
    }

    #[test]
    fn what_is_told_again_is_not_charged_again() {
        let mut created = Created::default();
        let told = [part(Some("m"), 10, 2), part(Some("n"), 5, 1)];
        assert_eq!(created.charge(&told), told);
        assert_eq!(created.charge(&told), []);
        assert_eq!(created.charge(&[part(Some("another name"), 15, 3)]), []);
    }

    #[test]
    fn what_is_told_beyond_is_charged_alone() {
        let mut created = Created::default();
        created.charge(&[part(Some("m"), 10, 2)]);
        assert_eq!(
            created.charge(&[part(Some("m"), 10, 7), part(Some("n"), 1, 1)]),
            [part(Some("m"), 0, 5), part(Some("n"), 1, 1)]
        );
    }

    #[test]
    fn a_call_that_broke_off_is_charged_the_rest_when_it_is_told() {
        let creator = Creator::new("1".to_owned(), Timestamp::default(), &Attribution::default(), [1, 2, 3, 4, 5]);
        let mut created = Created::by(creator, &[part(None, 10, 3)]);
        assert!(!created.is_untouched());
        assert_eq!(created.charge(&[part(Some("m"), 10, 30)]), [part(Some("m"), 0, 27)]);
    }

    #[test]
    fn a_record_keeps_who_created_it() {
        let mut attribution = Attribution::default();
        attribution.set(Dimension::Team, "search".to_owned(), Trust::Gateway);
        attribution.set(Dimension::Task, "t".to_owned(), Trust::Client);
        let creator = Creator::new("1".to_owned(), Timestamp::from_seconds(7), &attribution, [1, 2, 3, 4, 5]);
        let value = postcard::to_allocvec(&Created::by(creator, &[part(Some("m"), 1, 1)])).unwrap();
        let read: Created = postcard::from_bytes(&value).unwrap();
        let creator = read.creator.unwrap();
        assert_eq!((creator.attribution(), creator.at()), (attribution, Timestamp::from_seconds(7)));
        assert_eq!(
            creator.prompt().scaled(15).iter().map(|(_, _, tokens)| *tokens).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5]
        );
    }

    proptest! {
        #[test]
        fn all_charges_sum_to_the_most_that_was_told_of_a_growing_batch(
            grows in prop::collection::vec((0_u64..100, 0_u64..100), 1..20),
        ) {
            let (mut created, mut charged) = (Created::default(), Usage::default());
            let (mut input, mut output) = (0_u64, 0_u64);
            for (more_input, more_output) in grows {
                input = input.saturating_add(more_input);
                output = output.saturating_add(more_output);
                created.charge(&[part(Some("m"), input, output)]).iter().for_each(|left| charged.add(&left.usage));
            }
            prop_assert_eq!((charged.input_total(), charged.output_total()), (input, output));
        }
    }
}
