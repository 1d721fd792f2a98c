//! OpenAI Chat Completions, the provider's side.
//!
//! Must not know: failures, caching, how an answer is decided.

use serde_json::{Map, Value, json};

use super::openai_prompt::{self, Tool};
use super::wire::{CREATED, Event, Written, pieces, text_of};
use super::{Dialect, Question};

/// Reads a request body.
pub(super) fn read(body: &Value) -> Result<Question, String> {
    let model = body["model"].as_str().ok_or("you must provide a model parameter")?;
    let messages = body["messages"].as_array().ok_or("Missing required parameter: 'messages'.")?;
    let role = |message: &Value| message["role"].as_str().unwrap_or("user").to_owned();
    let texts: Vec<(String, String)> = messages.iter().map(|message| (role(message), message_text(message))).collect();
    let tools: Vec<Tool<'_>> = body["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|tool| &tool["function"])
        .map(|function| Tool {
            name: function["name"].as_str().unwrap_or_default(),
            description: function["description"].as_str().unwrap_or_default(),
            parameters: &function["parameters"],
        })
        .collect();
    // Measured on this endpoint only; Responses does not add it.
    let tools_constant = if model.starts_with("gpt-5") { 82 } else { 0 };
    Ok(Question {
        dialect: Dialect::OpenAiChat,
        model: model.to_owned(),
        stream: body["stream"].as_bool().unwrap_or(false),
        include_usage: body["stream_options"]["include_usage"].as_bool().unwrap_or(false),
        max_output: body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64()),
        prompt: openai_prompt::prompt(model, &texts, &tools, tools_constant),
        tools: tools.iter().map(|tool| tool.name.to_owned()).collect(),
        tool_results: texts.iter().filter(|(role, _)| role == "tool").count(),
        last_user_text: texts
            .iter()
            .rev()
            .find(|(role, _)| role == "user")
            .map(|(_, text)| text.clone())
            .unwrap_or_default(),
    })
}

/// The text of a message, tool calls included: their names and arguments are prompt too.
fn message_text(message: &Value) -> String {
    let mut text = text_of(&message["content"]);
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let function = &call["function"];
        text.push_str(&format!(
            " {} {}",
            function["name"].as_str().unwrap_or_default(),
            function["arguments"].as_str().unwrap_or_default()
        ));
    }
    text
}

fn usage(written: &Written<'_>) -> Value {
    let (truth, input, output) = (written.truth, written.truth.input_total(), written.truth.output_total());
    json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": truth.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": truth.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0
        }
    })
}

fn finish_reason(written: &Written<'_>) -> &'static str {
    match (written.stopped_by_cap, &written.answer.tool_call) {
        (true, _) => "length",
        (false, Some(_)) => "tool_calls",
        (false, None) => "stop",
    }
}

/// The answer as one JSON body.
pub(super) fn whole(written: &Written<'_>) -> Value {
    let text = &written.answer.text;
    let mut message = Map::new();
    message.insert("role".to_owned(), json!("assistant"));
    message.insert("content".to_owned(), if text.is_empty() { Value::Null } else { json!(text) });
    if let Some(call) = &written.answer.tool_call {
        let function = json!({"name": call.name, "arguments": call.arguments.to_string()});
        message.insert("tool_calls".to_owned(), json!([{"id": call.id, "type": "function", "function": function}]));
    }
    message.insert("refusal".to_owned(), Value::Null);
    message.insert("annotations".to_owned(), json!([]));
    json!({
        "id": format!("chatcmpl-standin{}", written.id),
        "object": "chat.completion",
        "created": CREATED,
        "model": openai_prompt::dated(&written.question.model),
        "choices": [
            {"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(written)}
        ],
        "usage": usage(written),
        "service_tier": "default",
        "system_fingerprint": "fp_standin"
    })
}

/// The answer as a stream.
pub(super) fn stream(written: &Written<'_>) -> Vec<Event> {
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk = json!({
            "id": format!("chatcmpl-standin{}", written.id),
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": openai_prompt::dated(&written.question.model),
            "service_tier": "default",
            "system_fingerprint": "fp_standin",
            "choices": choices
        });
        // Asked for usage, every chunk has the field; only the last one a value.
        if written.question.include_usage {
            chunk["usage"] = usage.unwrap_or(Value::Null);
        }
        Event::unnamed(&chunk)
    };
    let delta =
        |delta: Value| chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": null}]), None);
    let mut events = vec![delta(json!({"role": "assistant", "content": "", "refusal": null}))];
    events.extend(pieces(&written.answer.text).into_iter().map(|piece| delta(json!({"content": piece}))));
    if let Some(call) = &written.answer.tool_call {
        let function = json!({"name": call.name, "arguments": ""});
        let opening = json!([{"index": 0, "id": call.id, "type": "function", "function": function}]);
        events.push(delta(json!({"tool_calls": opening})));
        for piece in pieces(&call.arguments.to_string()) {
            events.push(delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})));
        }
    }
    let finish = json!([{"index": 0, "delta": {}, "logprobs": null, "finish_reason": finish_reason(written)}]);
    events.push(chunk(finish, None));
    if written.question.include_usage {
        events.push(chunk(json!([]), Some(usage(written))));
    }
    events.push(Event { name: None, data: "[DONE]".to_owned() });
    events
}
