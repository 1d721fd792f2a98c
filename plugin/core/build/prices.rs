//! Compiles the price data and its overlay into static Rust tables (`$OUT_DIR/price_tables.rs`).
//!
//! The filter then starts without parsing anything, and the compiler checks the tables. Equal price sets are written
//! once. The corrections of `overlay.json` are applied here, so at run time there is one price book and no patches.
//! Invariants: every overlay entry must hit a model that exists, or the build fails; the tables keep the list's order.
//! Must not know: how a lookup works. A build script may panic: its message is the build's error.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a build script fails the build with a message"
)]

#[path = "../src/time.rs"]
#[expect(dead_code, unreachable_pub, reason = "the filter's calendar, of which the build needs little")]
mod time;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use serde_json::{Map, Value};

/// The metered units, in the order of `price::table::Unit`.
const UNITS: [&str; 15] = [
    "input",
    "input_audio",
    "input_image",
    "cache_read",
    "cache_read_audio",
    "cache_read_image",
    "cache_write",
    "cache_write_1h",
    "output",
    "reasoning",
    "output_audio",
    "output_image",
    "citation",
    "web_search",
    "request",
];
/// Units before this one are priced per million tokens, the others per thousand.
const FIRST_PER_THOUSAND: usize = 13;

/// Writes `$OUT_DIR/price_tables.rs`.
pub(crate) fn generate() {
    println!("cargo::rerun-if-changed=build/prices.rs");
    let list = read("src/price/data/prices.json");
    let overlay = Overlay(read("src/price/overlay.json"));
    overlay.check(&list);
    let mut tables = Tables { overlay: &overlay, statics: String::new(), names: BTreeMap::new() };
    let providers: Vec<String> = array(&list["providers"]).iter().map(|provider| tables.provider(provider)).collect();
    let uplifts: Vec<String> = overlay.entries("uplifts").map(uplift).collect();
    let aliases: Vec<String> = object(&overlay.0["provider_aliases"]["names"])
        .iter()
        .map(|(name, id)| format!("({name:?}, {:?})", text(id)))
        .collect();
    let mut out = tables.statics;
    writeln!(out, "pub(super) static SOURCE: &str = {:?};", text(&list["source"])).unwrap();
    write_slice(&mut out, "PROVIDERS", "Provider", &providers);
    write_slice(&mut out, "UPLIFTS", "Uplift", &uplifts);
    write_slice(&mut out, "ALIASES", "(&str, &str)", &aliases);
    let path = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("price_tables.rs");
    fs::write(path, out).expect("OUT_DIR is writable");
}

fn write_slice(out: &mut String, name: &str, kind: &str, items: &[String]) {
    writeln!(out, "pub(super) static {name}: &[{kind}] = &[\n{}];", lines(items)).unwrap();
}

fn lines(items: &[String]) -> String {
    items.iter().map(|item| format!("{item},\n")).collect()
}

/// The corrections to the list; each entry says why.
struct Overlay(Value);

impl Overlay {
    fn entries<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Value> {
        array(&self.0[kind]).iter()
    }

