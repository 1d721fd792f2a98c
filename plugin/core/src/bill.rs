//! The bill of two periods, and what changed it: volume, caching, routing, trimming.
//!
//! What a period cost is a product of what its events state:
//!
//! ```text
//! calls x forwarded part x ( input tokens  x price uncached x part left by the prompt cache
//!                          + output tokens x price
//!                          + fees )
//! ```
//!
//! tokens and fees per forwarded call. The number of calls is the volume; the part that no response cache served and the
//! part that the prompt cache left are caching; prices and fees are routing, since they change with the models; tokens are
//! trimming. Each cause is given its Shapley value: the mean, over all orders in which the four can change, of what its
//! change adds to the cost. So no order is preferred, and the parts sum to the difference.
//! Invariants: exact fractions until the end, then whole femtodollars that sum to the difference: each part is rounded
//! down, and what is left over goes, a femtodollar each, to the parts that lost most, the first named where several did.
//! A ratio that a period has no figures for (what a cache leaves where there is no input) is taken from the other one.
//! Must not know: wire formats, prices, where events are kept. The filter does not use it.

use crate::money::Usd;
use num_rational::BigRational;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The periods that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The earlier one.
    Before,
    /// The later one.
    After,
}

/// The calls of two periods, in groups: by application, by kind of task. Each group has causes of its own, so that a group
/// that grew is volume, and not longer prompts of an average that nobody sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bill(BTreeMap<Option<String>, [Period; 2]>);

impl Bill {
    /// Adds a call to a group of a period; `None` is the group of calls that belong to none.
    pub fn add(&mut self, when: When, group: Option<&str>, call: &Billed) {
        self.add_up(when, group, &Period::of(call));
    }

    /// Adds calls of a group that are added up already.
    pub fn add_up(&mut self, when: When, group: Option<&str>, calls: &Period) {
        let [before, after] = self.0.entry(group.map(str::to_owned)).or_default();
        let period = match when {
            When::Before => before,
            When::After => after,
        };
        *period = period.plus(calls);
    }

    /// The bill of each group that has calls, and of all of them, whose effects are the sums of the groups'.
    #[must_use]
    pub fn lines(&self) -> Lines {
        let periods = self.0.iter().filter(|(_, [before, after])| !(before.is_empty() && after.is_empty()));
        let groups: Vec<Line> = periods.map(|(name, [before, after])| Line::new(name.clone(), before, after)).collect();
        let total = groups.iter().fold(Line::default(), Line::plus);
        Lines { groups, total }
    }
}

/// A bill, line by line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lines {
    /// By name; calls that belong to no group come first.
    pub groups: Vec<Line>,
    /// Their sum.
    pub total: Line,
}

/// One line of a bill.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The group; `null` of calls that belong to none, and of all together.
    pub name: Option<String>,
    /// The earlier period.
    pub before: Period,
    /// The later one.
    pub after: Period,
    /// What the later one cost more, in dollars; negative where it cost less.
    pub difference_usd: Usd,
    /// Why. They sum to the difference.
    pub effects: Effects,
}

impl Line {
    fn new(name: Option<String>, before: &Period, after: &Period) -> Self {
        let effects = Effects::between(before, after);
        let difference_usd = after.cost_usd.minus(before.cost_usd);
        Self { name, before: *before, after: *after, difference_usd, effects }
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            name: None,
            before: self.before.plus(&other.before),
            after: self.after.plus(&other.after),
            difference_usd: self.difference_usd.plus(other.difference_usd),
            effects: self.effects.plus(other.effects),
        }
    }
}

/// What the bill needs of a call's event; read it from the event's JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Billed {
    cost_usd: Option<Amount>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cost: BTreeMap<String, Amount>,
    cache: Cache,
    response_cache: Option<ResponseCache>,
    attribution: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Cache {
    savings_usd: Option<Amount>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct ResponseCache {
    served_by: Option<String>,
}

/// An amount as events write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Amount(Usd);

impl TryFrom<String> for Amount {
    type Error = crate::money::MoneyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Usd::parse(&text).map(Self)
    }
}

