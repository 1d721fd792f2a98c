//! Anthropic Messages, the provider's side.
//!
//! Must not know: failures, how an answer is decided.

use serde_json::{Value, json};

use super::cache::{Lifetime, Segment};
use super::tokens::encode;
use super::wire::{Event, Written, pieces, text_of};
use super::{Dialect, Question};

/// Tokens that frame a message or a tool definition.
const FRAME: [u32; 4] = [u32::MAX; 4];

/// The shortest prefix that a model caches.
pub(super) fn cache_minimum(model: &str) -> u64 {
    if model.contains("opus") || model.contains("haiku") { 4096 } else { 1024 }
}

/// Reads a request body. The prompt is cached in the order tools, system, messages.
pub(super) fn read(body: &Value) -> Result<Question, String> {
    let model = body["model"].as_str().ok_or("model: Field required")?;
    let max_output = body["max_tokens"].as_u64().ok_or("max_tokens: Field required")?;
    let messages = body["messages"].as_array().ok_or("messages: Field required")?;
    let tools: Vec<&Value> = body["tools"].as_array().into_iter().flatten().collect();
    let mut prompt: Vec<Segment> = tools.iter().map(|tool| tool_segment(tool)).collect();
    prompt.extend(blocks(&body["system"]));
    let (mut tool_results, mut last_user_text) = (0, String::new());
    for message in messages {
        let role = message["role"].as_str().unwrap_or_default();
        let mut opening = FRAME.to_vec();
        opening.extend(encode(role));
        prompt.push(Segment { tokens: opening, breakpoint: None });
        prompt.extend(blocks(&message["content"]));
        let results = message["content"].as_array().into_iter().flatten().filter(|b| b["type"] == "tool_result");
        tool_results += results.count();
        let text = text_of(&message["content"]);
        if role == "user" && !text.trim().is_empty() {
            last_user_text = text;
        }
    }
    // What primes the answer is computed on every call, after any breakpoint.
    prompt.push(Segment { tokens: FRAME.to_vec(), breakpoint: None });
    Ok(Question {
        dialect: Dialect::Anthropic,
        model: model.to_owned(),
        stream: body["stream"].as_bool().unwrap_or(false),
        include_usage: true,
        max_output: Some(max_output),
        prompt,
        tools: tools.iter().filter_map(|tool| tool["name"].as_str()).map(str::to_owned).collect(),
        tool_results,
        last_user_text,
    })
}

fn tool_segment(tool: &Value) -> Segment {
    let part = |field: &str| tool[field].as_str().unwrap_or_default().to_owned();
    let mut tokens = FRAME.to_vec();
    tokens.extend(encode(&format!("{}\n{}\n{}", part("name"), part("description"), tool["input_schema"])));
    Segment { tokens, breakpoint: breakpoint(tool) }
}

fn blocks(content: &Value) -> Vec<Segment> {
    match content {
        Value::String(text) => vec![Segment { tokens: encode(text), breakpoint: None }],
        Value::Array(blocks) => blocks
            .iter()
            .map(|block| Segment { tokens: encode(&block_text(block)), breakpoint: breakpoint(block) })
            .collect(),
        _ => Vec::new(),
    }
}

fn block_text(block: &Value) -> String {
    match block["type"].as_str() {
        Some("tool_use") => format!("{} {}", block["name"].as_str().unwrap_or_default(), block["input"]),
        Some("tool_result") => text_of(&block["content"]),
        Some("thinking") => block["thinking"].as_str().unwrap_or_default().to_owned(),
        _ => block["text"].as_str().unwrap_or_default().to_owned(),
    }
}

fn breakpoint(block: &Value) -> Option<Lifetime> {
    let control = block["cache_control"].as_object()?;
    let hour = control.get("ttl").and_then(Value::as_str) == Some("1h");
    Some(if hour { Lifetime::Hour1 } else { Lifetime::Minutes5 })
}