    /// The entries of a kind that concern one model.
    fn for_model<'a>(&'a self, kind: &str, provider: &'a str, model: &'a str) -> impl Iterator<Item = &'a Value> {
        self.entries(kind).filter(move |entry| {
            let listed = entry["models"].as_array().is_some_and(|models| models.iter().any(|m| m == model));
            entry["provider"] == provider && (entry["model"] == model || listed)
        })
    }

    /// The prices of a model; a model that is free by name has zero prices instead of none.
    fn with_free(&self, id: &str, prices: &[Value]) -> Vec<Value> {
        let free = id.ends_with(text(&self.0["free"]["ids_ending"]));
        let mut prices = prices.to_vec();
        for price in prices.iter_mut().filter(|price| free && !object(price).keys().any(|key| is_unit(key))) {
            price["input"] = "0".into();
            price["output"] = "0".into();
        }
        prices
    }

    /// The prices of a model with the fees that the list lacks or has wrong.
    fn with_fees(&self, provider: &str, id: &str, mut prices: Vec<Value>) -> Vec<Value> {
        for fees in self.for_model("fees", provider, id).map(|entry| object(&entry["rates"])) {
            for price in &mut prices {
                fees.iter().for_each(|(unit, rate)| price[unit] = rate.clone());
            }
        }
        prices
    }

    /// A correction of a model that the list no longer has is an error, not a leftover.
    fn check(&self, list: &Value) {
        let known: Vec<(&str, &str)> = array(&list["providers"])
            .iter()
            .flat_map(|p| array(&p["models"]).iter().map(move |m| (text(&p["id"]), text(&m["id"]))))
            .collect();
        for kind in ["working_days_only", "prices", "fees", "variants"] {
            for entry in self.entries(kind) {
                let models = entry["models"].as_array().cloned().unwrap_or_else(|| vec![entry["model"].clone()]);
                for model in &models {
                    let key = (text(&entry["provider"]), text(model));
                    assert!(known.contains(&key), "overlay.json: `{kind}` names {key:?}, which the list does not have");
                }
            }
        }
        let rules = object(&self.0).values().flat_map(|rule| rule.as_array().cloned().unwrap_or(vec![rule.clone()]));
        assert!(rules.into_iter().all(|rule| rule["why"].is_string()), "overlay.json: every entry says why");
    }
}

/// The statics written so far, each body once.
struct Tables<'a> {
    overlay: &'a Overlay,
    statics: String,
    names: BTreeMap<String, String>,
}

