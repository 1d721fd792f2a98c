//! The bill: events in, text out.
//!
//! It adds up what the events say and computes no price of its own. Invariants: money is exact (decimal strings, integer
//! arithmetic); what an event does not say is printed as `unknown`, never as $0, and a sum over unknown parts says so.
//! Must not know: gateways, the filter's internals.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use tollgate_core::money::Usd;

/// The parts of a prompt in the order in which they are printed.
const COMPONENTS: [&str; 5] = ["system", "tools", "few_shot", "history", "user"];

/// An amount of which some parts may be unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    known: Usd,
    known_parts: u64,
    unknown_parts: u64,
}

impl Amount {
    /// The amount a JSON value states: a decimal string (or number); anything else is unknown.
    #[must_use]
    pub fn of(value: Option<&Value>) -> Self {
        let text = match value {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        match text.and_then(|text| Usd::parse(&text).ok()) {
            Some(known) => Self { known, known_parts: 1, unknown_parts: 0 },
            None => Self { known: Usd::ZERO, known_parts: 0, unknown_parts: 1 },
        }
    }

    /// The sum; unknown parts stay counted.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            known: self.known.plus(other.known),
            known_parts: self.known_parts + other.known_parts,
            unknown_parts: self.unknown_parts + other.unknown_parts,
        }
    }

    /// The difference; unknown where either is.
    #[must_use]
    fn minus(self, other: Self) -> Self {
        let difference = Self { known: self.known.minus(other.known), known_parts: 1, unknown_parts: 0 };
        let is_known = self.unknown_parts == 0 && other.unknown_parts == 0;
        if is_known { difference } else { Self { known: Usd::ZERO, known_parts: 0, unknown_parts: 1 } }
    }

    /// For people: `$0`, `$0.018737`, `unknown`, or `$0.018737 + 2 unknown`. Six decimals, rounded half away from zero.
    #[must_use]
    pub fn shown(&self) -> String {
        match (self.known_parts, self.unknown_parts) {
            (0, _) => "unknown".to_owned(),
            (_, 0) => dollars(self.known),
            (_, unknown) => format!("{} + {unknown} unknown", dollars(self.known)),
        }
    }
}

/// An amount for people, with six decimals.
#[must_use]
pub fn dollars(amount: Usd) -> String {
    const PER_MICRO: i128 = 1_000_000_000;
    let femto = amount.femto();
    if femto == 0 {
        return "$0".to_owned();
    }
    let rounded = (femto.abs() + PER_MICRO / 2) / PER_MICRO;
    let sign = if femto < 0 { "-" } else { "" };
    if rounded == 0 {
        return format!("{sign}<$0.000001");
    }
    format!("{sign}${}.{:06}", rounded / 1_000_000, rounded % 1_000_000)
}

/// A sum of tokens of which some parts may be missing.
#[derive(Clone, Copy, Debug, Default)]
struct Tokens {
    known: u64,
    any: bool,
}

impl Tokens {
    fn add(&mut self, value: Option<&Value>) {
        if let Some(tokens) = value.and_then(Value::as_u64) {
            self.known += tokens;
            self.any = true;
        }
    }

    fn shown(self) -> String {
        if self.any { grouped(self.known) } else { "unknown".to_owned() }
    }
}

/// `1234567` as `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % 3 == first {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `part` of `whole` as a percentage with one decimal.
fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "unknown".to_owned();
    }
    let tenths = (u128::from(part) * 1000 + u128::from(whole) / 2) / u128::from(whole);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn percent(value: Option<&Value>) -> String {
    match value.and_then(Value::as_f64) {
        Some(ratio) => format!("{:.1} %", ratio * 100.0),
        None => "unknown".to_owned(),
    }
}

/// The text at a place; an object there may carry it as `value` (beside where it came from).
fn text<'e>(event: &'e Value, pointer: &str) -> &'e str {
    let value = event.pointer(pointer);
    value.and_then(|value| value.get("value").unwrap_or(value).as_str()).unwrap_or("unknown")
}

