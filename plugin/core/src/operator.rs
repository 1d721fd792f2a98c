//! What operators ask of a running gateway: how budgets stand, and more for one of them for a time.
//!
//! ```text
//! GET  PATH                                              -> the budgets, the nearest to their limit first
//! POST PATH?account=A&amount=5.00&minutes=60             -> the budget with what it was granted
//! POST PATH?task=T&outcome=accepted&app=A                -> the task with what it cost
//! ```
//! Everything is in the head of a request, since gateways differ in how they show bodies. An account is named as the list names
//! it.
//! Invariants: nothing is said without the token, not even whether there is an endpoint; tokens are compared in constant time.
//! Must not know: how the ledger is kept.

use crate::attribution::{Attribution, Dimension, Trust, bounded};
use crate::head::{RequestHead, percent_decoded};
use crate::ledger::{Bucket, Key};
use crate::limit::{Account, Balance, Change, Limit};
use crate::names::GRANT_SCHEMA;
use crate::ordered;
use crate::task_outcome::TaskOutcome;
use crate::time::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// Most budgets that are listed.
const LISTED_MAX: usize = 200;
/// The longest time for which more is granted.
const MINUTES_MAX: u64 = 31 * 24 * 60;

/// Who may ask, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The path, without query.
    pub path: String,
    /// The SHA-256 of the token.
    pub token_sha256: [u8; 32],
}

/// What an operator asks for.
#[derive(Clone, Debug)]
pub enum Command<'a> {
    /// How all budgets stand.
    List,
    /// More for one account.
    Grant(Grant<'a>),
    /// What became of a task.
    Outcome(Box<TaskOutcome>),
    /// Something that makes no sense; the text says why.
    Mistaken(String),
}

/// More for one account, for a time.
#[derive(Clone, Debug)]
pub struct Grant<'a> {
    account: Key<Account>,
    limit: &'a Limit,
    amount: i128,
    until: Timestamp,
}

impl Operator {
    /// Reads a SHA-256 in hexadecimal.
    #[must_use]
    pub fn token(hex: &str) -> Option<[u8; 32]> {
        let mut token = [0; 32];
        let mut pairs = hex.as_bytes().chunks_exact(2);
        if hex.len() != 64 {
            return None;
        }
        for (byte, pair) in token.iter_mut().zip(&mut pairs) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(token)
    }

    /// What a request asks for; `None` where it is none of an operator's.
    #[must_use]
    pub fn command<'a>(&self, head: &RequestHead<'_>, limits: &'a [Limit], now: Timestamp) -> Option<Command<'a>> {
        let (path, query) = head.path.split_once('?').unwrap_or((head.path, ""));
        let token = head.headers.get("authorization")?.strip_prefix("Bearer ")?;
        // Whatever differs, all of it is compared.
        let differing =
            Sha256::digest(token).iter().zip(self.token_sha256).fold(0, |sum, (one, other)| sum | (one ^ other));
        if path != self.path || differing != 0 {
            return None;
        }
        Some(match head.method {
            "GET" => Command::List,
            "POST" if field(query, "task").is_some() => {
                report(query).map_or_else(Command::Mistaken, |report| Command::Outcome(Box::new(report)))
            }
            "POST" => Grant::read(query, limits, now).map_or_else(Command::Mistaken, Command::Grant),
            _ => Command::Mistaken("ask with GET, grant with POST".to_owned()),
        })
    }
}

/// The value of a query's field.
fn field<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let mut fields = query.split('&').filter_map(|field| field.split_once('='));
    fields.find(|(known, _)| *known == name).map(|(_, value)| percent_decoded(value))
}

