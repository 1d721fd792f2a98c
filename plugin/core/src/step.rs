//! Which step of an agent a request is: a mark that is the same where the same step is made again.
//!
//! Behind tool results, a step is the tool calls that they answer, by name and arguments; ids and the words around them
//! change each time. Otherwise it is the last message at its place in the conversation, so that a request that is sent
//! once more is the same step, and a short answer later on is another one.
//! A tool call looks alike everywhere: an object with a name and arguments. So this reads all wire formats in one way.
//! Invariants: bounded depth; the same in every worker.
//! Must not know: what repeats are counted for.

use crate::dialect::{Dialect, Request, ToolText, object};
use crate::prompt::{Component, Element, Kind, Piece};
use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};

/// How deep a tool call lies in its message at most: message, list, call, function.
const DEPTH_MAX: usize = 6;

/// What the user said last, and what has come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Tells it from what the user said before.
    pub mark: u64,
    /// How long the history is, in bytes of its JSON.
    pub history: u64,
}

/// The mark of a request's step; `None` for a request without a conversation.
pub(crate) fn mark(request: &Request<'_>) -> Option<u64> {
    let is_said = |element: &&Element<'_>| {
        matches!(element.component, Component::History | Component::User) && element.kind != Kind::Tool
    };
    let mut said = request.elements.iter().rev().filter(is_said).peekable();
    let last = *said.peek()?;
    // Two keys that nobody has to keep: who finds two steps with one mark stops nobody but themselves.
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    if last.kind == Kind::ToolResult {
        let before = said.skip_while(|element| element.kind == Kind::ToolResult);
        let step =
            before.take_while(|element| element.kind == Kind::Message && element.component == Component::History);
        let has_called = step.fold(false, |found, element| hash_calls(element.raw.get(), 0, &mut hasher) | found);
        if has_called {
            return Some(hasher.finish());
        }
    }
    // As it was sent: reading the words of a long message once more would cost as much as counting them.
    (request.elements.len(), last.raw.get()).hash(&mut hasher);
    Some(hasher.finish())
}

/// What a request shows of whether the user goes along: a mark of what the user said last, at its place in the conversation,
/// and how long the history is. `None` for a request that shows no words of the user's.
pub(crate) fn turn(dialect: Dialect, request: &Request<'_>) -> Option<Turn> {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    let first = request.elements.iter().position(|element| element.component == Component::User)?;
    let is_said = |element: &&Element<'_>| matches!(element.component, Component::History | Component::User);
    request.elements.iter().take(first).filter(is_said).count().hash(&mut hasher);
    for element in request.elements.iter().filter(|element| element.component == Component::User) {
        dialect.read_element(element, ToolText::Json, &mut |piece| {
            if let Piece::Text(text) = piece {
                text.hash(&mut hasher);
            }
        });
    }
    let history = request.elements.iter().filter(|element| element.component == Component::History);
    let bytes = history.fold(0_usize, |sum, element| sum.saturating_add(element.raw.get().len()));
    Some(Turn { mark: hasher.finish(), history: u64::try_from(bytes).unwrap_or(u64::MAX) })
}

/// Takes up every tool call that lies in a value; `true` where there is one.
fn hash_calls(json: &str, depth: usize, hasher: &mut SipHasher13) -> bool {
    if depth > DEPTH_MAX {
        return false;
    }
    let (mut name, mut arguments, mut inner) = (None, None, Vec::new());
    let is_nested = |json: &str| json.starts_with(['{', '[']);
    let is_object = object::members(json, |key, value| match &*key {
        "name" => name = Some(value.get()),
        "arguments" | "input" | "args" | "parameters" => arguments = Some(value.get()),
        _ if is_nested(value.get()) => inner.push(value.get()),
        _ => {}
    });
    if let (Some(name), Some(arguments)) = (name, arguments) {
        (name, arguments).hash(hasher);
        return true;
    }
    if !is_object {
        object::items(json, |item| inner.push(item.get()));
    }
    inner.into_iter().fold(false, |found, json| hash_calls(json, depth.saturating_add(1), hasher) | found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Route;

    fn mark_of(dialect: Dialect, body: &str) -> Option<u64> {
        let route = Route::of_dialect(dialect, "");
        mark(&route.read_request(body.as_bytes()).expect("a request"))
    }

    /// Steps of an agent in the shapes of four dialects: the last tool call, with an id, words around it, and its result.
    fn steps(call: &str, city: &str) -> [Option<u64>; 4] {
        let chat = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"weather?"}},
            {{"role":"assistant","content":"try {call}","tool_calls":[{{"id":"{call}","type":"function","function":{{"name":"get","arguments":"{{\"city\":\"{city}\"}}"}}}}]}},
            {{"role":"tool","tool_call_id":"{call}","content":"at {call}"}}]}}"#
        );
        let anthropic = format!(
            r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"weather?"}},
            {{"role":"assistant","content":[{{"type":"text","text":"try {call}"}},{{"type":"tool_use","id":"{call}","name":"get","input":{{"city":"{city}"}}}}]}},
            {{"role":"user","content":[{{"type":"tool_result","tool_use_id":"{call}","content":"at {call}"}}]}}]}}"#
        );
        let responses = format!(
            r#"{{"model":"m","input":[{{"role":"user","content":"weather?"}},
            {{"type":"function_call","call_id":"{call}","name":"get","arguments":"{{\"city\":\"{city}\"}}"}},
            {{"type":"function_call_output","call_id":"{call}","output":"at {call}"}}]}}"#
        );
        let gemini = format!(
            r#"{{"contents":[{{"role":"user","parts":[{{"text":"weather?"}}]}},
            {{"role":"model","parts":[{{"text":"try {call}"}},{{"functionCall":{{"name":"get","args":{{"city":"{city}"}}}}}}]}},
            {{"role":"user","parts":[{{"functionResponse":{{"name":"get","response":{{"at":"{call}"}}}}}}]}}]}}"#
        );
        [
            mark_of(Dialect::OpenaiChat, &chat),
            mark_of(Dialect::AnthropicMessages, &anthropic),
            mark_of(Dialect::OpenaiResponses, &responses),
            mark_of(Dialect::Gemini, &gemini),
        ]
    }

    #[test]
    fn a_tool_call_made_again_is_the_same_step_whatever_its_id_and_the_words_around_it() {
        let (first, again, other) = (steps("call_1", "Paris"), steps("call_2", "Paris"), steps("call_3", "Rome"));
        assert!(first.iter().all(Option::is_some));
        assert_eq!(first, again);
        assert!(first.iter().zip(other).all(|(one, other)| *one != other), "{first:?} {other:?}");
    }

    #[test]
    fn a_request_sent_once_more_is_the_same_step_and_the_same_word_later_on_is_not() {
        let chat =
            |messages: &str| mark_of(Dialect::OpenaiChat, &format!(r#"{{"model":"m","messages":[{messages}]}}"#));
        let short = r#"{"role":"user","content":"go on"}"#;
        let long = format!(r#"{short},{{"role":"assistant","content":"done"}},{short}"#);
        assert_eq!(chat(short), chat(short));
        assert_ne!(chat(short), chat(&long));
        assert_eq!(chat(""), None);
    }
}
