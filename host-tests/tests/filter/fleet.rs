//! Limits that several gateways share: what calls wait for, what the store is told, and what happens without it.

use serde_json::{Value, json};
use std::time::Duration;
use tollgate_core::limit::Ask;
use tollgate_core::names::{STORE_LOG_PREFIX, metric};
use tollgate_core::time::Timestamp;
use tollgate_host::gateway::{Callout, Effect, Faults, Gateway, HttpReply, Outcome, Profile, Settings, Stream, When};
use tollgate_host::replay;
use tollgate_host::standin::Dialect;

use super::store::Store;
use super::support::{answer_chat, has_metrics, last_event, metric, one, start};

const INTERVAL: Duration = Duration::from_millis(200);
/// For no longer than this is a gateway silent that has heard of the store.
const SILENCE: Duration = Duration::from_millis(tollgate_core::fleet::SILENCE_MS);
/// As long as a gateway decides by what it heard: two intervals and the timeout.
const STALE: Duration = Duration::from_millis(901);

/// Gateways of one kind, and the store that they share.
struct Fleet {
    gateways: Vec<Gateway>,
    store: Store,
    generation: &'static str,
}

impl Fleet {
    fn new(profile: Profile, limit: &str) -> Self {
        let sharing = if profile == Profile::Kong { "on" } else { "auto" };
        let config = format!(
            r#"{{"shared_data": "{sharing}", "store": {{"target": "webdis", "headers": {{"authorization": "Basic x"}}}},
                 "limits": [{{"id": "shared", "measure": "requests", "per": "day", {limit}}}]}}"#
        );
        // Processes draw different numbers.
        let gateways = (1..3).map(|seed| start(Settings { seed, ..replay::settings(profile, &config) })).collect();
        Self { gateways, store: Store::default(), generation: "g" }
    }

    /// A call that is asked, and waits where it must.
    fn open(&self, at: usize) -> Stream {
        let exchange = one(Dialect::OpenAiChat, false);
        let stream = self.gateways[at].worker(0).open(exchange.request_head());
        stream.request_body(&exchange.request, true);
        stream
    }

    /// A whole call, for which the store answers.
    fn call(&mut self, at: usize) -> Outcome {
        let stream = self.open(at);
        self.serve();
        answer_chat(stream, 200, 5)
    }

    /// The store answers all that was asked.
    fn serve(&mut self) {
        for at in 0..self.gateways.len() {
            while let Some(callout) = self.gateways[at].pending_callouts().into_iter().next() {
                let reply = self.reply(&callout);
                self.gateways[at].answer(callout.token, reply).expect("it was pending");
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        const STEP: Duration = Duration::from_millis(100);
        let mut left = time;
        while !left.is_zero() {
            self.gateways.iter().for_each(|gateway| gateway.advance(left.min(STEP)));
            self.serve();
            left = left.saturating_sub(STEP);
        }
    }

    /// What webdis answers.
    fn reply(&mut self, callout: &Callout) -> HttpReply {
        assert_eq!(callout.headers.text("authorization").as_deref(), Some("Basic x"));
        let body = String::from_utf8(callout.body.clone()).expect("text");
        let words: Vec<String> = body.split('/').map(unescaped).collect();
        assert_eq!(words[0], "EVAL");
        let keys: usize = words[2].parse().expect("a count");
        let (keys, rest) = words[3..].split_at(keys);
        let mut said = vec![self.generation.to_owned(), u8::from(!self.store.is_settling).to_string()];
        for (key, words) in keys[1..].iter().zip(rest[3..].chunks_exact(8)) {
            let amount = |at: usize| words[at].parse().expect("an amount");
            let ask = Ask {
                window_ms: 0,
                born_ms: 0,
                number: words[1].parse().expect("a number"),
                spent: amount(2),
                have: amount(3),
                want: amount(4),
                limit: words[5].parse().ok(),
                debt: amount(6),
                expires: Timestamp::default(),
            };
            let answer = self.store.ask(key, &words[0], &ask);
            said.push(answer.number.to_string());
            let amounts = [answer.claim, answer.others_spent, answer.others_claimed, answer.debt];
            said.extend(amounts.map(|amount| amount.to_string()));
        }
        HttpReply::new(200, json!({"EVAL": said.join(" ")}).to_string())
    }

    /// The store loses all it was told.
    fn lose_data(&mut self) {
        self.store = Store { is_settling: true, ..Store::default() };
        self.generation = "h";
    }

    fn spent(&self) -> i128 {
        self.store.windows.values().map(super::store::Window::spent).sum()
    }
}

fn unescaped(word: &str) -> String {
    let mut parts = word.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at(2);
        text.push(char::from(u8::from_str_radix(code, 16).expect("a code")));
        text.push_str(rest);
    }
    text
}

