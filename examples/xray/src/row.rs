//! A row: what of an event is kept, in a form of which 200,000 fit a browser's memory.
//!
//! Invariants: the parts of a row sum to its cost exactly; texts are kept once, as numbers.
//! Must not know: where events are logged, what is asked of them.

use crate::log::LineError;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use tollgate_core::attribution::Dimension;
use tollgate_core::bill::{Billed, Period};
use tollgate_core::logged::in_column;
use tollgate_core::money::Usd;
use tollgate_core::prompt::Component;
use tollgate_core::time::Timestamp;

/// What a cost consists of: the components of the prompt, the output, and what no tokens explain (fees, and costs that
/// the provider states without a price to divide them by).
pub(crate) const PARTS: [&str; 7] = ["system", "tools", "few_shot", "history", "user", "output", "other"];

/// What rows can be grouped by beside the dimensions of attribution.
pub(crate) const OWN_LABELS: [&str; 5] = ["model", "provider", "outcome", "dialect", "operation"];

const LABELS: usize = Dimension::ALL.len() + OWN_LABELS.len();

/// One call.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: Box<str>,
    pub(crate) at: Timestamp,
    /// By [`label`]; 0 where there is none.
    labels: [u32; LABELS],
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) cached_tokens: u64,
    /// There are no token counts.
    pub(crate) is_unmetered: bool,
    /// `None` where the cost is unknown.
    pub(crate) cost: Option<Usd>,
    pub(crate) saved: Usd,
    /// Tokens and dollars, in the order of [`PARTS`].
    pub(crate) parts: [(u64, Usd); PARTS.len()],
    /// What it is to the bill of a period.
    pub(crate) billed: Period,
    /// Where its line begins in the file, and how many bytes it has.
    pub(crate) place: (u64, u64),
}

impl Row {
    /// The number of the value in a label.
    pub(crate) fn label(&self, index: usize) -> u32 {
        self.labels.get(index).copied().unwrap_or(0)
    }

    /// Whether the call was still running when its event was written.
    pub(crate) fn runs(&self, texts: &Texts) -> bool {
        label("outcome").is_some_and(|index| texts.get(self.label(index)) == Some("in_flight"))
    }
}

/// The place of a label among those of a row; `None` of an unknown name.
pub(crate) fn label(name: &str) -> Option<usize> {
    let names = Dimension::ALL.iter().map(|dimension| dimension.name()).chain(OWN_LABELS);
    names.enumerate().find(|(_, known)| *known == name).map(|(index, _)| index)
}

/// Texts by number, each kept once.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    numbers: HashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
}

impl Texts {
    fn number(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return 0 };
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        self.texts.push(text.into());
        // Numbers begin at 1; a browser holds fewer texts than there are numbers.
        let number = u32::try_from(self.texts.len()).unwrap_or(0);
        self.numbers.insert(text.into(), number);
        number
    }

    /// The number of a text that is known.
    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    /// The text of a number; `None` of 0.
    pub(crate) fn get(&self, number: u32) -> Option<&str> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.texts.get(index).map(AsRef::as_ref)
    }
}

/// An event, as far as it is read.
#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(default)]
    dialect: Option<Cow<'a, str>>,
    #[serde(default)]
    provider: Option<Cow<'a, str>>,
    #[serde(default)]
    operation: Option<Cow<'a, str>>,
    #[serde(default)]
    request_model: Option<Cow<'a, str>>,
    #[serde(default)]
    response_model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    cache_read_tokens: Option<u64>,
    #[serde(default)]
    cost_usd: Option<Amount>,
    #[serde(default)]
    cost: BTreeMap<Cow<'a, str>, Amount>,
    #[serde(default)]
    components: BTreeMap<Cow<'a, str>, Share>,
    #[serde(default)]
    cache: Cache,
    #[serde(default)]
    attribution: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Share {
    tokens: u64,
    #[serde(default)]
    cost_usd: Option<Amount>,
}

#[derive(Default, Deserialize)]
struct Cache {
    #[serde(default)]
    savings_usd: Option<Amount>,
}

/// An amount as events write it.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Amount(Usd);

impl TryFrom<String> for Amount {
    type Error = tollgate_core::money::MoneyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Usd::parse(&text).map(Self)
    }
}