impl Tables<'_> {
    /// A reference to a static slice with these items; equal slices share one static.
    fn slice(&mut self, kind: &str, items: &[String]) -> String {
        if items.is_empty() {
            return "&[]".to_owned();
        }
        self.named(&format!("[{kind}; {}]", items.len()), format!("[{}]", items.join(", ")))
    }

    fn named(&mut self, kind: &str, body: String) -> String {
        let next = self.names.len();
        let name = self.names.entry(format!("{kind}={body}")).or_insert_with(|| {
            let name = format!("T{next}");
            writeln!(self.statics, "static {name}: {kind} = {body};").unwrap();
            name
        });
        format!("&{name}")
    }

    fn provider(&mut self, provider: &Value) -> String {
        let id = text(&provider["id"]);
        let listed = array(&provider["models"]).iter();
        let missing = self.overlay.entries("models").filter(|model| model["provider"] == id);
        let models: Vec<String> = listed.chain(missing).map(|model| self.model(id, model)).collect();
        let optional = |value: &Value| match value {
            Value::Null => "None".to_owned(),
            value => format!("Some({})", pattern(value)),
        };
        let fallback: Vec<&str> = provider["fallback"].as_array().into_iter().flatten().map(text).collect();
        let resold = self.overlay.entries("resellers").filter(|entry| entry["provider"] == id);
        let resells: Vec<&str> = resold.flat_map(|entry| array(&entry["makers"])).map(text).collect();
        format!(
            "Provider {{ id: {id:?}, named_like: {}, serves: {}, fallback: &{fallback:?}, resells: &{resells:?}, models: &[\n{}] }}",
            optional(&provider["provider_match"]),
            optional(&provider["model_match"]),
            lines(&models)
        )
    }

    fn model(&mut self, provider: &str, model: &Value) -> String {
        let id = text(&model["id"]);
        let listed = model.get("match").map_or_else(
            || if id == id.to_lowercase() { "Pattern::Id".to_owned() } else { pattern(&id.to_lowercase().into()) },
            pattern,
        );
        let replaced = self.overlay.for_model("prices", provider, id).map(|entry| array(&entry["prices"])).next();
        let prices = self.overlay.with_free(id, replaced.unwrap_or(array(&model["prices"])));
        let prices = self.overlay.with_fees(provider, id, prices);
        let holidays = self.overlay.for_model("working_days_only", provider, id).next().map(|e| days(&e["holidays"]));
        let dated: Vec<String> = with_starts(&prices)
            .map(|(from_day, price)| {
                let hours = self.hours(price, holidays.as_deref());
                let steps = self.steps(price, 1);
                format!("Dated {{ from_day: {from_day}, hours: {hours}, steps: {steps} }}")
            })
            .collect();
        let listed_variants = model["variants"].as_array().into_iter().flatten();
        let mut variants: Vec<String> = listed_variants.filter_map(|v| self.variant(v, &prices)).collect();
        for entry in self.overlay.for_model("variants", provider, id) {
            let steps = match (&entry["rates"], entry["times"].as_u64()) {
                (Value::Null, times) => self.steps(prices.last().expect("a price"), times.expect("a factor")),
                (rates, _) => self.steps(rates, 1),
            };
            let term = term(&entry["when"]);
            variants.push(format!("Variant {{ term: {}, from_day: 0, steps: {steps} }}", term.expect("a known term")));
        }
        let (dated, variants) = (self.slice("Dated", &dated), self.slice("Variant", &variants));
        let pricing = self.named("Pricing", format!("Pricing {{ dated: {dated}, variants: {variants} }}"));
        format!("Model {{ id: {id:?}, pattern: {listed}, pricing: {pricing} }}")
    }

    /// A variant, or nothing when no request can ask for it (`route`, `search_type`).
    fn variant(&mut self, variant: &Value, prices: &[Value]) -> Option<String> {
        let term = term(&variant["when"])?;
        let added = array(&self.overlay.0["variants_added_on"]["dates"]).contains(&variant["from"]);
        let mut from_day = day(&variant["from"]);
        if added {
            // The newest standard price that had begun when the variant was added.
            let starts = prices.iter().map(|price| day(&price["from"])).filter(|start| *start <= from_day);
            from_day = starts.max().unwrap_or(0);
        }
        Some(format!("Variant {{ term: {term}, from_day: {from_day}, steps: {} }}", self.steps(variant, 1)))
    }

    fn hours(&mut self, price: &Value, holidays: Option<&[u64]>) -> String {
        let Some((start, end)) = price["hours"].as_str().map(|hours| hours.split_once('-').expect("a range")) else {
            return "None".to_owned();
        };
        let minute = |time: &str| {
            let (hour, minute) = time.split_once(':').expect("hh:mm");
            hour.parse::<u32>().unwrap() * 60 + minute.parse::<u32>().unwrap()
        };
        let days = match holidays {
            None => "Days::All".to_owned(),
            Some(holidays) => format!("Days::Working {{ holidays: &{holidays:?} }}"),
        };
        let (start, end) = (minute(start), minute(end));
        let hours = self.named("Hours", format!("Hours {{ start_minute: {start}, end_minute: {end}, days: {days} }}"));
        format!("Some({hours})")
    }

    /// The price steps of one price set: the base, then one full set of prices per context tier.
    fn steps(&mut self, price: &Value, times: u64) -> String {
        let object = object(price);
        let mut starts = vec![0];
        for (_, tier) in object.iter().filter(|(key, _)| is_unit(key)).flat_map(|(_, rate)| tiers(rate)) {
            starts.push(tier);
        }
        starts.sort_unstable();
        starts.dedup();
        let steps: Vec<String> = starts
            .into_iter()
            .map(|start| {
                let rates: Vec<(usize, u64)> = UNITS
                    .iter()
                    .enumerate()
                    .filter_map(|(unit, name)| {
                        let scale = if unit < FIRST_PER_THOUSAND { 9 } else { 12 };
                        object.get(*name).map(|rate| (unit, decimal(rate_at(rate, start), scale) * times))
                    })
                    .collect();
                let units: u16 = rates.iter().map(|(unit, _)| 1_u16 << unit).sum();
                let femto: Vec<String> = rates.iter().map(|(_, femto)| femto.to_string()).collect();
                let femto = self.slice("u64", &femto);
                format!("Step {{ above: {start}, rates: Rates {{ units: {units:#b}, femto: {femto} }} }}")
            })
            .collect();
        self.slice("Step", &steps)
    }
}

