//! Requests to the store that a fleet of gateways shares, and its answers.
//!
//! ```text
//! Ask per account -> one EVAL for all of them -> webdis or Upstash -> Answer per account
//! ```
//! The script (`account.lua`) adds up what all gateways say of an account, and grants claims, all in one step. What an
//! answer means for an account is decided in [`crate::limit`].
//! Invariants: pure; a request has at most [`ASKS_MAX`] accounts; an answer that does not fit its request is none.
//! Must not know: how a request travels, limits.
#![deny(clippy::arithmetic_side_effects)]

use crate::config::raw::{RawStore, StoreKind};
use crate::json_text;
use crate::ledger::{Bucket, Key};
use crate::limit::{Account, Answer, Limit};

pub use crate::limit::Ask;

use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Most accounts of a request.
pub const ASKS_MAX: usize = 64;
/// No gateway that has timers and has ever heard of its store is silent for longer, as long as it lives.
pub const SILENCE_MS: u64 = 2_000;
/// How long a window is kept once nothing of it matters any more.
const KEPT_S: u64 = 60 * 60;
const SCRIPT: &str = include_str!("account.lua");

/// A gateway process among all others, for as long as it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process(String);

/// What one request asks, and of which accounts.
pub type Asks = Vec<(Key<Account>, Ask)>;

/// What the store says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Tells its data from what it had before it lost them.
    pub generation: String,
    /// Claims are granted: it is not new any more.
    pub grants: bool,
    /// Of each account that was asked about.
    pub answers: Vec<Answer>,
}

impl Process {
    /// A process, by random bytes.
    #[must_use]
    pub fn new(random: &[u8]) -> Self {
        let mut name = String::new();
        random.iter().for_each(|byte| _ = write!(name, "{byte:02x}"));
        Self(name)
    }
}

/// The header fields and the body of a request. `has_more` where other accounts are still to be told of to a store that lost
/// its data.
#[must_use]
#[inline(never)]
pub fn request<'a>(
    store: &'a RawStore,
    process: &Process,
    has_more: bool,
    asks: &Asks,
) -> (Vec<(&'a str, &'a str)>, String) {
    let mut headers = vec![
        (":method", "POST"),
        (":path", store.path.as_str()),
        (":authority", store.authority.as_deref().unwrap_or(&store.target)),
    ];
    headers.extend(store.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let mut command = vec!["EVAL".to_owned(), script()];
    command.push(asks.len().saturating_add(1).to_string());
    command.push(format!("{}generation", store.key_prefix));
    command.extend(asks.iter().map(|(account, ask)| key(&store.key_prefix, account, ask)));
    command.extend([process.0.clone(), u8::from(has_more).to_string(), settling_ms(store).to_string()]);
    for (_, ask) in asks {
        command.push(format!("{}-{:x}", process.0, ask.born_ms));
        command.push(ask.number.to_string());
        command.extend([ask.spent, ask.have, ask.want].map(amount));
        command.push(ask.limit.map_or_else(|| "-".to_owned(), amount));
        command.push(amount(ask.debt));
        command.push(ask.expires.seconds().saturating_add(KEPT_S).to_string());
    }
    let body = match store.kind {
        StoreKind::Webdis => command.iter().map(|word| escaped(word)).collect::<Vec<_>>().join("/"),
        StoreKind::Upstash => {
            headers.push(("content-type", "application/json"));
            json_text::of(&command).unwrap_or_default()
        }
    };
    (headers, body)
}

/// What the store says, of so many accounts; `None` where that cannot be read.
#[must_use]
#[inline(never)]
pub fn said(body: &[u8], asked: usize) -> Option<Said> {
    // An object with one text that has nothing to escape: `{"EVAL":"..."}`, `{"result":"..."}`.
    let mut texts = str::from_utf8(body).ok()?.split('"').skip(1).step_by(2);
    let mut words = texts.next().filter(|name| matches!(*name, "EVAL" | "result")).and(texts.next())?.split(' ');
    let generation = words.next()?.to_owned();
    let grants = words.next()? == "1";
    let mut amount = || words.next()?.parse::<i128>().ok().filter(|amount| *amount >= 0);
    let mut answer = || {
        Some(Answer {
            number: amount()?.try_into().ok()?,
            claim: amount()?,
            others_spent: amount()?,
            others_claimed: amount()?,
            debt: amount()?,
        })
    };
    let answers = (0..asked).map(|_| answer()).collect::<Option<_>>()?;
    Some(Said { generation, grants, answers })
}

/// The accounts of a bucket that a fleet shares, each with its limit by its place in the configuration.
pub fn accounts<'a>(bucket: &'a Bucket<'_>, limits: &'a [Limit]) -> impl Iterator<Item = (Key<Account>, usize)> {
    bucket.keys().filter_map(|key: Key<Account>| {
        let parts = key.parts();
        let [id, version] = [parts.first()?, parts.get(1)?];
        let is_its = |limit: &Limit| {
            let budget = limit.budget.as_ref().filter(|budget| budget.terms.fleet.is_some());
            limit.id == **id && budget.is_some_and(|budget| budget.version.to_string() == **version)
        };
        let limit = limits.iter().position(is_its)?;
        Some((key, limit))
    })
}

/// How long a new store grants nothing. By then every gateway has asked once, and was answered; said anew what it spent and
/// claimed, and that arrived; and nothing is under way any more that the store said before.
fn settling_ms(store: &RawStore) -> u64 {
    let round = u64::from(store.interval_ms).saturating_add(store.timeout_ms.into());
    SILENCE_MS.saturating_add(round.saturating_mul(4))
}

/// The script without what only people read.
fn script() -> String {
    let lines = SCRIPT.lines().map(str::trim_start).filter(|line| !line.starts_with("--"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The key of an account's window. Names of people and applications stay where they are.
fn key(prefix: &str, account: &Key<Account>, ask: &Ask) -> String {
    let mut key = prefix.to_owned();
    let digest = Sha256::digest(account.as_str().as_bytes());
    digest.iter().take(16).for_each(|byte| _ = write!(key, "{byte:02x}"));
    _ = write!(key, ":{:x}", ask.window_ms);
    key
}

/// An amount as the script reads it: never below nothing.
fn amount(amount: i128) -> String {
    amount.max(0).to_string()
}

/// A word of a path.
fn escaped(word: &str) -> String {
    let mut escaped = String::with_capacity(word.len());
    for byte in word.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => escaped.push(char::from(byte)),
            _ => _ = write!(escaped, "%{byte:02X}"),
        }
    }
    escaped
}
