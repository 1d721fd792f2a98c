//! Which component of the prompt every message and block belongs to, by role and position, in the order in which the
//! provider caches them.
#![allow(clippy::unwrap_used, reason = "helpers of a test may panic as tests do")]

use serde_json::{Value, json};
use tollgate_core::dialect::{Dialect, ToolText};
use tollgate_core::prompt::Piece;

/// Checks the components of a request, each with the text that is counted for it, or the tool's name. `+` joins pieces
/// of text, in the order in which `json!` writes keys: by the alphabet.
#[track_caller]
fn check(dialect: Dialect, request: &Value, expected: &[(&str, &str)]) {
    let body = request.to_string();
    let request = dialect.read_request(body.as_bytes()).unwrap();
    let elements = request.elements.iter().map(|element| {
        let mut pieces = Vec::new();
        dialect.read_element(element, ToolText::Json, &mut |piece| match piece {
            Piece::Text(text) => pieces.push(text.into_owned()),
            Piece::Media(_) => pieces.push("(media)".to_owned()),
            Piece::Unseen => pieces.push("(unseen)".to_owned()),
            Piece::Message | Piece::Framing(_) => {}
        });
        let text = if element.component.name() == "tools" {
            element.name.clone().unwrap_or_default().into_owned()
        } else {
            pieces.join("+")
        };
        (element.component.name(), text)
    });
    let found: Vec<(&str, String)> = elements.collect();
    let found: Vec<(&str, &str)> = found.iter().map(|(component, text)| (*component, text.as_str())).collect();
    assert_eq!(found, expected, "{body}");
}

fn says(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

#[test]
fn chat_instructions_lead_whatever_their_role_and_place_and_tools_follow() {
    let messages = json!([says("user", "q"), says("developer", "d"), says("system", "s")]);
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let expected = [("system", "d"), ("system", "s"), ("tools", "f"), ("user", "q")];
    check(Dialect::OpenaiChat, &json!({"messages": messages, "tools": tools}), &expected);
    let functions = json!({"messages": messages, "functions": [{"name": "f"}]});
    check(Dialect::OpenaiChat, &functions, &expected);
}

#[test]
fn chat_examples_are_told_by_their_name_alone() {
    let example = |role: &str, name: &str| json!({"role": role, "name": name, "content": "e"});
    let messages = json!([
        example("system", "example_user"),
        example("assistant", "example_assistant"),
        example("user", "ada"),
        says("user", "q"),
    ]);
    check(
        Dialect::OpenaiChat,
        &json!({"messages": messages}),
        &[("few_shot", "e+example_user"), ("few_shot", "e+example_assistant"), ("user", "e+ada"), ("user", "q")],
    );
}

#[test]
fn chat_tool_steps_behind_the_users_message_leave_it_the_users() {
    let call = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let messages = json!([
        says("user", "old"),
        says("assistant", "answer"),
        says("user", "new"),
        call,
        {"role": "tool", "tool_call_id": "c", "content": "result"},
        {"role": "function", "name": "f", "content": "older result"},
    ]);
    check(
        Dialect::OpenaiChat,
        &json!({"messages": messages}),
        &[
            ("history", "old"),
            ("history", "answer"),
            ("user", "new"),
            ("history", "{}+f"),
            ("history", "result"),
            ("history", "older result+f"),
        ],
    );
}

#[test]
fn chat_messages_of_the_user_in_a_row_are_one_question() {
    let messages =
        json!([says("user", "old"), says("assistant", "a"), says("user", "part one"), says("user", "part two")]);
    let expected = [("history", "old"), ("history", "a"), ("user", "part one"), ("user", "part two")];
    check(Dialect::OpenaiChat, &json!({"messages": messages}), &expected);
}

#[test]
fn chat_parts_that_are_no_text_are_media() {
    let parts = json!([{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "u"}}, {"type": "refusal", "refusal": "r"}]);
    check(Dialect::OpenaiChat, &json!({"messages": [{"role": "user", "content": parts}]}), &[("user", "t+(media)+r")]);
}

#[test]
fn responses_take_a_string_as_one_message_of_the_user() {
    let request = json!({"instructions": "i", "input": "q", "tools": [{"type": "web_search"}, {"type": "function", "name": "f"}]});
    check(
        Dialect::OpenaiResponses,
        &request,
        &[("system", "i"), ("tools", "web_search"), ("tools", "f"), ("user", "q")],
    );
    check(Dialect::OpenaiResponses, &json!({"instructions": null, "input": "q"}), &[("user", "q")]);
}

#[test]
fn responses_items_are_told_by_role_else_by_type() {
    let input = json!([
        says("developer", "d"),
        {"role": "user", "content": [{"type": "input_text", "text": "q"}, {"type": "input_image", "image_url": "u"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "thought"}], "encrypted_content": "x"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "result"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "part"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
        {"type": "item_reference", "id": "m"},
    ]);
    check(
        Dialect::OpenaiResponses,
        &json!({"input": input}),
        &[
            ("system", "d"),
            ("user", "q+(media)"),
            ("history", "(unseen)+thought"),
            ("history", "{}+f"),
            ("history", "result"),
            ("history", "part"),
            ("history", "a"),
            ("history", "(unseen)"),
        ],
    );
}

#[test]
fn anthropic_tools_come_before_the_system_prompt_which_is_text_or_blocks() {
    let tools = json!([{"name": "f", "input_schema": {}}]);
    let request = json!({"system": "s", "tools": tools, "messages": [says("user", "q")]});
    check(Dialect::AnthropicMessages, &request, &[("tools", "f"), ("system", "s"), ("user", "q")]);
    let blocks =
        json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}]);
    let request = json!({"system": blocks, "messages": [says("user", "q")]});
    check(Dialect::AnthropicMessages, &request, &[("system", "a"), ("system", "b"), ("user", "q")]);
}