impl Billed {
    /// What the call is attributed to in a dimension; `None` where it says nothing.
    #[must_use]
    pub fn attribution(&self, dimension: &str) -> Option<&str> {
        self.attribution.get(dimension).map(String::as_str)
    }

    fn has_tokens(&self) -> bool {
        self.input_tokens.unwrap_or(0) > 0 || self.output_tokens.unwrap_or(0) > 0
    }

    /// What one part of the cost comes to: the parts whose names the test accepts.
    fn part(&self, is_part: impl Fn(&str) -> bool) -> Usd {
        self.cost.iter().filter(|(name, _)| is_part(name)).map(|(_, amount)| amount.0).sum()
    }
}

/// The added figures of a period's calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Period {
    /// Calls that consumed something, and those that a response cache served.
    pub calls: u64,
    /// Those of them that a provider answered.
    pub forwarded: u64,
    /// Calls whose cost nobody knows; in no other figure.
    pub unpriced: u64,
    /// Calls of which no price, or no whole event, says what input and output cost: their cost counts as a fee.
    pub undivided: u64,
    /// Input tokens.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// What the period cost, in dollars: the sum of input, output and fees.
    pub cost_usd: Usd,
    /// Dollars for the input.
    pub input_usd: Usd,
    /// What the input would have cost without prompt caches.
    pub uncached_input_usd: Usd,
    /// Dollars for the output.
    pub output_usd: Usd,
    /// Dollars that are billed per request, and those that no price divides.
    pub fees_usd: Usd,
}

impl Period {
    /// The figures of a single call.
    #[must_use]
    pub fn of(call: &Billed) -> Self {
        let mut period = Self::default();
        period.add(call);
        period
    }

    /// Adds a call. One that consumed nothing and that no cache served (refused, failed before it was read) is no part of
    /// the bill; one that consumed something at an unknown price is counted apart.
    pub fn add(&mut self, call: &Billed) {
        let cost = call.cost_usd.map(|cost| cost.0);
        let is_free = cost.is_none_or(|cost| cost == Usd::ZERO) && !call.has_tokens();
        let is_served = call.response_cache.as_ref().is_some_and(|cache| cache.served_by.is_some());
        match (cost, is_free) {
            (_, true) if is_served => self.calls = self.calls.saturating_add(1),
            (_, true) => {}
            (None, false) => self.unpriced = self.unpriced.saturating_add(1),
            (Some(cost), false) => self.add_paid(call, cost),
        }
    }

    fn add_paid(&mut self, call: &Billed, cost: Usd) {
        let input = call.part(|name| name.starts_with("input") || name.starts_with("cache"));
        let output = call.part(|name| name.starts_with("output") || name == "reasoning");
        let fees = cost.minus(input).minus(output);
        let stated_fees = call.part(|name| matches!(name, "citation" | "web_search" | "request"));
        *self = self.plus(&Self {
            calls: 1,
            forwarded: 1,
            unpriced: 0,
            undivided: u64::from(fees != stated_fees),
            input_tokens: call.input_tokens.unwrap_or(0),
            output_tokens: call.output_tokens.unwrap_or(0),
            cost_usd: cost,
            input_usd: input,
            uncached_input_usd: input.plus(call.cache.savings_usd.unwrap_or_default().0),
            output_usd: output,
            fees_usd: fees,
        });
    }

    fn is_empty(&self) -> bool {
        self.calls == 0 && self.unpriced == 0
    }

    fn plus(&self, other: &Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            forwarded: self.forwarded.saturating_add(other.forwarded),
            unpriced: self.unpriced.saturating_add(other.unpriced),
            undivided: self.undivided.saturating_add(other.undivided),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cost_usd: self.cost_usd.plus(other.cost_usd),
            input_usd: self.input_usd.plus(other.input_usd),
            uncached_input_usd: self.uncached_input_usd.plus(other.uncached_input_usd),
            output_usd: self.output_usd.plus(other.output_usd),
            fees_usd: self.fees_usd.plus(other.fees_usd),
        }
    }

    /// The same figures, with cost that no tokens or no prices divide among the fees.
    fn divided(mut self) -> Self {
        if self.input_tokens == 0 || self.uncached_input_usd <= Usd::ZERO {
            self.fees_usd = self.fees_usd.plus(std::mem::take(&mut self.input_usd));
            self.uncached_input_usd = Usd::ZERO;
        }
        if self.output_tokens == 0 {
            self.fees_usd = self.fees_usd.plus(std::mem::take(&mut self.output_usd));
        }
        self
    }
}

