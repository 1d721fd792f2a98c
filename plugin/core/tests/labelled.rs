//! Six conversations in ten wire formats: how many of their tokens are booked to the component that a person would say.
//!
//! Each is written once with its labels, as ten wire formats write it. One of them holds examples
//! that nothing marks, which no rule can tell from history; they are counted against us.
#![allow(clippy::unwrap_used, reason = "helpers of a test may panic as tests do")]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use tollgate_core::dialect::{Dialect, ToolText};
use tollgate_core::few_shot;
use tollgate_core::prompt::Piece;

/// Something in a conversation, in the words of no wire format.
enum Said {
    System(String),
    Tool(String),
    User(String),
    Model(String),
    Call(String),
    Result(String),
    /// What a tool returned, and words of the user's in the same message.
    Both(String, String),
}

use Said::{Both, Call, Model, Result, System, Tool, User};

/// Prose of this many words.
fn words(seed: &str, count: usize) -> String {
    (0..count).map(|number| format!("{seed}{} ", (number * 7919) % 97)).collect()
}

/// Labels and what is labelled.
type Conversation = Vec<(&'static [&'static str], Said)>;

fn conversations() -> [Conversation; 6] {
    let system = || (&["system"][..], System(words("rule", 400)));
    let tools = |name| (&["tools"][..], Tool(words(name, 250)));
    let example = |text: &str| format!("<example> {}", words(text, 60));
    [
        vec![
            system(),
            (&["history"], User(words("first", 80))),
            (&["history"], Model(words("answer", 200))),
            (&["user"], User(words("ask", 40))),
        ],
        vec![
            system(),
            tools("search"),
            tools("read"),
            (&["user"], User(words("ask", 40))),
            (&["history"], Call(words("query", 30))),
            (&["history"], Result(words("page", 500))),
        ],
        vec![
            system(),
            tools("search"),
            (&["history"], User(words("first", 40))),
            (&["history"], Call(words("query", 30))),
            (&["history"], Result(words("page", 300))),
            (&["history"], Model(words("answer", 150))),
            (&["user"], User(words("ask", 60))),
        ],
        vec![
            system(),
            (&["few_shot"], User(example("sample"))),
            (&["few_shot"], Model(words("solution", 90))),
            (&["few_shot"], User(example("other"))),
            (&["few_shot"], Model(words("result", 90))),
            (&["history"], User(words("first", 50))),
            (&["history"], Model(words("answer", 100))),
            (&["user"], User(words("ask", 40))),
        ],
        vec![
            system(),
            tools("search"),
            (&["history"], User(words("first", 40))),
            (&["history"], Call(words("query", 30))),
            (&["history", "user"], Both(words("page", 300), words("ask", 60))),
        ],
        vec![
            system(),
            (&["few_shot"], User(words("unmarked", 12))),
            (&["few_shot"], Model(words("reply", 8))),
            (&["user"], User(words("ask", 80))),
        ],
    ]
}

/// What is said, without the labels and what stands beside the messages.
fn messages(conversation: &Conversation) -> impl Iterator<Item = &Said> {
    conversation.iter().map(|(_, said)| said).filter(|said| !matches!(said, System(_) | Tool(_)))
}

fn system(conversation: &Conversation) -> &str {
    conversation.iter().find_map(|(_, said)| if let System(text) = said { Some(text.as_str()) } else { None }).unwrap()
}

fn tools(conversation: &Conversation, write: impl Fn(String, &str) -> Value) -> Vec<Value> {
    let tools = conversation.iter().filter_map(|(_, said)| if let Tool(text) = said { Some(text) } else { None });
    tools.enumerate().map(|(at, text)| write(format!("tool_{at}"), text)).collect()
}

/// Chat Completions, and with arguments as objects what Ollama takes.
fn chat(conversation: &Conversation, is_ollama: bool) -> Value {
    let mut written = vec![json!({"role": "system", "content": system(conversation)})];
    let result = |text: &str| json!({"role": "tool", "tool_call_id": "c", "content": text});
    for said in messages(conversation) {
        let arguments = |text: &str| if is_ollama { json!({"q": text}) } else { json!(json!({"q": text}).to_string()) };
        match said {
            User(text) => written.push(json!({"role": "user", "content": text})),
            Model(text) => written.push(json!({"role": "assistant", "content": text})),
            Call(text) => written.push(json!({"role": "assistant", "content": "",
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "tool_0", "arguments": arguments(text)}}]})),
            Result(text) => written.push(result(text)),
            Both(returned, text) => {
                written.extend([result(returned), json!({"role": "user", "content": [{"type": "text", "text": text}]})]);
            }
            System(_) | Tool(_) => {}
        }
    }
    let tool = |name, text: &str| json!({"type": "function", "function": {"name": name, "description": text, "parameters": {"type": "object"}}});
    json!({"model": "m", "messages": written, "tools": tools(conversation, tool)})
}