/// The whole bill: the steps of task `task`, what its prompt consisted of, what the cache did; what the other calls consisted of
/// and which tools joined them; and everything by app and user.
#[must_use]
pub fn render(events: &[Value], task: &str) -> String {
    let (steps, others): (Vec<&Value>, Vec<&Value>) =
        events.iter().partition(|event| text(event, "/attribution/task") == task);
    let all: Vec<&Value> = events.iter().collect();
    let mut out = String::new();
    if !steps.is_empty() {
        let _ = writeln!(out, "The agent's task {task}: {} calls\n", steps.len());
        out.push_str(&step_table(&steps));
        let _ = writeln!(out, "\nWhat each step's input consisted of\n");
        out.push_str(&share_table(&steps));
        let _ = writeln!(out, "\nWhat it consisted of all together, and what that cost\n");
        out.push_str(&component_table(&steps));
        let _ = writeln!(out, "\nWhat caching did\n");
        out.push_str(&cache_table(&steps));
    }
    if !others.is_empty() {
        let _ = writeln!(out, "\nThe other {} calls: what they consisted of, and what that cost\n", others.len());
        out.push_str(&component_table(&others));
    }
    let joined = joined_tools(&all);
    if !joined.is_empty() {
        let _ = write!(out, "\nTools that joined in the middle, and what they cost since\n\n{joined}");
    }
    let _ = writeln!(out, "\nEverything, by application\n");
    out.push_str(&group_table(&all, "/attribution/app", "application"));
    let _ = writeln!(out, "\nEverything, by user\n");
    out.push_str(&group_table(&all, "/attribution/user", "user"));
    let _ = writeln!(out, "\nHow calls ended\n");
    out.push_str(&group_table(&all, "/outcome", "outcome"));
    let limits = limits_hit(&all);
    if !limits.is_empty() {
        let _ = write!(out, "\nLimits hit\n\n{limits}");
    }
    out
}

fn step_table(steps: &[&Value]) -> String {
    let mut rows = Vec::new();
    let (mut input, mut output, mut cached, mut cost) =
        (Tokens::default(), Tokens::default(), Tokens::default(), Amount::default());
    for (number, event) in steps.iter().enumerate() {
        let (mut step_input, mut step_output, mut step_cached) =
            (Tokens::default(), Tokens::default(), Tokens::default());
        for (step, total, field) in [
            (&mut step_input, &mut input, "input_tokens"),
            (&mut step_output, &mut output, "output_tokens"),
            (&mut step_cached, &mut cached, "cache_read_tokens"),
        ] {
            step.add(event.get(field));
            total.add(event.get(field));
        }
        let step_cost = Amount::of(event.get("cost_usd"));
        cost = cost.plus(step_cost);
        let read = match (step_cached.any, step_input.any) {
            (true, true) => share(step_cached.known, step_input.known),
            _ => "unknown".to_owned(),
        };
        rows.push(vec![
            (number + 1).to_string(),
            text(event, "/outcome").to_owned(),
            step_input.shown(),
            step_cached.shown(),
            read,
            step_output.shown(),
            step_cost.shown(),
        ]);
    }
    let read = if cached.any && input.any { share(cached.known, input.known) } else { "unknown".to_owned() };
    rows.push(vec![
        "total".to_owned(),
        String::new(),
        input.shown(),
        cached.shown(),
        read,
        output.shown(),
        cost.shown(),
    ]);
    table(&["step", "outcome", "input", "cached", "cached share", "output", "cost"], &rows)
}

fn share_table(steps: &[&Value]) -> String {
    let mut headings = vec!["step"];
    headings.extend(COMPONENTS);
    let rows: Vec<Vec<String>> = steps
        .iter()
        .enumerate()
        .map(|(number, event)| {
            let tokens =
                |component: &&str| event.pointer(&format!("/components/{component}/tokens")).and_then(Value::as_u64);
            let whole: u64 = COMPONENTS.iter().filter_map(tokens).sum();
            let mut row = vec![(number + 1).to_string()];
            row.extend(COMPONENTS.iter().map(|component| match tokens(component) {
                Some(part) => share(part, whole),
                None => "unknown".to_owned(),
            }));
            row
        })
        .collect();
    table(&headings, &rows)
}