/// What changed a cost from one period to the next, in dollars; negative where it saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Effects {
    /// More or fewer calls.
    #[serde(rename = "volume_usd")]
    pub volume: Usd,
    /// What prompt caches and response caches took off.
    #[serde(rename = "caching_usd")]
    pub caching: Usd,
    /// Other models, and other prices of the same ones.
    #[serde(rename = "routing_usd")]
    pub routing: Usd,
    /// Longer or shorter prompts and answers.
    #[serde(rename = "trimming_usd")]
    pub trimming: Usd,
}

impl Effects {
    /// What changed the cost of `before` to that of `after`.
    #[must_use]
    pub fn between(before: &Period, after: &Period) -> Self {
        let difference = after.cost_usd.minus(before.cost_usd);
        let factors = Factors::of(&before.divided(), &after.divided());
        let exact = std::array::from_fn(|cause| factors.shapley(cause));
        let [volume, caching, routing, trimming] = rounded(&exact, difference);
        Self { volume, caching, routing, trimming }
    }

    /// The difference of the costs.
    #[must_use]
    pub fn sum(&self) -> Usd {
        [self.volume, self.caching, self.routing, self.trimming].into_iter().sum()
    }

    /// The effects of two parts of a bill together.
    #[must_use]
    fn plus(self, other: Self) -> Self {
        Self {
            volume: self.volume.plus(other.volume),
            caching: self.caching.plus(other.caching),
            routing: self.routing.plus(other.routing),
            trimming: self.trimming.plus(other.trimming),
        }
    }
}

/// The causes, by their bit in a set of those that have changed.
const CAUSES: usize = 4;
const VOLUME: usize = 1;
const CACHING: usize = 1 << 1;
const ROUTING: usize = 1 << 2;
const TRIMMING: usize = 1 << 3;

/// A factor before and after.
struct Factor([BigRational; 2]);

impl Factor {
    /// Of two ratios; one without a denominator is taken from the other period, and is nothing where both are.
    fn ratio(parts: [(i128, i128); 2]) -> Self {
        let [before, after] =
            parts.map(|(part, whole)| (whole != 0).then(|| BigRational::new(part.into(), whole.into())));
        let other = |own: &Option<BigRational>, other: &Option<BigRational>| {
            own.clone().or_else(|| other.clone()).unwrap_or_else(|| whole(0))
        };
        Self([other(&before, &after), other(&after, &before)])
    }

    const fn when(&self, is_after: bool) -> &BigRational {
        let Self([before, after]) = self;
        if is_after { after } else { before }
    }
}

fn whole(number: i128) -> BigRational {
    BigRational::from_integer(number.into())
}

/// The factors of the cost.
struct Factors {
    calls: Factor,
    forwarded: Factor,
    input_tokens: Factor,
    uncached_price: Factor,
    left_by_cache: Factor,
    output_tokens: Factor,
    output_price: Factor,
    fees: Factor,
}

impl Factors {
    fn of(before: &Period, after: &Period) -> Self {
        let ratio = |part: fn(&Period) -> i128, whole: fn(&Period) -> i128| {
            Factor::ratio([before, after].map(|period| (part(period), whole(period))))
        };
        let forwarded = |period: &Period| i128::from(period.forwarded);
        let (input, output) =
            (|period: &Period| i128::from(period.input_tokens), |period: &Period| i128::from(period.output_tokens));
        Self {
            calls: ratio(|period| i128::from(period.calls), |_| 1),
            forwarded: ratio(forwarded, |period| i128::from(period.calls)),
            input_tokens: ratio(input, forwarded),
            uncached_price: ratio(|period| period.uncached_input_usd.femto(), input),
            left_by_cache: ratio(|period| period.input_usd.femto(), |period| period.uncached_input_usd.femto()),
            output_tokens: ratio(output, forwarded),
            output_price: ratio(|period| period.output_usd.femto(), output),
            fees: ratio(|period| period.fees_usd.femto(), forwarded),
        }
    }