fn responses(conversation: &Conversation) -> Value {
    let mut written = Vec::new();
    let result = |text: &str| json!({"type": "function_call_output", "call_id": "c", "output": text});
    for said in messages(conversation) {
        match said {
            User(text) => written.push(json!({"role": "user", "content": [{"type": "input_text", "text": text}]})),
            Model(text) => written.push(json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})),
            Call(text) => written.push(json!({"type": "function_call", "call_id": "c", "name": "tool_0", "arguments": json!({"q": text}).to_string()})),
            Result(text) => written.push(result(text)),
            Both(returned, text) => written.extend([result(returned), json!({"role": "user", "content": text})]),
            System(_) | Tool(_) => {}
        }
    }
    let tool = |name, text: &str| json!({"type": "function", "name": name, "description": text, "parameters": {"type": "object"}});
    json!({"model": "m", "instructions": system(conversation), "input": written, "tools": tools(conversation, tool)})
}

fn anthropic(conversation: &Conversation) -> Value {
    let mut written = Vec::new();
    let result =
        |text: &str| json!({"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": text}]});
    for said in messages(conversation) {
        written.push(match said {
            User(text) => json!({"role": "user", "content": text}),
            Model(text) => json!({"role": "assistant", "content": [{"type": "text", "text": text}]}),
            Call(text) => json!({"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "tool_0", "input": {"q": text}}]}),
            Result(text) => json!({"role": "user", "content": [result(text)]}),
            Both(returned, text) => {
                let words = json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}});
                json!({"role": "user", "content": [result(returned), words]})
            }
            System(_) | Tool(_) => continue,
        });
    }
    let tool = |name, text: &str| json!({"name": name, "description": text, "input_schema": {"type": "object"}});
    json!({"model": "m", "anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": written,
        "system": [{"type": "text", "text": system(conversation)}], "tools": tools(conversation, tool)})
}

fn converse(conversation: &Conversation) -> Value {
    let mut written = Vec::new();
    let result = |text: &str| json!({"toolResult": {"toolUseId": "c", "content": [{"text": text}]}});
    for said in messages(conversation) {
        written.push(match said {
            User(text) => json!({"role": "user", "content": [{"text": text}, {"cachePoint": {"type": "default"}}]}),
            Model(text) => json!({"role": "assistant", "content": [{"text": text}]}),
            Call(text) => json!({"role": "assistant", "content": [{"toolUse": {"toolUseId": "c", "name": "tool_0", "input": {"q": text}}}]}),
            Result(text) => json!({"role": "user", "content": [result(text), {"cachePoint": {"type": "default"}}]}),
            Both(returned, text) => json!({"role": "user", "content": [result(returned), {"text": text}]}),
            System(_) | Tool(_) => continue,
        });
    }
    let tool = |name, text: &str| json!({"toolSpec": {"name": name, "description": text, "inputSchema": {"json": {"type": "object"}}}});
    json!({"system": [{"text": system(conversation)}], "messages": written, "toolConfig": {"tools": tools(conversation, tool)}})
}

fn gemini(conversation: &Conversation) -> Value {
    let mut written = Vec::new();
    let result = |text: &str| json!({"functionResponse": {"name": "tool_0", "response": {"content": text}}});
    for said in messages(conversation) {
        written.push(match said {
            User(text) => json!({"role": "user", "parts": [{"text": text}]}),
            Model(text) => json!({"role": "model", "parts": [{"text": text}]}),
            Call(text) => {
                json!({"role": "model", "parts": [{"functionCall": {"name": "tool_0", "args": {"q": text}}}]})
            }
            Result(text) => json!({"role": "user", "parts": [result(text)]}),
            Both(returned, text) => json!({"role": "user", "parts": [result(returned), {"text": text}]}),
            System(_) | Tool(_) => continue,
        });
    }
    let tool = |name, text: &str| json!({"name": name, "description": text, "parameters": {"type": "OBJECT"}});
    json!({"contents": written, "systemInstruction": {"parts": [{"text": system(conversation)}]},
        "tools": [{"functionDeclarations": tools(conversation, tool)}]})
}

fn interactions(conversation: &Conversation) -> Value {
    let mut written = Vec::new();
    let result =
        |text: &str| json!({"type": "function_result", "name": "tool_0", "call_id": "c", "result": {"content": text}});
    for said in messages(conversation) {
        match said {
            User(text) => written.push(json!({"role": "user", "content": text})),
            Model(text) => written.push(json!({"role": "model", "content": [{"type": "text", "text": text}]})),
            Call(text) => {
                written.push(json!({"type": "function_call", "id": "c", "name": "tool_0", "arguments": {"q": text}}))
            }
            Result(text) => written.push(result(text)),
            Both(returned, text) => written.extend([result(returned), json!({"role": "user", "content": text})]),
            System(_) | Tool(_) => {}
        }
    }
    let tool = |name, text: &str| json!({"type": "function", "name": name, "description": text, "parameters": {"type": "object"}});
    json!({"model": "m", "system_instruction": system(conversation), "input": written, "tools": tools(conversation, tool)})
}