/// A report on a task, and whose it is: the dimensions that its events name.
fn report(query: &str) -> Result<TaskOutcome, String> {
    let mut owner = Attribution::default();
    for dimension in Dimension::ALL {
        let value = field(query, dimension.name());
        value.into_iter().for_each(|value| owner.set(dimension, bounded(&value), Trust::Gateway));
    }
    let name = |header: &str| header.strip_prefix("x-tollgate-").unwrap_or_default().replace('-', "_");
    let read = |header: &str| field(query, &name(header)).map(|value| bounded(&value));
    let outcome = TaskOutcome::new(&read).ok_or("`outcome` is neither `accepted` nor `rejected`")?;
    outcome.owned_by(&owner).ok_or_else(|| "`task` is missing".to_owned())
}

impl<'a> Grant<'a> {
    fn read(query: &str, limits: &'a [Limit], now: Timestamp) -> Result<Self, String> {
        let field = |name: &str| field(query, name).ok_or(format!("`{name}` is missing"));
        let account = Key::of_text(&field("account")?).ok_or("`account` is none; take one from the list")?;
        let limit = limit_of(&account, limits).ok_or("`account` belongs to no limit of this configuration")?;
        let measure = limit.gauge.measure;
        let amount = crate::limit::Gauge::parse(measure, &field("amount")?)
            .ok_or_else(|| format!("`amount` is no amount of {}", measure.unit()))?;
        let minutes = field("minutes")?.parse::<u64>().ok().filter(|minutes| (1..=MINUTES_MAX).contains(minutes));
        let minutes = minutes.ok_or(format!("`minutes` is none of 1 to {MINUTES_MAX}"))?;
        Ok(Self { account, limit, amount, until: now.plus_millis(minutes.saturating_mul(60_000)) })
    }

    /// The change of the account that this is.
    #[must_use]
    pub fn change(&self) -> Option<Change<'_>> {
        let terms = &self.limit.budget.as_ref()?.terms;
        Some(Change::grant(&self.account, terms, self.amount, self.until))
    }

    /// The event of the grant: what was granted when, and the account as it stands then.
    #[must_use]
    pub fn granted(&self, balance: &Balance, now: Timestamp) -> Value {
        let mut event = entry(&self.account, self.limit, balance);
        if let Some(members) = event.as_object_mut() {
            members.insert("schema".to_owned(), GRANT_SCHEMA.into());
            members.insert("time".to_owned(), now.to_string().into());
        }
        event
    }
}

/// A list of budgets, the nearest to their limit first.
#[derive(Debug, Default)]
pub struct List {
    entries: Vec<(i128, Value)>,
    left_out: u64,
}

impl List {
    /// Adds the budgets of a bucket.
    pub fn add(&mut self, bucket: &Bucket<'_>, limits: &[Limit], now: Timestamp) {
        for (text, account) in bucket.records::<Account>() {
            let Some(key) = Key::of_text(text) else { continue };
            let Some(limit) = limit_of(&key, limits) else { continue };
            let Some(budget) = &limit.budget else { continue };
            let balance = account.stand(&budget.terms, now);
            let permille = balance.used().saturating_mul(1_000).checked_div(balance.allowed.max(1)).unwrap_or(0);
            let item = (permille, entry(&key, limit, &balance));
            let left = ordered::insert(&mut self.entries, LISTED_MAX, item, |(one, _), (other, _)| other.cmp(one));
            self.left_out = self.left_out.saturating_add(u64::from(left.is_some()));
        }
    }

    /// All of it as JSON.
    #[must_use]
    pub fn end(self) -> Value {
        let budgets: Vec<_> = self.entries.into_iter().map(|(_, entry)| entry).collect();
        json!({"budgets": budgets, "left_out": self.left_out})
    }
}

fn limit_of<'l>(account: &Key<Account>, limits: &'l [Limit]) -> Option<&'l Limit> {
    let parts = account.parts();
    let (id, version) = (*parts.first()?, *parts.get(1)?);
    limits.iter().find(|limit| {
        limit.id == id && limit.budget.as_ref().is_some_and(|budget| budget.version.to_string() == version)
    })
}