fn component_table(events: &[&Value]) -> String {
    let mut parts: BTreeMap<&str, (Tokens, Amount)> = BTreeMap::new();
    let (mut output, mut for_all_input) = (Tokens::default(), Amount::default());
    let (mut for_output, mut paid) = (Amount::default(), Amount::default());
    for event in events {
        let mut for_input = Amount::default();
        for component in COMPONENTS {
            let Some(part) = event.pointer(&format!("/components/{component}")) else { continue };
            let (tokens, cost) = parts.entry(component).or_default();
            tokens.add(part.get("tokens"));
            *cost = cost.plus(Amount::of(part.get("cost_usd")));
            for_input = for_input.plus(Amount::of(part.get("cost_usd")));
        }
        let cost = Amount::of(event.get("cost_usd"));
        // The input's components and the output make up the whole.
        for_output = for_output.plus(cost.minus(for_input));
        for_all_input = for_all_input.plus(for_input.minus(Amount::default()));
        output.add(event.get("output_tokens"));
        paid = paid.plus(cost);
    }
    let input: u64 = parts.values().map(|(tokens, _)| tokens.known).sum();
    let mut rows: Vec<Vec<String>> = COMPONENTS
        .iter()
        .map(|component| match parts.get(component) {
            Some((tokens, cost)) if tokens.any => {
                vec![(*component).to_owned(), tokens.shown(), share(tokens.known, input), cost.shown()]
            }
            _ => vec![(*component).to_owned(), "unknown".to_owned(), "unknown".to_owned(), "unknown".to_owned()],
        })
        .collect();
    if input > 0 {
        rows.push(vec!["input".to_owned(), grouped(input), share(input, input), for_all_input.shown()]);
        rows.push(vec!["output".to_owned(), output.shown(), String::new(), for_output.shown()]);
        rows.push(vec!["total".to_owned(), String::new(), String::new(), paid.shown()]);
    }
    let mut text = table(&["component", "tokens", "share of input", "cost"], &rows);
    let of = |component: &str| parts.get(component).map_or(0, |(tokens, _): &(Tokens, Amount)| tokens.known);
    let most = COMPONENTS.into_iter().max_by_key(|component| of(component)).unwrap_or_default();
    if of(most) > of("user") {
        let (user, most_of_all) = (share(of("user"), input), share(of(most), input));
        let again = if most == "history" { "sent again with every step" } else { "sent again with every call" };
        let _ = writeln!(text, "\n  The user wrote {user} of this input; {most_of_all} is {most}, {again}.");
    }
    text
}