/// Every price with the day it begins; a time-of-day price begins with the dated price before it.
fn with_starts(prices: &[Value]) -> impl Iterator<Item = (u64, &Value)> {
    prices.iter().scan(0, |from_day, price| {
        if price["hours"].is_null() {
            *from_day = day(&price["from"]);
        }
        Some((*from_day, price))
    })
}

fn uplift(entry: &Value) -> String {
    format!(
        "Uplift {{ provider: {:?}, inference_geo: {}, models: {}, percent: {} }}",
        text(&entry["provider"]),
        pattern(&entry["inference_geo"]),
        pattern(&entry["models"]),
        entry["percent"].as_u64().expect("whole percent")
    )
}

/// What of a request selects a variant, as the filter's `Term`.
fn term(when: &Value) -> Option<String> {
    let when = object(when);
    assert_eq!(when.len(), 1, "a variant with several conditions: {when:?}");
    let (key, value) = when.iter().next().unwrap();
    match key.as_str() {
        "processing" if value == "batch" => Some("Term::Batch".to_owned()),
        "service_tier" => Some(format!("Term::ServiceTier({value})")),
        "speed" => Some(format!("Term::Speed({value})")),
        "search_context_size" => Some(format!("Term::SearchContext({value})")),
        "route" | "search_type" => None,
        other => panic!("a variant depends on `{other}`, which is new: decide whether the filter can know it"),
    }
}

/// A match in the data's notation (see `scripts/genai_book.py`) as a Rust expression.
fn pattern(value: &Value) -> String {
    let list = |items: &Value| array(items).iter().map(pattern).collect::<Vec<_>>().join(", ");
    match value {
        Value::Array(_) => format!("Pattern::Any(&[{}])", list(value)),
        Value::Object(object) if object.contains_key("all") => format!("Pattern::All(&[{}])", list(&value["all"])),
        Value::Object(object) if object.contains_key("not") => format!("Pattern::Not(&{})", pattern(&value["not"])),
        _ => {
            let name = text(value);
            match (name.strip_prefix('*'), name.strip_suffix('*')) {
                (Some(""), _) => "Pattern::Prefix(\"\")".to_owned(),
                (Some(rest), Some(_)) => format!("Pattern::Contains({:?})", &rest[..rest.len() - 1]),
                (Some(rest), None) => format!("Pattern::Suffix({rest:?})"),
                (None, Some(rest)) => format!("Pattern::Prefix({rest:?})"),
                (None, None) => format!("Pattern::Name({name:?})"),
            }
        }
    }
}

fn is_unit(key: &str) -> bool {
    UNITS.contains(&key)
}

/// The tiers of a rate: its prices and the input totals above which they apply.
fn tiers(rate: &Value) -> Vec<(&str, u64)> {
    let listed = rate.as_array().map_or(&[][..], |parts| &parts[1..]);
    listed.iter().map(|tier| (text(&tier[1]), tier[0].as_u64().expect("a token count"))).collect()
}

/// The price of a rate at one step: the highest tier that starts there or before.
fn rate_at(rate: &Value, start: u64) -> &str {
    let base = rate.as_array().map_or(rate, |parts| &parts[0]);
    tiers(rate)
        .into_iter()
        .filter(|(_, above)| *above <= start)
        .map(|(price, _)| price)
        .next_back()
        .unwrap_or(text(base))
}

/// A decimal times ten to the power of `scale`, which must be whole.
fn decimal(text: &str, scale: usize) -> u64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= scale, "{text} has more than {scale} decimals");
    format!("{whole}{fraction:0<scale$}").parse().unwrap_or_else(|_| panic!("{text} is not a price"))
}

fn day(date: &Value) -> u64 {
    date.as_str().map_or(0, |date| time::Timestamp::parse(date).unwrap_or_else(|| panic!("no date: {date}")).day())
}

fn days(dates: &Value) -> Vec<u64> {
    array(dates).iter().map(day).collect()
}

fn read(path: &str) -> Value {
    println!("cargo::rerun-if-changed={path}");
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or_else(|| panic!("not a list: {value}"), Vec::as_slice)
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("not an object: {value}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}