    /// What it costs, in femtodollars, once the causes in a set have changed and the others have not.
    fn cost(&self, changed: usize) -> BigRational {
        let [volume, caching, routing, trimming] =
            [VOLUME, CACHING, ROUTING, TRIMMING].map(|cause| changed & cause != 0);
        let input =
            self.input_tokens.when(trimming) * self.uncached_price.when(routing) * self.left_by_cache.when(caching);
        let output = self.output_tokens.when(trimming) * self.output_price.when(routing);
        self.calls.when(volume) * self.forwarded.when(caching) * (input + output + self.fees.when(routing))
    }

    /// What a cause adds, over all orders in which the causes can change.
    fn shapley(&self, cause: usize) -> BigRational {
        const ALL_ORDERS: i128 = 24;
        /// Of all orders, those in which the causes of one given set come before a cause, by the size of that set.
        const ORDERS: [i128; CAUSES] = [6, 2, 2, 6];
        let own = 1 << cause;
        let without = (0..1_usize << CAUSES).filter(|set| set & own == 0);
        let added = |set: usize| {
            let orders = usize::try_from(set.count_ones()).ok().and_then(|size| ORDERS.get(size).copied());
            (self.cost(set | own) - self.cost(set)) * whole(orders.unwrap_or(0))
        };
        without.map(added).fold(whole(0), |sum, added| sum + added) / whole(ALL_ORDERS)
    }
}