/// Everything the provider states about input, and `output` for output.
fn usage(written: &Written<'_>, output: u64) -> Value {
    let truth = written.truth;
    json!({
        "input_tokens": truth.input_uncached,
        "cache_creation_input_tokens": truth.cache_write_5m + truth.cache_write_1h,
        "cache_read_input_tokens": truth.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": truth.cache_write_5m,
            "ephemeral_1h_input_tokens": truth.cache_write_1h
        },
        "output_tokens": output,
        "service_tier": "standard",
        "inference_geo": "not_available"
    })
}

/// The usage of `message_delta`: cumulative, without the split by lifetime.
fn final_usage(written: &Written<'_>) -> Value {
    let truth = written.truth;
    let mut usage = json!({
        "input_tokens": truth.input_uncached,
        "cache_creation_input_tokens": truth.cache_write_5m + truth.cache_write_1h,
        "cache_read_input_tokens": truth.cache_read,
        "output_tokens": truth.output_total()
    });
    if truth.reasoning > 0 {
        usage["output_tokens_details"] = json!({"thinking_tokens": truth.reasoning});
    }
    usage
}

fn stop_reason(written: &Written<'_>) -> &'static str {
    match (written.stopped_by_cap, &written.answer.tool_call) {
        (true, _) => "max_tokens",
        (false, Some(_)) => "tool_use",
        (false, None) => "end_turn",
    }
}

fn content(written: &Written<'_>) -> Vec<Value> {
    let answer = written.answer;
    let mut blocks = Vec::new();
    if answer.reasoning_tokens > 0 {
        blocks.push(json!({"type": "thinking", "thinking": "", "signature": "c3RhbmRpbg=="}));
    }
    if !answer.text.is_empty() {
        blocks.push(json!({"type": "text", "text": answer.text}));
    }
    if let Some(call) = &answer.tool_call {
        blocks.push(json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}));
    }
    blocks
}

fn message(written: &Written<'_>, content: &[Value], stop: Value, usage: Value) -> Value {
    json!({
        "model": written.question.model,
        "id": format!("msg_standin{}", written.id),
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": null,
        "usage": usage
    })
}

/// The answer as one JSON body.
pub(super) fn whole(written: &Written<'_>) -> Value {
    let mut usage = usage(written, written.truth.output_total());
    if written.truth.reasoning > 0 {
        usage["output_tokens_details"] = json!({"thinking_tokens": written.truth.reasoning});
    }
    message(written, &content(written), json!(stop_reason(written)), usage)
}

/// The answer as a stream.
pub(super) fn stream(written: &Written<'_>) -> Vec<Event> {
    let start = message(written, &[], Value::Null, usage(written, 1));
    let mut data = vec![json!({"type": "message_start", "message": start})];
    for (index, block) in content(written).iter().enumerate() {
        let mut empty = block.clone();
        let deltas: Vec<Value> = match block["type"].as_str() {
            Some("text") => {
                empty["text"] = json!("");
                let text = block["text"].as_str().unwrap_or_default();
                pieces(text).into_iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect()
            }
            Some("tool_use") => {
                empty["input"] = json!({});
                pieces(&block["input"].to_string())
                    .into_iter()
                    .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
                    .collect()
            }
            _ => {
                empty["signature"] = json!("");
                vec![json!({"type": "signature_delta", "signature": block["signature"]})]
            }
        };
        data.push(json!({"type": "content_block_start", "index": index, "content_block": empty}));
        if index == 0 {
            data.push(json!({"type": "ping"}));
        }
        data.extend(
            deltas.into_iter().map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        );
        data.push(json!({"type": "content_block_stop", "index": index}));
    }
    data.push(json!({
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason(written), "stop_sequence": null},
        "usage": final_usage(written)
    }));
    data.push(json!({"type": "message_stop"}));
    data.iter().map(Event::typed).collect()
}