/// The tools that an application's calls were given from some call on, as their events name them.
fn joined_tools(events: &[&Value]) -> String {
    let mut rows = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let app = text(event, "/attribution/app");
        let is_own = |event: &&&Value| text(event, "/attribution/app") == app;
        let added = event.pointer("/template/drift/tools_added").and_then(Value::as_array);
        for name in added.into_iter().flatten().filter_map(Value::as_str) {
            let (before, since) = events.split_at(at);
            let weigh = |event: &&Value| {
                let tools = event.pointer("/tools/heaviest").and_then(Value::as_array)?;
                tools.iter().find(|tool| tool["name"] == name).cloned()
            };
            let weighed: Vec<Value> = since.iter().filter(is_own).filter_map(weigh).collect();
            let steps = weighed.len() as u64;
            let tokens: u64 = weighed.iter().filter_map(|tool| tool["tokens"].as_u64()).sum();
            let cost = weighed.iter().fold(Amount::default(), |sum, tool| sum.plus(Amount::of(tool.get("cost_usd"))));
            rows.push(vec![
                name.to_owned(),
                app.to_owned(),
                (before.iter().filter(is_own).count() + 1).to_string(),
                steps.to_string(),
                tokens.checked_div(steps).map_or_else(|| "unknown".to_owned(), grouped),
                grouped(tokens),
                cost.shown(),
                weighed.iter().filter(|tool| tool["called"] == true).count().to_string(),
            ]);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    table(&["tool", "application", "since step", "steps", "tokens per step", "tokens", "cost", "called"], &rows)
}

fn cache_table(events: &[&Value]) -> String {
    let mut sums: BTreeMap<&str, Tokens> = BTreeMap::new();
    let buckets = [
        "input_uncached_tokens",
        "cache_read_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
        "input_tokens",
    ];
    let (mut paid, mut saved) = (Amount::default(), Amount::default());
    for event in events {
        for bucket in buckets {
            sums.entry(bucket).or_default().add(event.get(bucket));
        }
        paid = paid.plus(Amount::of(event.get("cost_usd")));
        saved = saved.plus(Amount::of(event.pointer("/cache/savings_usd")));
    }
    let mut rows: Vec<Vec<String>> = buckets
        .iter()
        .map(|bucket| {
            let name = bucket.trim_end_matches("_tokens").replace('_', " ");
            vec![name, sums.get(bucket).copied().unwrap_or_default().shown()]
        })
        .collect();
    rows.push(vec!["cost as billed".to_owned(), paid.shown()]);
    rows.push(vec!["saved by caching".to_owned(), saved.shown()]);
    rows.push(vec!["cost without caching".to_owned(), paid.plus(saved).shown()]);
    for (reason, count) in counts(events, "/cache/miss_reason") {
        rows.push(vec![format!("missed: {reason}"), format!("{count} calls")]);
    }
    let last = events.last().and_then(|event| event.pointer("/cache/hit_rate"));
    rows.push(vec!["hit rate of the last step".to_owned(), percent(last)]);
    table(&["cache", ""], &rows)
}

fn counts<'e>(events: &[&'e Value], pointer: &str) -> BTreeMap<&'e str, u64> {
    let mut counts = BTreeMap::new();
    for value in events.iter().filter_map(|event| event.pointer(pointer).and_then(Value::as_str)) {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

fn group_table(events: &[&Value], pointer: &str, heading: &str) -> String {
    #[derive(Default)]
    struct Group {
        calls: u64,
        input: Tokens,
        output: Tokens,
        cost: Amount,
    }
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    let mut whole = Group::default();
    for event in events {
        for group in [groups.entry(text(event, pointer)).or_default(), &mut whole] {
            group.calls += 1;
            group.input.add(event.get("input_tokens"));
            group.output.add(event.get("output_tokens"));
            group.cost = group.cost.plus(Amount::of(event.get("cost_usd")));
        }
    }
    let row = |name: &str, group: &Group| {
        vec![name.to_owned(), group.calls.to_string(), group.input.shown(), group.output.shown(), group.cost.shown()]
    };
    let mut rows: Vec<Vec<String>> = groups.iter().map(|(name, group)| row(name, group)).collect();
    rows.push(row("total", &whole));
    table(&[heading, "calls", "input", "output", "cost"], &rows)
}

fn limits_hit(events: &[&Value]) -> String {
    let mut hit: BTreeMap<[&str; 2], u64> = BTreeMap::new();
    for event in events {
        let beyond = |limit: &&Value| limit.get("standing").and_then(Value::as_str) != Some("within");
        for limit in event.get("limits").and_then(Value::as_array).into_iter().flatten().filter(beyond) {
            *hit.entry([text(limit, "/id"), text(limit, "/action")]).or_default() += 1;
        }
    }
    let row = |([id, action], calls): ([&str; 2], u64)| vec![id.to_owned(), action.to_owned(), calls.to_string()];
    let rows: Vec<Vec<String>> = hit.into_iter().map(row).collect();
    if rows.is_empty() { String::new() } else { table(&["limit", "action", "calls"], &rows) }
}

/// Aligned columns: the first to the left, the others to the right.
#[must_use]
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let heading: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let width = |column: usize| {
        rows.iter()
            .chain([&heading])
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut out = String::new();
    for row in [&heading, &rule].into_iter().chain(rows) {
        let mut line = String::from("  ");
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                let _ = write!(line, "{cell:<width$}");
            } else {
                let _ = write!(line, "   {cell:>width$}");
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(app: &str, cost: Value) -> Value {
        json!({
            "outcome": "complete", "attribution": {"app": app, "task": "t"},
            "input_tokens": 1500, "output_tokens": 20, "cache_read_tokens": 1000, "cost_usd": cost,
            "components": {
                "system": {"tokens": 1000, "share": 0.667, "cost_usd": "0.0003"},
                "user": {"tokens": 500, "share": 0.333, "cost_usd": "0.0015"}
            },
            "cache": {"hit_rate": 0.667, "savings_usd": "0.0027"}
        })
    }

    #[test]
    fn sums_are_exact_and_shares_are_of_all_components() {
        let mut first = event("shop", json!("0.0021"));
        first["attribution"]["app"] = json!({"value": "shop", "source": "client"});
        let bill = render(&[first, event("shop", json!("0.0000005"))], "t");
        assert!(bill.contains("  shop              2"), "{bill}");
        for expected in ["$0.002101", "66.7 %", "33.3 %", "$0.003000", "3,000", "$0.005400"] {
            assert!(bill.contains(expected), "no {expected} in\n{bill}");
        }
    }

    #[test]
    fn what_is_not_known_is_printed_as_unknown_and_never_as_zero() {
        let bill = render(&[json!({}), event("shop", Value::Null), event("shop", json!("0.0021"))], "t");
        assert!(bill.contains("$0.002100 + 1 unknown"), "{bill}");
        assert!(!bill.contains("$0.000000"), "{bill}");
        let nothing = render(&[json!({"attribution": {"task": "t"}})], "t");
        assert!(nothing.contains("unknown") && !nothing.contains('$'), "{nothing}");
    }

    #[test]
    fn amounts_round_half_away_from_zero_and_numbers_are_grouped() {
        let cases = [
            ("0.0000005", "$0.000001"),
            ("-0.0000005", "-$0.000001"),
            ("12.5", "$12.500000"),
            ("0", "$0"),
            ("0.0000004", "<$0.000001"),
        ];
        for (amount, shown) in cases {
            assert_eq!(Amount::of(Some(&json!(amount))).shown(), shown);
        }
        assert_eq!(
            ["7", "1234", "123456", "1234567"].map(|text| grouped(text.parse().expect("number"))),
            ["7", "1,234", "123,456", "1,234,567"]
        );
    }
}