fn entry(account: &Key<Account>, limit: &Limit, balance: &Balance) -> Value {
    let show = |amount| limit.gauge.show(amount);
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "limit": limit.id,
        "account": account.as_str(),
        "spent": show(balance.spent),
        "held": show(balance.held),
        "leased": balance.leased.map(show),
        "allowed": show(balance.allowed),
        "remaining": show(balance.remaining()),
        "granted": balance.granted.map(|(amount, _)| show(amount)),
        "granted_until": time(balance.granted.map(|(_, until)| until)),
        "resets_at": time(balance.resets),
        "exhausted_at": time(balance.exhausted),
        "cools_until": time(balance.cools_until),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::head::Headers;

    const CONFIG: &str = r#"{
        "operator": {"path": "/budgets", "token_sha256": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"},
        "limits": [{"id": "team", "measure": "cost_usd", "per": "day", "key": ["team"], "limit": "10"}]
    }"#;
    const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

    /// What an operator is told who sends this.
    fn ask(method: &str, path: &str, token: &str) -> Option<String> {
        let config = Config::parse(CONFIG.as_bytes()).expect("a configuration");
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        let head = RequestHead { method, path, headers: Headers::new(&headers), ..RequestHead::default() };
        let command = config.operator.as_ref()?.command(&head, &config.limits, NOW)?;
        Some(match command {
            Command::List => "list".to_owned(),
            Command::Grant(grant) => format!("{} {}", grant.limit.id, grant.amount),
            Command::Outcome(outcome) => format!("{} {}", outcome.task, outcome.result.name()),
            Command::Mistaken(why) => why,
        })
    }

    #[test]
    fn who_has_no_token_or_asks_elsewhere_is_nobody() {
        assert_eq!(ask("GET", "/budgets?x", "secret").as_deref(), Some("list"));
        for (path, token) in
            [("/budgets", "Secret"), ("/budgets", ""), ("/budgets/", "secret"), ("/v1/models", "secret")]
        {
            assert_eq!(ask("GET", path, token), None, "{path} {token}");
        }
    }

    #[test]
    fn a_grant_names_an_account_of_the_list_an_amount_and_a_time() {
        let key = Key::<Account>::new(&["team", "1", "=search"]);
        let query = |amount, minutes| {
            format!("/budgets?account={}&amount={amount}&minutes={minutes}", key.as_str().replace('=', "%3D"))
        };
        let told = |path: String| ask("POST", &path, "secret").expect("an answer");
        assert_eq!(told(query("2.5", 60)), "team 2500000000000000");
        assert!(told(query("-1", 60)).contains("amount"));
        assert!(told(query("1", 0)).contains("minutes"));
        assert!(told("/budgets?amount=1&minutes=1".to_owned()).contains("`account` is missing"));
        assert!(told("/budgets?account=account/1/3:old/1:1&amount=1&minutes=1".to_owned()).contains("no limit"));
        assert!(ask("DELETE", "/budgets", "secret").expect("an answer").contains("GET"));
    }

    #[test]
    fn a_report_names_a_task_and_its_result() {
        let told = |query: &str| ask("POST", &format!("/budgets?{query}"), "secret").expect("an answer");
        assert_eq!(told("task=t%2D1&outcome=rejected&app=shop&outcome_score=2"), "t-1 rejected");
        assert!(told("task=t-1").contains("`outcome`"));
        assert!(told("task=&outcome=accepted").contains("`task` is missing"));
    }

    proptest::proptest! {
        #[test]
        fn whatever_an_operator_sends_is_a_grant_or_a_mistake(account in ".{0,40}", amount in ".{0,9}", minutes in ".{0,9}") {
            let path = format!("/budgets?account=account/1/4:team/1:1/{account}&amount={amount}&minutes={minutes}");
            proptest::prop_assert!(ask("POST", &path, "secret").is_some());
        }
    }
}
