//! The price book against the package its prices come from, question by question and digit by digit.
//!
//! `testdata/price-oracle.jsonl` holds what the real genai-prices package answers (`scripts/price_oracle.py`). Where
//! the book answers differently on purpose, [`EXPLAINED`] says why; any other difference fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

use std::collections::BTreeSet;

use serde_json::Value;
use tollgate_core::money::Usd;
use tollgate_core::price::{Lookup, PriceBook, Terms, Unpriced};
use tollgate_core::time::Timestamp;
use tollgate_core::usage::{Bucket, Usage};

const ORACLE: &str = include_str!("../testdata/price-oracle.jsonl");

/// A question as the oracle wrote it.
struct Question {
    provider: Option<String>,
    model: String,
    at: Timestamp,
    terms: Value,
    usage: Usage,
    row: Option<String>,
    cost: Option<String>,
}

/// Why the book differs on purpose, and for which questions.
type Explanation = (&'static str, fn(&Question) -> bool);
/// All but the first are entries of `overlay.json`.
const EXPLAINED: &[Explanation] = &[
    ("the request's route or kind of search is not known to the filter", |q| {
        q.terms.get("route").is_some() || q.terms.get("search_type").is_some()
    }),
    ("free: a model that is free by name costs zero instead of nothing known", |q| {
        q.row.as_deref().is_some_and(|row| row.ends_with(":free"))
    }),
    ("variants_added_on: batch and tier prices applied before they were added to the list", |q| {
        !q.terms.is_null() && q.at < Timestamp::parse("2026-10-15").unwrap()
    }),
    ("time_of_day, prices: peak hours did not exist before 17 August 2026", |q| {
        is_deepseek(q) && q.at < Timestamp::parse("2026-09-10").unwrap()
    }),
    ("resellers: what the maker took, and its rows, where the marketplace's own say nothing", |q| {
        q.provider.as_deref() == Some("openrouter") && is_resold(&q.model)
    }),
    ("fees: Perplexity's fee is the highest in the list", |q| {
        q.provider.as_deref() == Some("perplexity") && q.model.starts_with("sonar")
    }),
    ("working_days_only: no peak hours on a weekend", |q| is_deepseek(q) && q.at.weekday().is_weekend()),
];

fn is_resold(model: &str) -> bool {
    let makers = ["openai/", "anthropic/", "google/", "x-ai/", "perplexity/"];
    !model.contains('/') || makers.iter().any(|maker| model.starts_with(maker))
}

fn is_deepseek(question: &Question) -> bool {
    let models = ["deepseek-flash", "deepseek-v4-flash", "deepseek-v4-pro"];
    question.row.as_deref().is_some_and(|row| models.contains(&row))
}

fn questions() -> Vec<Question> {
    let mut lines = ORACLE.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let profiles = lines.next().unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let usage = |profile: &Value| {
        let mut usage = Usage::default();
        for (name, count) in profiles[profile.as_str().unwrap_or("text")].as_object().unwrap() {
            let count = count.as_u64().unwrap();
            match Bucket::ALL.into_iter().find(|bucket| bucket.name() == name) {
                Some(bucket) => usage.set(bucket, count),
                None => usage.web_searches = count,
            }
        }
        usage
    };
    lines
        .map(|line| Question {
            provider: text(&line["p"]),
            model: text(&line["m"]).unwrap(),
            at: Timestamp::parse(line["t"].as_str().unwrap_or("2026-11-18T12:00:00Z")).unwrap(),
            usage: usage(&line["u"]),
            row: text(&line["row"]),
            cost: text(&line["cost"]),
            terms: line["terms"].clone(),
        })
        .collect()
}

/// The row and cost that the book gives, in the oracle's words.
fn answer(question: &Question) -> (Option<String>, Option<String>) {
    let term = |name: &str| question.terms.get(name).and_then(Value::as_str);
    let lookup = Lookup {
        provider: question.provider.as_deref(),
        model: &question.model,
        alias: None,
        at: question.at,
        terms: Terms {
            service_tier: term("service_tier"),
            batch: term("processing") == Some("batch"),
            speed: term("speed"),
            ..Terms::default()
        },
    };
    match PriceBook::builtin().quote(&lookup) {
        Ok(quote) => (Some(quote.model().to_owned()), Some(quote.cost(&question.usage).total.to_string())),
        // The package prices what has no token price at zero; the oracle leaves the cost out.
        Err(Unpriced::NoTokenPrices { .. }) => (question.row.clone(), None),
        Err(Unpriced::UnknownModel { .. } | Unpriced::UnknownProvider { .. }) => (None, None),
    }
}

#[test]
fn the_book_answers_as_the_package_does_except_where_the_overlay_corrects_it() {
    let (mut unexplained, mut used) = (Vec::new(), BTreeSet::new());
    let questions = questions();
    for question in &questions {
        let (row, cost) = answer(question);
        if (&row, &cost) == (&question.row, &question.cost) {
            continue;
        }
        match EXPLAINED.iter().find(|(_, explains)| explains(question)) {
            // A correction may give a price to what the package does not know, never take another row than it does.
            Some((why, _)) if row == question.row || question.row.is_none() => {
                used.insert(*why);
            }
            _ => unexplained.push(format!(
                "{:?} {} at {} {} {:?}: the package says {:?} {:?}, the book {row:?} {cost:?}",
                question.provider,
                question.model,
                question.at,
                question.terms,
                question.usage.input_total(),
                question.row,
                question.cost
            )),
        }
    }
    let shown = unexplained.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(unexplained.is_empty(), "{} of {} differ:\n{shown}", unexplained.len(), questions.len());
    let unused: Vec<_> = EXPLAINED.iter().filter(|(why, _)| !used.contains(why)).collect();
    assert!(unused.is_empty(), "no question needs these explanations any more: {unused:?}");
}

#[test]
fn the_oracle_asks_for_every_model_of_the_book() {
    let asked: BTreeSet<(Option<String>, Option<String>)> =
        questions().into_iter().map(|question| (question.provider, question.row)).collect();
    let missed: Vec<_> = PriceBook::models()
        // The overlay's own are not in the package.
        .filter(|(_, model)| !model.starts_with('*'))
        .filter(|(provider, model)| !asked.contains(&(Some((*provider).to_owned()), Some((*model).to_owned()))))
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn the_oracle_states_costs_that_money_can_hold_exactly() {
    for question in questions() {
        if let Some(cost) = question.cost {
            assert_eq!(Usd::parse(&cost).map(|usd| usd.to_string()), Ok(cost));
        }
    }
}