/// Cohere's first version: the last message stands alone, and what tools returned beside it.
fn cohere_v1(conversation: &Conversation) -> Value {
    let (mut history, mut results, mut message) = (Vec::new(), Vec::new(), "");
    let mut call = "";
    let result = |call: &str, text: &str| json!({"call": {"name": "tool_0", "parameters": {"q": call}}, "outputs": [{"text": text}]});
    for said in messages(conversation) {
        if !message.is_empty() && !matches!(said, Call(_) | Result(_)) {
            history.push(json!({"role": "USER", "message": std::mem::take(&mut message)}));
            history.extend(results.drain(..).map(|result: Value| json!({"role": "TOOL", "tool_results": [result]})));
        }
        match said {
            User(text) => message = text,
            Model(text) => history.push(json!({"role": "CHATBOT", "message": text})),
            Call(text) => call = text,
            Result(text) => results.push(result(call, text)),
            Both(returned, text) => {
                history.push(json!({"role": "TOOL", "tool_results": [result(call, returned)]}));
                message = text;
            }
            System(_) | Tool(_) => {}
        }
    }
    let tool = |name, text: &str| json!({"name": name, "description": text, "parameter_definitions": {}});
    json!({"model": "m", "preamble": system(conversation), "chat_history": history, "message": message,
        "tool_results": results, "tools": tools(conversation, tool)})
}

fn tokens(text: &str) -> usize {
    tiktoken_rs::o200k_base_singleton().encode_ordinary(text).len()
}

/// Tokens by component, of the texts as they are labelled.
fn labelled(conversation: &Conversation) -> BTreeMap<&'static str, usize> {
    let mut labelled = BTreeMap::new();
    for (labels, said) in conversation {
        let texts = match said {
            System(text) | Tool(text) | User(text) | Model(text) | Call(text) | Result(text) => vec![text],
            Both(returned, text) => vec![returned, text],
        };
        labels.iter().zip(texts).for_each(|(label, text)| *labelled.entry(*label).or_default() += tokens(text));
    }
    labelled
}

/// Tokens by component, as they are booked.
fn booked(dialect: Dialect, request: &Value) -> BTreeMap<&'static str, usize> {
    let body = request.to_string();
    let mut request = dialect.read_request(body.as_bytes()).unwrap();
    few_shot::mark(dialect, &mut request.elements, &["<example>".to_owned()]);
    let mut booked = BTreeMap::new();
    for element in &request.elements {
        dialect.read_element(element, ToolText::Json, &mut |piece| {
            if let Piece::Text(text) = piece {
                *booked.entry(element.component.name()).or_default() += tokens(&text);
            }
        });
    }
    booked
}

#[test]
fn of_sixty_labelled_requests_nearly_every_token_is_in_the_right_component() {
    type Write = fn(&Conversation) -> Value;
    let dialects: [(Dialect, Write); 10] = [
        (Dialect::OpenaiChat, |said| chat(said, false)),
        (Dialect::OpenaiResponses, responses),
        (Dialect::AnthropicMessages, anthropic),
        (Dialect::BedrockConverse, converse),
        (Dialect::BedrockInvoke, anthropic),
        (Dialect::Gemini, gemini),
        (Dialect::GeminiInteractions, interactions),
        (Dialect::CohereChat, |said| chat(said, false)),
        (Dialect::CohereChatV1, cohere_v1),
        (Dialect::Ollama, |said| chat(said, true)),
    ];
    let (mut requests, mut right, mut all) = (0, 0, 0);
    for (dialect, write) in dialects {
        for (at, conversation) in conversations().iter().enumerate() {
            let (labelled, booked) = (labelled(conversation), booked(dialect, &write(conversation)));
            let of = |component: &str| booked.get(component).copied().unwrap_or(0);
            let here: usize = labelled.iter().map(|(component, tokens)| of(component).min(*tokens)).sum();
            let there: usize = labelled.values().sum();
            println!("{dialect:?} {at}: {here} of {there}; {labelled:?} {booked:?}");
            // All but the examples that nothing marks.
            assert!(at == 5 || here * 1_000 >= there * 998, "{dialect:?} {at}: {labelled:?} {booked:?}");
            (requests, right, all) = (requests + 1, right + here, all + there);
        }
    }
    println!("{requests} requests, {right} of {all} tokens");
    assert!(requests == 60 && right * 100 >= all * 98, "{right} of {all}");
}
