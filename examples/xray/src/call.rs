//! One exchange through the meter: its event, and what the same tokens cost on other models.
//!
//! Must not know: how an exchange was pasted, how an event is drawn.

use crate::exchange::{Exchange, ExchangeError};
use serde::{Deserialize, Serialize};
use tollgate_core::config::Config;
use tollgate_core::event::Event;
use tollgate_core::head::{Headers, RequestHead, ResponseHead};
use tollgate_core::ledger::Bucket;
use tollgate_core::meter::{Body, Ending, Meter};
use tollgate_core::money::Usd;
use tollgate_core::price::{Lookup, PriceBook, Terms};
use tollgate_core::retrieval::Standing;
use tollgate_core::time::Timestamp;

/// Takes every POST for a call whose body looks like one, so that a body needs no address.
const ANY_CALL: &str = r#"{"routes":[{"path_prefix":"/"}]}"#;

/// What calls are compared with until other models are asked for.
pub(crate) const COMPARED: [&str; 12] = [
    "anthropic/claude-haiku-5-5",
    "anthropic/claude-opus-5-5",
    "anthropic/claude-sonnet-5-5",
    "deepseek/deepseek-v4-flash",
    "google/gemini-3.1-pro-preview",
    "google/gemini-3.8-flash",
    "mistral/mistral-medium-latest",
    "openai/gpt-4.1",
    "openai/gpt-4.1-mini",
    "openai/gpt-5.4-mini",
    "openai/gpt-6.1-sol",
    "x-ai/grok-4.7",
];

/// What to open.
#[derive(Debug, Deserialize)]
pub(crate) struct Question {
    request: String,
    response: String,
    /// Where the request went, as a URL; may be empty.
    address: String,
    /// Milliseconds since 1970, for exchanges that do not say when they were.
    now: u64,
    /// Models to compare with, as `provider/model` of the price list.
    models: Vec<String>,
}

/// A call, opened.
#[derive(Debug, Serialize)]
pub(crate) struct Opened {
    /// What the filter would have told of it.
    event: Event,
    /// There is no answer yet: the input is predicted.
    is_predicted: bool,
    /// What the same tokens cost on other models, as asked for.
    alternatives: Vec<Alternative>,
}

#[derive(Debug, Serialize)]
struct Alternative {
    model: String,
    /// `null` where something of the call has no price there.
    cost_usd: Option<Usd>,
}

/// Why there is no event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    #[error(
        "this is no LLM call that Tollgate knows: neither the address nor the body says so. If the body alone does not \
         name the format (Bedrock, Gemini, Cohere, Ollama), give the address that it was sent to"
    )]
    NoCall,
    #[error("this call asks for what an earlier one created, and is told nothing new that is billed")]
    NothingBilled,
}

/// Meters an exchange.
pub(crate) fn open(question: &Question) -> Result<Opened, CallError> {
    let exchange = Exchange::read(&question.request, &question.response, &question.address)?;
    let now = exchange.at.unwrap_or(Timestamp::from_millis(question.now));
    let is_predicted = exchange.response.is_none();
    let event = event(&exchange, now)?;
    let alternatives = question.models.iter().map(|model| on(model, &event, now)).collect();
    Ok(Opened { event, is_predicted, alternatives })
}

fn event(exchange: &Exchange, now: Timestamp) -> Result<Event, CallError> {
    let config = Config::parse(ANY_CALL.as_bytes()).unwrap_or_default();
    // The secret tells fingerprints of different filters apart; here is only one.
    let mut meter = Meter::new(config, [0, 0]);
    let asked = pairs(&exchange.request_headers);
    let (method, path, host) = (exchange.method.as_str(), exchange.path.as_str(), exchange.host.as_str());
    let head = RequestHead { method, path, host, headers: Headers::new(&asked), ..RequestHead::default() };
    let mut call = meter.open(&head, String::new(), now).ok_or(CallError::NoCall)?;
    let body = Body::Whole(&exchange.request);
    if call.is_doubtful() && !meter.recognise(&mut call, body) {
        return Err(CallError::NoCall);
    }
    // Without limits, nothing is refused.
    meter.admit(&mut call, body);
    let Some(response) = &exchange.response else { return Ok(meter.so_far(&call, now)) };
    let answered = pairs(&response.headers);
    meter.respond(&mut call, &ResponseHead { status: response.status, headers: Headers::new(&answered) });
    meter.read(&mut call, &response.body, now);
    match call.standing() {
        Standing::Own => {}
        // Nothing was charged before, so all that is told is billed now.
        Standing::Told(claim) => {
            let left = claim.charge(&mut Bucket::default(), &claim.keys.own, None, now);
            call.charge(left.ok().flatten().ok_or(CallError::NothingBilled)?);
        }
        Standing::Batch(..) | Standing::Nothing => return Err(CallError::NothingBilled),
    }
    Ok(meter.end(call, Ending::Complete, now))
}

