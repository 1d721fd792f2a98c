//! OpenAI Responses, the provider's side.
//!
//! Must not know: failures, caching, how an answer is decided.

use serde_json::{Value, json};

use super::openai_prompt::{self, Tool};
use super::wire::{CREATED, Event, Written, pieces, text_of};
use super::{Dialect, Question};

/// Reads a request body.
pub(super) fn read(body: &Value) -> Result<Question, String> {
    let model = body["model"].as_str().ok_or("Missing required parameter: 'model'.")?;
    let mut texts = Vec::new();
    if let Some(instructions) = body["instructions"].as_str() {
        texts.push(("system".to_owned(), instructions.to_owned()));
    }
    match &body["input"] {
        Value::String(text) => texts.push(("user".to_owned(), text.clone())),
        Value::Array(items) => texts.extend(items.iter().map(item_text)),
        _ => return Err("Missing required parameter: 'input'.".to_owned()),
    }
    let tools: Vec<Tool<'_>> = body["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|tool| tool["type"] == "function")
        .map(|tool| Tool {
            name: tool["name"].as_str().unwrap_or_default(),
            description: tool["description"].as_str().unwrap_or_default(),
            parameters: &tool["parameters"],
        })
        .collect();
    Ok(Question {
        dialect: Dialect::OpenAiResponses,
        model: model.to_owned(),
        stream: body["stream"].as_bool().unwrap_or(false),
        include_usage: true,
        max_output: body["max_output_tokens"].as_u64(),
        prompt: openai_prompt::prompt(model, &texts, &tools, 0),
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

fn item_text(item: &Value) -> (String, String) {
    let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
    match item["type"].as_str() {
        Some("function_call") => ("assistant".to_owned(), format!("{} {}", text("name"), text("arguments"))),
        Some("function_call_output") => ("tool".to_owned(), text_of(&item["output"])),
        _ => (item["role"].as_str().unwrap_or("user").to_owned(), text_of(&item["content"])),
    }
}

/// The output items of the finished answer.
fn output(written: &Written<'_>) -> Vec<Value> {
    let (answer, id) = (written.answer, written.id);
    let mut items = Vec::new();
    if answer.reasoning_tokens > 0 {
        items.push(json!({"id": format!("rs_standin{id}"), "type": "reasoning", "summary": []}));
    }
    if !answer.text.is_empty() {
        let content = json!([
            {"type": "output_text", "annotations": [], "logprobs": [], "text": answer.text}
        ]);
        items.push(json!({
            "id": format!("msg_standin{id}"),
            "type": "message",
            "status": "completed",
            "content": content,
            "role": "assistant"
        }));
    }
    if let Some(call) = &answer.tool_call {
        items.push(json!({
            "id": format!("fc_standin{id}"),
            "type": "function_call",
            "status": "completed",
            "arguments": call.arguments.to_string(),
            "call_id": call.id,
            "name": call.name
        }));
    }
    items
}

/// The response object: finished (with usage and the billed tier), or as in the early events.
fn response(written: &Written<'_>, finished: bool) -> Value {
    let truth = written.truth;
    let status = match (finished, written.stopped_by_cap) {
        (false, _) => "in_progress",
        (true, true) => "incomplete",
        (true, false) => "completed",
    };
    let usage = json!({
        "input_tokens": truth.input_total(),
        "input_tokens_details": {"cached_tokens": truth.cache_read},
        "output_tokens": truth.output_total(),
        "output_tokens_details": {"reasoning_tokens": truth.reasoning},
        "total_tokens": truth.input_total() + truth.output_total()
    });
    let incomplete = json!({"reason": "max_output_tokens"});
    json!({
        "id": format!("resp_standin{}", written.id),
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": false,
        "completed_at": if finished { json!(CREATED + 1) } else { Value::Null },
        "error": null,
        "incomplete_details": if status == "incomplete" { incomplete } else { Value::Null },
        "instructions": null,
        "frequency_penalty": 0.0,
        "max_output_tokens": written.question.max_output,
        "max_tool_calls": null,
        "model": openai_prompt::dated(&written.question.model),
        "output": if finished { output(written) } else { Vec::new() },
        "parallel_tool_calls": true,
        "presence_penalty": 0.0,
        "previous_response_id": null,
        "prompt_cache_key": null,
        "reasoning": {"effort": null, "summary": null},
        "safety_identifier": null,
        "service_tier": if finished { "default" } else { "auto" },
        "store": true,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": if finished { usage } else { Value::Null },
        "user": null,
        "metadata": {}
    })
}

/// The answer as one JSON body.
pub(super) fn whole(written: &Written<'_>) -> Value {
    response(written, true)
}

/// The answer as a stream.
pub(super) fn stream(written: &Written<'_>) -> Vec<Event> {
    let mut data = vec![
        json!({"type": "response.created", "response": response(written, false)}),
        json!({"type": "response.in_progress", "response": response(written, false)}),
    ];
    for (index, item) in output(written).into_iter().enumerate() {
        data.extend(item_events(index, &item, written));
    }
    let last = if written.stopped_by_cap { "response.incomplete" } else { "response.completed" };
    data.push(json!({"type": last, "response": response(written, true)}));
    for (number, event) in data.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    data.iter().map(Event::typed).collect()
}

fn item_events(index: usize, item: &Value, written: &Written<'_>) -> Vec<Value> {
    let id = &item["id"];
    let mut begun = item.clone();
    let mut middle = Vec::new();
    match item["type"].as_str() {
        Some("message") => {
            begun["status"] = json!("in_progress");
            begun["content"] = json!([]);
            let at = |event: &str, field: &str, value: Value| {
                let mut data = json!({
                    "type": event, "item_id": id, "output_index": index, "content_index": 0
                });
                data[field] = value;
                if event.starts_with("response.output_text") {
                    data["logprobs"] = json!([]);
                }
                data
            };
            let part = |text: &str| json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text});
            middle.push(at("response.content_part.added", "part", part("")));
            for piece in pieces(&written.answer.text) {
                middle.push(at("response.output_text.delta", "delta", json!(piece)));
            }
            middle.push(at("response.output_text.done", "text", json!(written.answer.text)));
            middle.push(at("response.content_part.done", "part", part(&written.answer.text)));
        }
        Some("function_call") => {
            begun["status"] = json!("in_progress");
            begun["arguments"] = json!("");
            let arguments = item["arguments"].as_str().unwrap_or_default();
            for piece in pieces(arguments) {
                middle.push(json!({
                    "type": "response.function_call_arguments.delta",
                    "item_id": id, "output_index": index, "delta": piece
                }));
            }
            middle.push(json!({
                "type": "response.function_call_arguments.done",
                "item_id": id, "output_index": index, "arguments": arguments
            }));
        }
        _ => {}
    }
    let mut events = vec![json!({"type": "response.output_item.added", "output_index": index, "item": begun})];
    events.append(&mut middle);
    events.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    events
}
