//! Prompts of any size as agents send them: instructions, tools, a conversation with tool calls and their results.
//!
//! Invariants: the same size gives the same bytes; no sentence occurs twice in a prompt.

use serde_json::{Value, json};

/// Prose of at least this many bytes; `seed` tells texts apart.
pub fn prose(seed: usize, bytes: usize) -> String {
    const SUBJECTS: [&str; 6] =
        ["The warehouse", "A carrier", "Our planner", "This dashboard", "The nightly job", "Somebody upstream"];
    const VERBS: [&str; 5] = ["reports", "expects", "rejects", "re-sends", "summarises"];
    const OBJECTS: [&str; 7] = [
        "late parcels from the northern zone",
        "returns above the agreed weight",
        "margins per product family",
        "duplicate invoices, which are rare",
        "the forecast for next quarter",
        "customers without an address",
        "stock that nobody has ordered",
    ];
    let mut text = String::new();
    let mut number = seed * 31;
    while text.len() < bytes {
        number += 1;
        let [subject, verb, object] = [
            SUBJECTS[number % SUBJECTS.len()],
            VERBS[(number / 2) % VERBS.len()],
            OBJECTS[(number / 3) % OBJECTS.len()],
        ];
        text.push_str(&format!("{subject} {verb} {object}; see row {number} of sheet {}. ", number % 17));
    }
    text
}

/// The definition of a tool; each number gives another.
pub fn tool(number: usize) -> Value {
    json!({"type": "function", "function": {
        "name": format!("query_table_{number}"),
        "description": prose(1_000 + number, 220),
        "parameters": {"type": "object", "additionalProperties": false, "required": ["columns", "limit"], "properties": {
            "columns": {"type": "array", "items": {"type": "string"}, "description": "Which columns to return, by name."},
            "filter": {"type": "string", "description": format!("A condition in SQL on table {number}, without WHERE.")},
            "order": {"type": "string", "enum": ["ascending", "descending"]},
            "limit": {"type": "integer", "description": "The most rows to return, at most 500."}
        }}
    }})
}

/// One step of an agent: it calls a tool, is given rows, and says what it makes of them.
fn step(number: usize) -> [Value; 3] {
    let id = format!("call_{number:06}");
    let arguments =
        json!({"columns": ["zone", "parcels", "margin"], "filter": format!("week = {number}"), "limit": 20});
    let rows: Vec<Value> = (0..8)
        .map(|row| json!({"zone": format!("zone-{}", (number + row) % 9), "parcels": 40 + number * 7 + row, "margin": 0.31}))
        .collect();
    [
        json!({"role": "assistant", "content": null, "tool_calls": [{"id": id, "type": "function",
            "function": {"name": format!("query_table_{}", number % 5), "arguments": arguments.to_string()}}]}),
        json!({"role": "tool", "tool_call_id": id, "content": json!({"rows": rows}).to_string()}),
        json!({"role": "assistant", "content": prose(number, 900)}),
    ]
}

/// A request to OpenAI's Chat Completions of about this many bytes, cut where its tail goes, in the user's last message.
pub fn request(bytes: usize, stream: bool) -> (Vec<u8>, Vec<u8>) {
    const TAIL: &str = "<tail>";
    let tools: Vec<Value> = (0..(bytes / 4_000).clamp(1, 16)).map(tool).collect();
    let mut messages = vec![json!({"role": "system", "content": prose(0, (bytes / 6).min(8_000))})];
    let question = json!({"role": "user", "content": format!("What changed since last week? Ticket {TAIL}.")});
    let whole = |messages: &[Value]| {
        let mut body = json!({"model": "gpt-4.1-mini", "messages": messages, "tools": tools, "max_tokens": 800});
        if stream {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": true});
        }
        body.to_string()
    };
    let mut number = 0;
    while whole(&messages).len() + 300 < bytes {
        number += 1;
        let missing = bytes - whole(&messages).len();
        match step(number) {
            steps if missing > 3_000 => messages.extend(steps),
            _ => messages.push(json!({"role": "user", "content": prose(number, missing.saturating_sub(300))})),
        }
    }
    messages.push(question);
    let body = whole(&messages);
    let (before, after) = body.split_once(TAIL).expect("a place for the tail");
    (before.into(), after.into())
}

/// A whole answer of about 2 KB.
pub fn answer() -> Vec<u8> {
    let message = json!({"role": "assistant", "content": prose(7, 1_700), "refusal": null, "annotations": []});
    let usage = json!({"prompt_tokens": 12_480, "completion_tokens": 412, "total_tokens": 12_892,
        "prompt_tokens_details": {"cached_tokens": 11_264, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0}});
    let body = json!({"id": "chatcmpl-C1x", "object": "chat.completion", "created": 1_760_000_000,
        "model": "gpt-4.1-mini-2025-04-14", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage, "service_tier": "default", "system_fingerprint": "fp_1a2b3c"});
    body.to_string().into_bytes()
}

/// A streamed answer: 300 events, 104 KB, the last but one with usage.
pub fn stream() -> Vec<Vec<u8>> {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({"id": "chatcmpl-C1x", "object": "chat.completion.chunk", "created": 1_760_000_000,
            "model": "gpt-4.1-mini-2025-04-14", "service_tier": "default", "system_fingerprint": "fp_1a2b3c",
            "choices": choices, "usage": usage});
        format!("data: {chunk}\n\n").into_bytes()
    };
    let delta = |text: &str, end: Value| json!([{"index": 0, "delta": {"content": text}, "logprobs": null, "finish_reason": end}]);
    let text = prose(3, 298 * 80);
    let mut events: Vec<Vec<u8>> = (0..298)
        .map(|number| {
            let piece = text.get(number * 80..(number + 1) * 80).expect("ASCII");
            chunk(delta(piece, if number == 297 { json!("stop") } else { Value::Null }), Value::Null)
        })
        .collect();
    let usage = json!({"prompt_tokens": 480, "completion_tokens": 5_100, "total_tokens": 5_580,
        "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}});
    events.push(chunk(json!([]), usage));
    events.push(b"data: [DONE]\n\n".to_vec());
    events
}