/// Exact femtodollars as whole ones that sum to `sum`, which is what the exact ones sum to.
fn rounded(exact: &[BigRational; CAUSES], sum: Usd) -> [Usd; CAUSES] {
    let floor = |part: &BigRational| i128::try_from(part.floor().to_integer()).unwrap_or_default();
    let mut parts = exact.each_ref().map(|part| Usd::from_femto(floor(part)));
    let left = sum.minus(parts.iter().copied().sum()).femto();
    let mut lost: Vec<_> = parts.iter_mut().zip(exact.iter().map(|part| part - part.floor())).collect();
    lost.sort_by_key(|(_, lost)| Reverse(lost.clone()));
    for (part, _) in lost.into_iter().take(usize::try_from(left).unwrap_or(0)) {
        *part = part.plus(Usd::from_femto(1));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A call of so many tokens, at so many femtodollars each, of whose input's cost the cache saved some permille.
    fn call(input: u64, output: u64, prices: [u64; 2], saved_permille: u64) -> Billed {
        let uncached = Usd::from_femto(prices[0].into()).times(input);
        let saved = uncached.ratio(saved_permille, 1_000);
        let output_cost = Usd::from_femto(prices[1].into()).times(output);
        let cost = [("input_uncached", uncached.minus(saved)), ("output", output_cost)];
        Billed {
            cost_usd: Some(Amount(cost.iter().map(|(_, cost)| *cost).sum())),
            input_tokens: Some(input),
            output_tokens: Some(output),
            cost: cost.into_iter().map(|(name, cost)| (name.to_owned(), Amount(cost))).collect(),
            cache: Cache { savings_usd: Some(Amount(saved)) },
            ..Billed::default()
        }
    }

    fn served() -> Billed {
        let response_cache = Some(ResponseCache { served_by: Some("x-cache-status".to_owned()) });
        Billed { cost_usd: Some(Amount(Usd::ZERO)), response_cache, ..Billed::default() }
    }

    fn period(calls: &[Billed]) -> Period {
        let mut period = Period::default();
        calls.iter().for_each(|call| period.add(call));
        period
    }

    fn effects(before: &[Billed], after: &[Billed]) -> [i128; CAUSES] {
        let effects = Effects::between(&period(before), &period(after));
        [effects.volume, effects.caching, effects.routing, effects.trimming].map(Usd::femto)
    }

    fn of_json(json: &str) -> Billed {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_alone_changes_is_the_whole_cause() {
        let before = call(1_000, 100, [10, 50], 0);
        let twice = [before.clone(), before.clone()];
        assert_eq!(effects(&twice[..1], &twice), [15_000, 0, 0, 0]);
        assert_eq!(effects(&twice, &twice[..1]), [-15_000, 0, 0, 0]);
        assert_eq!(effects(&twice, &[call(1_000, 100, [10, 50], 400), before.clone()]), [0, -4_000, 0, 0]);
        assert_eq!(effects(&twice, &[call(1_000, 100, [1, 5], 0), before.clone()]), [0, 0, -13_500, 0]);
        assert_eq!(effects(&twice, &[call(300, 20, [10, 50], 0), before.clone()]), [0, 0, 0, -11_000]);
        // A response cache that serves every second call halves what they cost.
        assert_eq!(effects(&twice, &[before.clone(), served()]), [0, -15_000, 0, 0]);
        assert_eq!(effects(&twice, &twice), [0, 0, 0, 0]);
    }

    #[test]
    fn a_group_that_begins_or_ends_is_volume() {
        let calls = [call(1_000, 100, [10, 50], 300), call(500, 7, [3, 9], 0)];
        let cost = period(&calls).cost_usd.femto();
        assert_eq!(effects(&[], &calls), [cost, 0, 0, 0]);
        assert_eq!(effects(&calls, &[]), [-cost, 0, 0, 0]);
    }

    #[test]
    fn three_savings_on_47000_dollars_are_neither_added_nor_dependent_on_their_order() {
        // 40 % by caching, 30 % by routing, 20 % by trimming, of a bill that is all input: 47,000 x 0.6 x 0.7 x 0.8.
        let dollar = 1_000_000_000_000_000;
        let effects = effects(&[call(1_000, 0, [47 * dollar, 0], 0)], &[call(800, 0, [47 * dollar * 7 / 10, 0], 400)]);
        let dollars = effects.map(|femto| Usd::from_femto(femto).to_string());
        assert_eq!(dollars, ["0", "-14476", "-10246", "-6486"]);
        assert_eq!(effects.iter().sum::<i128>(), -i128::from(dollar) * (47_000 - 15_792));
    }

    #[test]
    fn a_femtodollar_that_three_causes_share_goes_to_the_first_of_those_that_lost_most() {
        let third = |part: i128| BigRational::new(part.into(), 3.into());
        let exact = [third(1), third(-2), third(1), third(3)];
        assert_eq!(rounded(&exact, Usd::from_femto(1)).map(Usd::femto), [1, -1, 0, 1]);
        assert_eq!(
            rounded(&[third(0), third(2), third(2), third(2)], Usd::from_femto(2)).map(Usd::femto),
            [0, 1, 1, 0]
        );
    }

    #[test]
    fn what_has_no_price_or_consumed_nothing_is_not_billed_and_said_so() {
        let unpriced = r#"{"cost_usd":null,"input_tokens":5,"output_tokens":1}"#;
        let denied = r#"{"outcome":"denied","cost_usd":"0","input_tokens":0,"output_tokens":0}"#;
        let failed = r#"{"outcome":"upstream_error","cost_usd":null,"input_tokens":null}"#;
        let period = period(&[unpriced, denied, failed].map(of_json));
        assert_eq!(period, Period { unpriced: 1, ..Period::default() });
    }

    #[test]
    fn cost_that_nothing_divides_is_a_fee_and_counted() {
        let stated = of_json(r#"{"cost_usd":"0.5","input_tokens":9,"output_tokens":9,"cost":{"unattributed":"0.5"}}"#);
        let cut = of_json(r#"{"cost_usd":"0.25","input_tokens":9,"partial":true}"#);
        let searched =
            of_json(r#"{"cost_usd":"0.02","input_tokens":9,"cost":{"web_search":"0.01","cache_read":"0.01"}}"#);
        let period = period(&[stated, cut, searched]);
        assert_eq!((period.calls, period.undivided), (3, 2));
        assert_eq!((period.fees_usd.to_string(), period.cost_usd.to_string()), ("0.76".to_owned(), "0.77".to_owned()));
        // Two of three calls are gone, and with them nearly all that was no input.
        let effects = Effects::between(&period, &Period::default());
        assert_eq!(effects.volume, Usd::ZERO.minus(period.cost_usd));
    }

    #[test]
    fn the_lines_of_a_bill_sum_to_its_total() {
        let mut bill = Bill::default();
        bill.add(When::Before, Some("shop"), &call(1_000, 10, [3, 7], 0));
        bill.add(When::After, Some("shop"), &call(700, 10, [2, 7], 500));
        bill.add(When::After, None, &call(7, 3, [11, 13], 0));
        bill.add(When::After, Some("nothing"), &Billed::default());
        let lines = bill.lines();
        assert_eq!(lines.groups.iter().map(|line| line.name.as_deref()).collect::<Vec<_>>(), [None, Some("shop")]);
        assert_eq!(lines.groups[0].effects.volume, lines.groups[0].difference_usd);
        assert_eq!(lines.total.after.cost_usd.minus(lines.total.before.cost_usd), lines.total.difference_usd);
        assert_eq!(lines.total.effects.sum(), lines.total.difference_usd);
        assert_eq!(lines.total.after.calls, 2);
    }

    /// Every order of the causes.
    fn orders() -> Vec<Vec<usize>> {
        let mut orders = vec![Vec::new()];
        for cause in 0..CAUSES {
            let longer =
                |order: Vec<usize>| (0..=order.len()).map(move |at| [&order[..at], &[cause], &order[at..]].concat());
            orders = orders.into_iter().flat_map(longer).collect();
        }
        orders
    }

    fn any_call() -> impl Strategy<Value = Billed> {
        let numbers = (0_u64..3_000_000, 0_u64..100_000, 0_u64..2_000_000_000, 0_u64..9_000_000_000, 0_u64..1_000);
        let made = |(input, output, price, output_price, saved)| call(input, output, [price, output_price], saved);
        let fee = |(mut call, fee): (Billed, u64)| {
            let cost = call.cost_usd.map(|cost| Amount(cost.0.plus(Usd::from_femto(fee.into()))));
            call.cost_usd = cost;
            call
        };
        prop_oneof![8 => numbers.clone().prop_map(made), 2 => (numbers.prop_map(made), any::<u64>()).prop_map(fee), 1 => Just(served())]
    }

    proptest! {
        #[test]
        fn the_effects_sum_to_the_difference_and_are_the_mean_over_all_orders(
            before in prop::collection::vec(any_call(), 0..5), after in prop::collection::vec(any_call(), 0..5),
        ) {
            let (before, after) = (period(&before), period(&after));
            let effects = Effects::between(&before, &after);
            prop_assert_eq!(effects.sum(), after.cost_usd.minus(before.cost_usd));
            let factors = Factors::of(&before.divided(), &after.divided());
            prop_assert_eq!(factors.cost(0), whole(before.cost_usd.femto()));
            prop_assert_eq!(factors.cost(VOLUME | CACHING | ROUTING | TRIMMING), whole(after.cost_usd.femto()));
            let orders = orders();
            prop_assert_eq!(orders.len(), 24);
            let stated = [effects.volume, effects.caching, effects.routing, effects.trimming];
            for (cause, stated) in stated.into_iter().enumerate() {
                let added = orders.iter().map(|order| {
                    let before = order.iter().take_while(|other| **other != cause).fold(0, |set, other| set | 1 << other);
                    factors.cost(before | 1 << cause) - factors.cost(before)
                });
                let mean = added.fold(whole(0), |sum, added| sum + added) / whole(24);
                let off = whole(stated.femto()) - mean;
                prop_assert!(off > whole(-1) && off < whole(1), "{off}");
            }
        }
    }
}