/// What an event's tokens cost on a model.
fn on(name: &str, event: &Event, at: Timestamp) -> Alternative {
    let (provider, model) = name.split_once('/').map_or((None, name), |(provider, model)| (Some(provider), model));
    let lookup = Lookup { provider, model, alias: None, at, terms: Terms::default() };
    let book = PriceBook::builtin();
    let cost = event.input_tokens.and_then(|_| book.quote(&lookup).ok()?.cost(&event.usage).whole());
    Alternative { model: name.to_owned(), cost_usd: cost }
}

fn pairs(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::path::PathBuf;

    fn question(request: &str, response: &str, address: &str) -> Question {
        let (request, response, address) = (request.to_owned(), response.to_owned(), address.to_owned());
        Question { request, response, address, now: 1_795_166_000_000, models: vec!["openai/gpt-4o".to_owned()] }
    }

    fn opened(question: &Question) -> Value {
        serde_json::to_value(open(question).unwrap()).unwrap()
    }

    fn recorded(name: &str) -> String {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../plugin/core/testdata").join(name);
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_recorded_exchange_gives_the_event_that_the_filter_gives() {
        let opened = opened(&question(&recorded("openai_chat/tools-called.json"), "", ""));
        let event = &opened["event"];
        assert_eq!((&event["cost_usd"], &event["dialect"]), (&"0.0000381".into(), &"openai_chat".into()));
        assert_eq!(event["components"]["tools"]["cost_usd"], "0.00000765");
        assert_eq!(event["tools"]["heaviest"][0]["called"], true);
        // 118 input tokens at $2.50 and 34 output tokens at $10 per million.
        assert_eq!(opened["alternatives"][0]["cost_usd"], "0.000635");
        assert_eq!(opened["is_predicted"], false);
    }

    #[test]
    fn a_body_without_an_address_is_metered_by_its_shape_and_without_an_answer_predicted() {
        let opened =
            opened(&question(r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}]}"#, "", ""));
        assert_eq!((&opened["is_predicted"], &opened["event"]["outcome"]), (&true.into(), &"in_flight".into()));
        assert_eq!(opened["event"]["dialect"], "openai_chat");
        assert!(opened["event"]["cost_usd"].as_str().is_some_and(|cost| cost.starts_with("0.0000")));
    }

    #[test]
    fn the_models_that_calls_are_compared_with_have_prices() {
        let question = question(&recorded("openai_chat/tools-called.json"), "", "");
        let opened = opened(&Question { models: COMPARED.map(str::to_owned).to_vec(), ..question });
        let alternatives = opened["alternatives"].as_array().unwrap();
        let unpriced: Vec<_> = alternatives.iter().filter(|model| model["cost_usd"].is_null()).collect();
        assert!(unpriced.is_empty(), "{unpriced:?}");
        assert_eq!(alternatives.len(), COMPARED.len());
    }

    #[test]
    fn what_is_no_call_is_refused_with_what_to_do() {
        let error = open(&question(r#"{"jsonrpc":"2.0"}"#, "", "")).unwrap_err().to_string();
        assert!(error.contains("give the address"), "{error}");
    }

    #[test]
    fn a_batch_that_is_told_is_billed_as_if_nothing_was_told_before() {
        let opened = opened(&question(&recorded("anthropic_batch/results-of-two-models.json"), "", ""));
        assert!(opened["event"]["cost_usd"].is_string(), "{opened:#}");
    }
}