fn said_of_store(gateway: &Gateway) -> Vec<Value> {
    let log = gateway.log();
    let lines = log.iter().filter_map(|line| line.text.strip_prefix(STORE_LOG_PREFIX));
    lines.map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn two_gateways_of_any_kind_spend_one_strict_budget_and_no_more() {
    for profile in Profile::ALL {
        let mut fleet = Fleet::new(profile, r#""limit": 7, "fleet": "strict""#);
        let statuses: Vec<u32> = (0..10).map(|number| fleet.call(number % 2).status()).collect();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 429, 429, 429], "{profile:?}");
        assert!(fleet.store.windows.values().all(|window| window.claimed() <= 7), "{profile:?}");
    }
}

#[test]
fn two_gateways_of_any_kind_decide_by_what_both_have_spent_once_they_have_heard_of_it() {
    for profile in Profile::ALL {
        let mut fleet = Fleet::new(profile, r#""limit": 7, "fleet": "eventual""#);
        let mut forwarded = 0;
        for number in 0..12 {
            forwarded += i128::from(fleet.call(number % 2).status() == 200);
            fleet.pass(STALE);
        }
        // Without timers, what a gateway has spent is told by its next call.
        let expected = if profile == Profile::Apisix { 8 } else { 7 };
        assert_eq!((forwarded, fleet.spent()), (expected, expected), "{profile:?}");
    }
}

#[test]
fn a_call_waits_for_the_first_answer_and_later_ones_do_not() {
    for profile in Profile::ALL {
        for mode in ["eventual", "strict"] {
            let mut fleet = Fleet::new(profile, &format!(r#""limit": 1000, "fleet": "{mode}""#));
            let first = fleet.open(0);
            assert_eq!(fleet.gateways[0].pending_callouts().len(), 1, "{profile:?} {mode}");
            assert!(first.outcome().upstream.is_none_or(|upstream| upstream.body.is_empty()), "{profile:?} {mode}");
            fleet.serve();
            assert_eq!(answer_chat(first, 200, 5).status(), 200, "{profile:?} {mode}");
            // What comes next is leased, or known.
            let second = fleet.open(0);
            assert!(fleet.gateways[0].pending_callouts().is_empty(), "{profile:?} {mode}");
            assert_eq!(answer_chat(second, 200, 5).status(), 200, "{profile:?} {mode}");
        }
    }
}

#[test]
fn many_calls_wait_for_one_answer() {
    let mut fleet = Fleet::new(Profile::Envoy, r#""limit": 1000, "fleet": "strict""#);
    let streams: Vec<_> = (0..20).map(|_| fleet.open(0)).collect();
    assert_eq!(fleet.gateways[0].pending_callouts().len(), 1);
    fleet.serve();
    assert!(streams.into_iter().all(|stream| answer_chat(stream, 200, 5).status() == 200));
    assert_eq!(
        metric(&fleet.gateways[0], metric::STORE_WAITS, &[("limit", "shared")]).map(|count| count >= 20),
        Some(true)
    );
}

#[test]
fn a_call_that_asks_the_store_itself_is_decided_by_its_own_answer() {
    for profile in [Profile::Kong, Profile::Apisix] {
        let mut fleet = Fleet::new(profile, r#""limit": 2, "fleet": "strict""#);
        let streams: Vec<_> = (0..5).map(|_| fleet.open(0)).collect();
        assert_eq!(fleet.gateways[0].pending_callouts().len(), 5, "{profile:?}");
        fleet.serve();
        let outcomes: Vec<Outcome> = streams.into_iter().map(|stream| answer_chat(stream, 200, 5)).collect();
        for outcome in &outcomes {
            let event = replay::event_of(profile, outcome).expect("an event");
            assert_eq!(event["status"], outcome.status(), "{profile:?}");
        }
        let forwarded = outcomes.iter().filter(|outcome| outcome.status() == 200).count();
        assert_eq!(forwarded, 2, "{profile:?}");
    }
}

#[test]
fn a_call_that_asks_the_store_itself_is_not_decided_by_what_a_timer_is_told() {
    let mut fleet = Fleet::new(Profile::Kong, r#""limit": 1, "fleet": "strict""#);
    // The other gateway spends it all.
    assert_eq!(fleet.call(1).status(), 200);
    let waiting = fleet.open(0);
    let own = fleet.gateways[0].pending_callouts()[0].token;
    (0..4).for_each(|_| fleet.gateways[0].advance(Duration::from_millis(100)));
    let mut others = fleet.gateways[0].pending_callouts();
    others.retain(|callout| callout.token != own);
    assert!(!others.is_empty());
    for callout in others {
        let reply = fleet.reply(&callout);
        fleet.gateways[0].answer(callout.token, reply).expect("it was pending");
    }
    fleet.serve();
    let outcome = answer_chat(waiting, 200, 5);
    let event = replay::event_of(Profile::Kong, &outcome).expect("an event");
    assert_eq!((outcome.status(), &event["outcome"]), (429, &"denied".into()), "by its own answer");
    // Kong finds labels in this order alone.
    let name = format!("{};outcome=asked;limit=shared", metric::STORE_WAITS);
    assert!(fleet.gateways[0].metrics().iter().any(|(known, _)| *known == name));
}

#[test]
fn without_a_store_the_failure_mode_decides_and_calls_do_not_wait_again_and_again() {
    for profile in Profile::ALL {
        for (failure_mode, status) in [("closed", 503), ("open", 200)] {
            for mode in ["eventual", "strict"] {
                let limit = format!(r#""limit": 9, "fleet": "{mode}", "failure_mode": "{failure_mode}""#);
                let fleet = Fleet::new(profile, &limit);
                let gateway = &fleet.gateways[0];
                let stream = fleet.open(0);
                let callout = gateway.pending_callouts().pop().expect("the call waits");
                gateway.fail(callout.token).expect("it was pending");
                let outcome = answer_chat(stream, 200, 5);
                assert_eq!((outcome.status(), outcome.trap), (status, None), "{profile:?} {mode} {failure_mode}");
                let next = fleet.open(0);
                assert!(gateway.pending_callouts().is_empty(), "{profile:?} {mode}: it is known to be away");
                assert_eq!(answer_chat(next, 200, 5).status(), status, "{profile:?} {mode} {failure_mode}");
                if has_metrics(profile) {
                    assert_eq!(metric(gateway, metric::STORE_ERRORS, &[("reason", "unreachable")]), Some(1));
                }
            }
        }
    }
}

#[test]
fn a_gateway_that_lets_no_root_act_for_a_call_is_told_of_and_the_failure_mode_decides() {
    let fleet = Fleet::new(Profile::Envoy, r#""limit": 9, "fleet": "strict", "failure_mode": "closed""#);
    let gateway = &fleet.gateways[0];
    gateway.set_faults(Faults::none().with("proxy_set_effective_context", When::Always, Effect::Status(2)));
    let stream = fleet.open(0);
    assert!(gateway.pending_callouts().is_empty());
    assert_eq!(answer_chat(stream, 200, 5).status(), 503);
    let failed = [("function", "set_effective_context"), ("status", "2")];
    assert_eq!(metric(gateway, metric::HOST_ERRORS, &failed), Some(1));
}

#[test]
fn the_log_says_when_the_store_is_away_and_when_it_is_back() {
    let mut fleet = Fleet::new(Profile::Envoy, r#""limit": 9, "fleet": "eventual""#);
    fleet.call(0);
    assert_eq!(said_of_store(&fleet.gateways[0]), [Value::Null; 0]);
    for _ in 0..3 {
        fleet.gateways[0].advance(Duration::from_millis(250));
        for callout in fleet.gateways[0].pending_callouts() {
            fleet.gateways[0].answer(callout.token, HttpReply::new(503, "no Redis")).expect("it was pending");
        }
    }
    fleet.pass(Duration::from_secs(10));
    let states: Vec<_> =
        said_of_store(&fleet.gateways[0]).iter().map(|said| (said["state"].clone(), said["said"].clone())).collect();
    assert_eq!(states, [(json!("unreachable"), json!("no Redis")), (json!("back"), Value::Null)]);
    fleet.pass(Duration::from_secs(1));
    assert_eq!(fleet.spent(), 1, "what was spent meanwhile is told");
}

#[test]
fn a_call_whose_client_goes_while_it_waits_is_charged_nothing_and_holds_nothing() {
    for profile in [Profile::Envoy, Profile::Kong] {
        let mut fleet = Fleet::new(profile, r#""limit": 1, "fleet": "strict""#);
        let stream = fleet.open(0);
        stream.client_gone();
        assert_eq!(stream.finish().status(), 0);
        let gone = last_event(&fleet.gateways[0]);
        assert_eq!((&gone["outcome"], &gone["cost_usd"]), (&json!("local_reply"), &json!("0")), "{profile:?}");
        fleet.pass(Duration::from_secs(3));
        assert_eq!(fleet.call(0).status(), 200, "{profile:?}: the only call of the budget is not taken");
    }
}

#[test]
fn a_store_that_lost_its_data_is_told_everything_again_by_gateways_that_rest_too() {
    for mode in ["eventual", "strict"] {
        let mut fleet = Fleet::new(Profile::Envoy, &format!(r#""limit": 100, "fleet": "{mode}""#));
        (0..6).for_each(|number| _ = fleet.call(number % 2));
        // Long enough for the accounts to rest.
        (0..70).for_each(|_| fleet.pass(Duration::from_secs(1)));
        assert_eq!(fleet.spent(), 6, "{mode}");
        fleet.lose_data();
        fleet.pass(SILENCE + 2 * INTERVAL);
        assert_eq!(fleet.spent(), 6, "{mode}");
        let said = said_of_store(&fleet.gateways[0]);
        assert_eq!(said.iter().map(|said| &said["state"]).collect::<Vec<_>>(), ["lost_data"], "{mode}");
    }
}

#[test]
fn a_new_store_leases_nothing_at_first_and_the_failure_mode_decides() {
    for profile in Profile::ALL {
        for (mode, failure_mode, status) in
            [("strict", "closed", 503), ("strict", "open", 200), ("eventual", "closed", 200)]
        {
            let limit = format!(r#""limit": 9, "fleet": "{mode}", "failure_mode": "{failure_mode}""#);
            let mut fleet = Fleet::new(profile, &limit);
            fleet.store.is_settling = true;
            assert_eq!(fleet.call(0).status(), status, "{profile:?} {mode} {failure_mode}");
            fleet.store.is_settling = false;
            assert_eq!(fleet.call(0).status(), 200, "{profile:?} {mode} {failure_mode}");
        }
    }
}

#[test]
fn a_fresh_gateway_that_asks_first_is_leased_nothing_that_others_have_spent_whatever_the_store_forgot() {
    let mut fleet = Fleet::new(Profile::Envoy, r#""limit": 100, "fleet": "strict", "failure_mode": "closed""#);
    (0..60).for_each(|_| _ = fleet.call(0));
    fleet.lose_data();
    // The second one never heard of the first.
    assert_eq!(fleet.call(1).status(), 503);
    fleet.pass(SILENCE + 2 * INTERVAL);
    fleet.store.is_settling = false;
    let forwarded = (0..110).filter(|number| fleet.call(number % 2).status() == 200).count();
    assert_eq!(forwarded, 40, "of a hundred, sixty were spent");
}

/// At every moment of a load, the store knows of all that was charged one interval ago: that is what a gateway can
/// take with it that dies.
#[test]
fn a_gateway_never_holds_back_what_it_charged_more_than_one_interval_ago() {
    for mode in ["eventual", "strict"] {
        let mut fleet = Fleet::new(Profile::Envoy, &format!(r#""limit": 100000, "fleet": "{mode}""#));
        let (step, steps) = (Duration::from_millis(10), 20);
        assert_eq!(step * steps, INTERVAL);
        for charged in 1..=400 {
            assert_eq!(fleet.call(0).status(), 200, "{mode}");
            fleet.pass(step);
            let due = i128::from(charged) - i128::from(steps);
            assert!(fleet.spent() >= due, "{mode}: {} of {due} is told", fleet.spent());
        }
    }
}
