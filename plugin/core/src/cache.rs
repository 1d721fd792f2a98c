//! Cache economics: which component lies in the cached prefix, and what the cache saved.
//!
//! A provider caches a prefix of the prompt. So the tokens of a call, laid out in the order in which the provider
//! renders the parts, are served from the cache first, then written to it, then read at list price; each token's
//! cost belongs to the component that lies there.
//! Invariants: component tokens sum to the input, component costs to the input's cost, both exactly.
//! Must not know: wire formats, models.
#![deny(clippy::arithmetic_side_effects)]

use crate::money::Usd;
use crate::prompt::{Component, Kind, Prompt};
use crate::usage::{Bucket, PerBucket, Usage};

/// The input buckets in the order in which they lie in the prompt. A one-hour cache entry must precede a
/// five-minute one (Anthropic, "Mixing different TTLs").
const LAYOUT: [Bucket; 8] = [
    Bucket::CacheRead,
    Bucket::CacheReadAudio,
    Bucket::CacheReadImage,
    Bucket::CacheWrite1h,
    Bucket::CacheWrite5m,
    Bucket::InputUncached,
    Bucket::InputAudio,
    Bucket::InputImage,
];

/// Tokens and cost of one component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Input tokens.
    pub tokens: u64,
    /// Of which served from the provider's cache.
    pub cached_tokens: u64,
    /// Their cost; `None` where the call has no price.
    pub cost: Option<Usd>,
}

/// Input tokens and cost by component, and by tool definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Composition {
    components: [Share; Component::ALL.len()],
    /// In the order of the prompt; they sum to the component `tools`.
    tools: Vec<Share>,
    /// What tools returned, part of the component `history`.
    tool_results: Share,
}

impl Composition {
    /// Books one usage, with its cost by bucket where it has a price, to the components of the prompt.
    #[must_use]
    pub fn of(prompt: &Prompt, usage: &Usage, cost: Option<&PerBucket<Usd>>) -> Self {
        let mut composition = Self::default();
        let mut layout = LAYOUT.into_iter().map(|bucket| Stretch::new(bucket, usage, cost));
        let mut stretch = layout.next();
        for (component, kind, tokens) in prompt.scaled(usage.input_total()) {
            let mut missing = tokens;
            if component == Component::Tools {
                composition.tools.push(Share::default());
            }
            while missing > 0 {
                let Some(current) = &mut stretch else { break };
                let (taken, paid) = current.take(missing);
                missing = missing.saturating_sub(taken);
                composition.book((component, kind), current.bucket, taken, paid);
                if current.is_empty() {
                    stretch = layout.next();
                }
            }
        }
        composition
    }

    /// The share of one component.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a fieldless enum's discriminant is below the variant count")]
    pub const fn get(&self, component: Component) -> Share {
        self.components[component as usize]
    }

    /// The shares of the tool definitions, in the order of the prompt; none where the prompt is not known.
    #[must_use]
    pub fn tools(&self) -> &[Share] {
        &self.tools
    }

    /// The share of what tools returned.
    #[must_use]
    pub const fn tool_results(&self) -> Share {
        self.tool_results
    }

    /// Adds the shares of another usage of the same call.
    pub fn add(&mut self, other: &Self) {
        self.tool_results.add(&other.tool_results);
        self.tools.resize(self.tools.len().max(other.tools.len()), Share::default());
        let shares = self.components.iter_mut().zip(&other.components);
        shares.chain(self.tools.iter_mut().zip(&other.tools)).for_each(|(share, more)| share.add(more));
    }

    #[expect(clippy::indexing_slicing, reason = "a fieldless enum's discriminant is below the variant count")]
    fn book(&mut self, (component, kind): (Component, Kind), bucket: Bucket, tokens: u64, cost: Option<Usd>) {
        let is_cached = matches!(bucket, Bucket::CacheRead | Bucket::CacheReadAudio | Bucket::CacheReadImage);
        let more = Share { tokens, cached_tokens: if is_cached { tokens } else { 0 }, cost };
        self.components[component as usize].add(&more);
        if component == Component::Tools {
            self.tools.iter_mut().last().into_iter().for_each(|tool| tool.add(&more));
        }
        if kind == Kind::ToolResult {
            self.tool_results.add(&more);
        }
    }
}

impl Share {
    fn add(&mut self, more: &Self) {
        self.tokens = self.tokens.saturating_add(more.tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(more.cached_tokens);
        self.cost = add(self.cost, more.cost);
    }
}

fn add(known: Option<Usd>, more: Option<Usd>) -> Option<Usd> {
    match (known, more) {
        (Some(known), Some(more)) => Some(known.plus(more)),
        (known, more) => known.or(more),
    }
}

/// The tokens of one bucket, where they lie in the prompt, with their cost.
struct Stretch {
    bucket: Bucket,
    tokens: u64,
    taken: u64,
    cost: Option<Usd>,
    paid: Usd,
}

impl Stretch {
    fn new(bucket: Bucket, usage: &Usage, cost: Option<&PerBucket<Usd>>) -> Self {
        let cost = cost.map(|cost| cost.get(bucket));
        Self { bucket, tokens: usage.get(bucket), taken: 0, cost, paid: Usd::ZERO }
    }