impl Row {
    /// Reads an event's JSON.
    pub(crate) fn read(json: &str, place: (u64, u64), texts: &mut Texts) -> Result<Self, LineError> {
        let field = |why: serde_json::Error| LineError::Field(in_column(&why));
        let read: Read<'_> = serde_json::from_str(json).map_err(field)?;
        let billed: Billed = serde_json::from_str(json).map_err(field)?;
        let time = Timestamp::parse(&read.time);
        let at = time.ok_or_else(|| LineError::Field(format!("`time` is `{}`, no time in UTC", read.time)))?;
        let model = read.request_model.as_deref().or(read.response_model.as_deref());
        let own =
            [model, read.provider.as_deref(), Some(&*read.outcome), read.dialect.as_deref(), read.operation.as_deref()];
        let attributed =
            Dimension::ALL.iter().map(|dimension| read.attribution.get(dimension.name()).map(AsRef::as_ref));
        let mut labels = [0; LABELS];
        for (label, text) in labels.iter_mut().zip(attributed.chain(own)) {
            *label = texts.number(text);
        }
        Ok(Self {
            id: read.id.as_ref().into(),
            at,
            labels,
            input_tokens: read.input_tokens.unwrap_or(0),
            output_tokens: read.output_tokens.unwrap_or(0),
            cached_tokens: read.cache_read_tokens.unwrap_or(0),
            is_unmetered: read.input_tokens.is_none(),
            cost: read.cost_usd.map(|cost| cost.0),
            saved: read.cache.savings_usd.map_or(Usd::ZERO, |saved| saved.0),
            parts: parts(&read),
            billed: Period::of(&billed),
            place,
        })
    }
}

/// Tokens and dollars of each part. What is not divided is `other`.
fn parts(read: &Read<'_>) -> [(u64, Usd); PARTS.len()] {
    let share = |component: Component| {
        let share = read.components.get(component.name());
        share.map_or((0, Usd::ZERO), |share| (share.tokens, share.cost_usd.map_or(Usd::ZERO, |cost| cost.0)))
    };
    let [system, tools, few_shot, history, user] = Component::ALL.map(share);
    let is_output = |name: &str| name.starts_with("output") || name == "reasoning";
    let output: Usd = read.cost.iter().filter(|(name, _)| is_output(name)).map(|(_, cost)| cost.0).sum();
    let output = (read.output_tokens.unwrap_or(0), output);
    let divided: Usd = [system, tools, few_shot, history, user, output].iter().map(|(_, cost)| *cost).sum();
    let other = read.cost_usd.map_or(Usd::ZERO, |cost| cost.0.minus(divided));
    [system, tools, few_shot, history, user, output, (0, other)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"schema":"tollgate.event/1","id":"r-1","time":"2026-11-20T09:30:00.123Z","outcome":"complete",
        "provider":"openai","request_model":"gpt-4o-mini","input_tokens":100,"output_tokens":7,"cache_read_tokens":60,
        "cost_usd":"0.00135","cost":{"input_uncached":"0.0004","cache_read":"0.0006","output":"0.0002","reasoning":"0.0001","web_search":"0.00005"},
        "components":{"system":{"tokens":60,"cost_usd":"0.0006"},"user":{"tokens":40,"cost_usd":"0.0004"}},
        "cache":{"savings_usd":"0.0054"},"attribution":{"app":"shop","task":"t-1"},"new_field":{"a":[1]}}"#;

    fn texts(amounts: [(u64, Usd); PARTS.len()]) -> Vec<(u64, String)> {
        amounts.iter().map(|(tokens, cost)| (*tokens, cost.to_string())).collect()
    }

    #[test]
    fn the_parts_of_a_row_are_the_components_the_output_and_the_rest() {
        let mut known = Texts::default();
        let row = Row::read(EVENT, (10, 20), &mut known).unwrap();
        let zero = || "0".to_owned();
        let expected = [
            (60, "0.0006".to_owned()),
            (0, zero()),
            (0, zero()),
            (0, zero()),
            (40, "0.0004".to_owned()),
            (7, "0.0003".to_owned()),
            (0, "0.00005".to_owned()),
        ];
        assert_eq!(texts(row.parts), expected);
        assert_eq!(row.parts.iter().map(|(_, cost)| *cost).sum::<Usd>(), row.cost.unwrap());
        let of = |name| known.get(row.label(label(name).unwrap()));
        assert_eq!(
            (of("app"), of("task"), of("model"), of("user")),
            (Some("shop"), Some("t-1"), Some("gpt-4o-mini"), None)
        );
        assert_eq!(known.find("shop"), Some(row.label(label("app").unwrap())));
    }

    #[test]
    fn an_event_without_usage_or_price_is_kept_as_unknown() {
        let json =
            r#"{"id":"","time":"2026-11-20T09:30:00Z","outcome":"upstream_error","input_tokens":null,"cost_usd":null}"#;
        let row = Row::read(json, (0, 0), &mut Texts::default()).unwrap();
        assert_eq!((row.is_unmetered, row.cost), (true, None));
    }

    #[test]
    fn a_field_that_is_not_what_it_should_be_is_named() {
        let error = |from: &str, to: &str| {
            Row::read(&EVENT.replace(from, to), (0, 0), &mut Texts::default()).unwrap_err().to_string()
        };
        assert!(
            error("\"0.00135\"", "\"free\"").contains("`free` is not a decimal number"),
            "{}",
            error("\"0.00135\"", "\"free\"")
        );
        assert!(error("\"input_tokens\":100", "\"input_tokens\":-1").contains("invalid value: integer `-1`"));
        assert!(error("2026-11-20T09:30:00.123Z", "yesterday").contains("`time` is `yesterday`"));
    }
}