#[test]
fn anthropic_tool_results_are_history_and_words_beside_them_are_the_users() {
    let result =
        |text: &str| json!({"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": text}]});
    let call =
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}]});
    let steps = json!({"messages": [says("user", "q"), call, {"role": "user", "content": [result("r")]}]});
    check(Dialect::AnthropicMessages, &steps, &[("user", "q"), ("history", "{\"a\":1}+f"), ("history", "r")]);
    let words = json!({"type": "text", "text": "and now?"});
    let mixed = json!({"messages": [says("user", "q"), call, {"role": "user", "content": [result("r"), words]}]});
    let expected = [("history", "q"), ("history", "{\"a\":1}+f"), ("history", "r"), ("user", "and now?")];
    check(Dialect::AnthropicMessages, &mixed, &expected);
}

#[test]
fn anthropic_thinking_counts_as_text_unless_it_is_hidden_and_images_as_media() {
    let answer = json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "redacted_thinking", "data": "d"}]});
    let image = json!({"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "d"}}]});
    let request = json!({"messages": [says("user", "q"), answer, image]});
    check(Dialect::AnthropicMessages, &request, &[("history", "q"), ("history", "t+(unseen)"), ("user", "(media)")]);
}

#[test]
fn gemini_turns_hold_parts_and_what_functions_return_is_not_the_users() {
    let request = json!({
        "tools": [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}, {"googleSearch": {}}],
        "system_instruction": {"parts": {"text": "s"}},
        "contents": [
            {"role": "user", "parts": [{"text": "q"}, {"inline_data": {"data": "eA=="}}]},
            {"role": "model", "parts": [{"functionCall": {"args": {"a": 1}, "name": "f"}}]},
            {"parts": [{"functionResponse": {"name": "f", "response": {"b": 2}}}, {"text": "r"}]},
        ],
    });
    let expected = [
        ("system", "s"),
        ("tools", "f"),
        ("tools", "g"),
        ("tools", "googleSearch"),
        ("history", "q+(media)"),
        ("history", "{\"a\":1}+f"),
        ("history", "f+{\"b\":2}"),
        ("user", "r"),
    ];
    check(Dialect::Gemini, &request, &expected);
    check(Dialect::Gemini, &json!({"contents": {"parts": {"text": "q"}}}), &[("user", "q")]);
}

#[test]
fn an_interactions_input_is_a_text_contents_steps_or_turns() {
    let check = |input: Value, expected: &[(&str, &str)]| {
        check(Dialect::GeminiInteractions, &json!({"input": input}), expected);
    };
    check(json!("q"), &[("user", "q")]);
    check(
        json!([{"type": "text", "text": "q"}, {"type": "image", "data": "eA=="}]),
        &[("user", "q"), ("user", "(media)")],
    );
    let turns = json!([says("user", "a"), says("model", "b"), says("user", "q")]);
    check(turns, &[("history", "a"), ("history", "b"), ("user", "q")]);
    let steps = json!([
        {"type": "user_input", "content": [{"type": "text", "text": "q"}]},
        {"type": "function_call", "name": "f", "arguments": {}},
        {"type": "function_result", "name": "f", "result": {"a": 1}},
    ]);
    check(steps, &[("user", "q"), ("history", "{}+f"), ("history", "f+{\"a\":1}")]);
}

#[test]
fn cohere_and_ollama_ask_with_a_message_or_a_prompt_beside_what_came_before() {
    let history = json!([{"role": "SYSTEM", "message": "t"}, {"role": "CHATBOT", "message": "h"}]);
    let request = json!({"preamble": "s", "chat_history": history, "message": "q", "documents": [{"a": "d"}]});
    let expected = [("system", "s"), ("history", "{\"a\":\"d\"}"), ("system", "t"), ("history", "h"), ("user", "q")];
    check(Dialect::CohereChatV1, &request, &expected);
    check(Dialect::Ollama, &json!({"system": "s", "prompt": "q"}), &[("system", "s"), ("user", "q")]);
    let call = json!({"role": "assistant", "tool_calls": [{"function": {"arguments": {"a": 1}, "name": "f"}}]});
    let chat = json!({"messages": [says("user", "q"), call]});
    check(Dialect::Ollama, &chat, &[("user", "q"), ("history", "{\"a\":1}+f")]);
}

#[test]
fn all_that_is_embedded_is_the_users() {
    let texts = [("user", "a"), ("user", "b")];
    check(Dialect::OpenaiEmbeddings, &json!({"input": ["a", "b"]}), &texts);
    check(Dialect::OpenaiEmbeddings, &json!({"input": [1, 2, 3]}), &[("user", "")]);
    check(Dialect::CohereRetrieval, &json!({"inputs": [{"content": [{"type": "text", "text": "a"}]}]}), &texts[..1]);
    check(Dialect::CohereRetrieval, &json!({"documents": ["b"], "query": "a"}), &[("user", "b"), ("user", "a")]);
    let part = |text: &str| json!({"content": {"parts": [{"text": text}]}});
    check(Dialect::GeminiEmbeddings, &json!({"requests": [part("a"), part("b")]}), &texts);
    check(Dialect::GeminiEmbeddings, &json!({"instances": [{"content": "a"}, {"content": "b"}]}), &texts);
}