    fn is_empty(&self) -> bool {
        self.taken >= self.tokens
    }

    /// Takes up to `wanted` tokens with their cost. The running cost is what is rounded, so all of it is given
    /// away with the last token.
    fn take(&mut self, wanted: u64) -> (u64, Option<Usd>) {
        let tokens = wanted.min(self.tokens.saturating_sub(self.taken));
        self.taken = self.taken.saturating_add(tokens);
        let cost = self.cost.map(|cost| {
            let upto = cost.ratio(self.taken, self.tokens);
            let paid = upto.minus(self.paid);
            self.paid = upto;
            paid
        });
        (tokens, cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::{Part, Print};
    use proptest::prelude::*;

    fn prompt(parts: &[(Component, u64)]) -> Prompt {
        let parts = parts
            .iter()
            .map(|&(component, tokens)| Part {
                component,
                kind: Kind::Message,
                name: None,
                tokens,
                print: Print::default(),
            })
            .collect();
        Prompt { parts, priming: 3, exact: true, ..Prompt::default() }
    }

    fn usage(counts: &[(Bucket, u64)]) -> Usage {
        let mut usage = Usage::default();
        counts.iter().for_each(|&(bucket, tokens)| usage.set(bucket, tokens));
        usage
    }

    /// 10 femtodollars for an uncached token, 1 for a read, 12 for a write.
    fn cost(usage: &Usage) -> PerBucket<Usd> {
        PerBucket::from_fn(|bucket| {
            let rate = match bucket {
                Bucket::CacheRead => 1,
                Bucket::CacheWrite5m => 12,
                _ => 10,
            };
            Usd::from_femto(rate).times(usage.get(bucket))
        })
    }

    #[test]
    fn tools_that_fill_the_cached_prefix_are_booked_entirely_at_the_read_price() {
        let prompt = prompt(&[(Component::Tools, 1_600), (Component::System, 1_500), (Component::User, 200)]);
        let usage = usage(&[(Bucket::CacheRead, 1_600), (Bucket::InputUncached, 1_700)]);
        let composition = Composition::of(&prompt, &usage, Some(&cost(&usage)));
        let share = |component| composition.get(component);
        assert_eq!(share(Component::Tools).cost, Some(Usd::from_femto(1_600)));
        assert_eq!((share(Component::Tools).cached_tokens, share(Component::System).cached_tokens), (1_600, 0));
        assert_eq!(share(Component::System).cost, Some(Usd::from_femto(15_000)));
        assert_eq!(share(Component::User).cost, Some(Usd::from_femto(2_000)));
    }

    #[test]
    fn a_hit_that_ends_inside_a_component_splits_its_price() {
        let prompt = prompt(&[(Component::System, 100), (Component::User, 50)]);
        let usage = usage(&[(Bucket::CacheRead, 40), (Bucket::CacheWrite5m, 60), (Bucket::InputUncached, 50)]);
        let composition = Composition::of(&prompt, &usage, Some(&cost(&usage)));
        assert_eq!(composition.get(Component::System).cost, Some(Usd::from_femto(40 + 720)));
        assert_eq!(composition.get(Component::System).cached_tokens, 40);
    }

    proptest! {
        #[test]
        fn components_sum_exactly_to_tokens_and_cost_of_the_input(
            parts in prop::collection::vec((0_usize..5, 0_u64..5_000), 0..12),
            counts in prop::collection::vec(0_u64..5_000, 8),
        ) {
            let parts: Vec<_> = parts.into_iter().map(|(index, tokens)| (Component::ALL[index], tokens)).collect();
            let counts: Vec<_> = LAYOUT.into_iter().zip(counts).collect();
            let usage = usage(&counts);
            let cost = cost(&usage);
            let composition = Composition::of(&prompt(&parts), &usage, Some(&cost));
            let shares = Component::ALL.map(|component| composition.get(component));
            prop_assert_eq!(shares.iter().map(|share| share.tokens).sum::<u64>(), usage.input_total());
            let paid: Usd = shares.iter().filter_map(|share| share.cost).sum();
            prop_assert_eq!(paid, LAYOUT.into_iter().map(|bucket| cost.get(bucket)).sum());
            let tools = composition.tools();
            prop_assert_eq!(tools.iter().map(|tool| tool.tokens).sum::<u64>(), composition.get(Component::Tools).tokens);
            let paid: Usd = tools.iter().filter_map(|tool| tool.cost).sum();
            prop_assert_eq!(paid, composition.get(Component::Tools).cost.unwrap_or(Usd::ZERO));
        }
    }
}
