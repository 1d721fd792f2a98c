//! A support bot on one day: six conversations of two calls each, with long instructions, tools and worked examples.
//!
//! From the fourth conversation on somebody has connected a ticket system: three tools of its MCP server stand beside the bot's
//! own in every call, and no answer uses them. Must not know: gateways, prices.

use serde_json::{Value, json};

use super::{Labels, plan};

/// The application.
pub const APP: &str = "support-bot";
/// The conversation from which on the tools of the MCP server are there, counted from 0.
const CONNECTED: usize = 3;
const SYSTEM: &str = include_str!("texts/support.md");

/// What customers write: who, and the letter.
const LETTERS: [(&str, &str); 6] = [
    (
        "u-1001",
        "Hello, my parcel NP-204417 was promised for Tuesday and today is Friday. The tracking page has said the same thing for \
         three days: that it is on its way between two depots that I have never heard of. My daughter leaves on a school trip on \
         Sunday morning and the rucksack in this parcel is the one she has to take with her. I have already written to the \
         carrier and got an automatic reply. Where is it, will it come tomorrow, and what do you do if it does not?",
    ),
    (
        "u-1002",
        "Good morning! I bought the Grat 3 boots from you two weeks ago (order NP-204102, size 42) and wore them at home on the \
         stairs, as your page advises. Going down, my toes touch the front. Can I exchange them for half a size larger without \
         paying again, do I have to send the old pair first, and is the green pair still there in that size? I would rather not \
         wait until after the holidays, since the snow will be gone by then.",
    ),
    (
        "u-1003",
        "Your tent leaks. Not a drop at the seam, which I would have understood: the whole floor was wet after one hour of \
         ordinary rain, and I slept in a puddle with a person who now no longer wants to go camping with me. It is the third \
         night that we used it. I followed the instructions, I sealed what had to be sealed, and I have photographs of \
         everything. I do not want a voucher, I do not want another tent of this kind. I want my money back. NP-198330.",
    ),
    (
        "u-1001",
        "It says delivered since eleven o'clock, but there is nothing here. I was at home all day, nobody rang, and there is no \
         card in the letter box. I asked both neighbours and the bakery below us, who take parcels for the house now and then. \
         The signature on the tracking page is a line that could be anything. As I wrote to you yesterday, the school trip is on \
         Sunday. Please tell me what happens now, and do not tell me to wait for ten working days.",
    ),
    (
        "u-1004",
        "We are a group of eleven people who want to cross a glacier in Iceland next June, and we would order crampons, ropes and \
         helmets for everybody at once, to an address in Reykjavik. Do you ship there at all, what does it cost for about forty \
         kilos, and who pays the customs? One of us has ordered from you before and paid the duties twice, once to the carrier \
         and once when sending something back. And can helmets that do not fit be returned from there?",
    ),
    (
        "u-1005",
        "I ordered two jackets to choose between, NP-204560, and sent one of them back on the second of November. You confirmed \
         that it arrived on the sixth. Today is the twentieth and there is still no refund on my card; the bank says nothing is \
         on its way. In your e-mail there is a sentence about five working days. Could you please look up what happened to it, \
         and tell me the amount and the day on which the money was sent, so that I can ask the bank again?",
    ),
];

/// One call of the bot: what its labels are, and the request's body.
#[must_use]
pub fn calls() -> Vec<(Labels, Value)> {
    let labels = Labels::app(APP, "customer-care").with("task-type", "support-reply");
    let conversation = |(number, (user, letter)): (usize, &(&str, &str))| {
        let labels = labels.clone().with("user", user).with("session", &format!("chat-{number}-{user}"));
        let looked_up = [vec![], vec![call(), result(number)]];
        looked_up.map(|looked_up| (labels.clone(), body(number, letter, looked_up)))
    };
    LETTERS.iter().enumerate().flat_map(conversation).collect()
}

fn body(number: usize, letter: &str, looked_up: Vec<Value>) -> Value {
    let message = |role: &str, text: &str| json!({"role": role, "content": text});
    let example = |example: &Value| {
        [("user", "user"), ("assistant", "assistant")].map(|(role, field)| message(role, text(example, field)))
    };
    let mut messages = vec![message("system", SYSTEM)];
    messages.extend(read(include_str!("texts/support-examples.json")).iter().flat_map(example));
    messages.push(message("user", letter));
    messages.extend(looked_up);
    let mut tools = read(include_str!("texts/support-tools.json"));
    if number >= CONNECTED {
        tools.extend(read(include_str!("texts/support-mcp-tools.json")));
    }
    let tools: Vec<Value> = tools.into_iter().map(|tool| json!({"type": "function", "function": tool})).collect();
    json!({
        "model": "gpt-4.1", "messages": messages, "tools": tools, "max_tokens": 400, "stream": true,
        "stream_options": {"include_usage": true}
    })
}

fn call() -> Value {
    let arguments = json!({"order": "NP-204417", "since": "2026-09-01"}).to_string();
    let call =
        json!({"id": "call_find", "type": "function", "function": {"name": "find_order", "arguments": arguments}});
    json!({"role": "assistant", "content": "I look the order up.", "tool_calls": [call]})
}

fn result(number: usize) -> Value {
    let table = plan::table(100 + number as u64, &["shipped", "line", "price_eur", "refunded_eur"], 18);
    json!({"role": "tool", "tool_call_id": "call_find", "content": table})
}

fn read(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap_or_default()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}
