//! A small call in each dialect, as an application would send it.
//!
//! Must not know: gateways, the filter.

use serde_json::{Value, json};
use tollgate_host::standin::Dialect;

pub fn small_call(dialect: Dialect, stream: bool) -> Value {
    let question = "How many legs do three spiders and a stool have?";
    let messages = json!([{"role": "user", "content": question}]);
    match dialect {
        Dialect::OpenAiChat => {
            let mut body = json!({"model": "gpt-4.1-mini", "messages": messages, "stream": stream});
            if stream {
                body["stream_options"] = json!({"include_usage": true});
            }
            body
        }
        Dialect::OpenAiResponses => json!({"model": "gpt-5-mini", "input": question, "stream": stream}),
        Dialect::Anthropic => {
            json!({"model": "claude-sonnet-5-5", "max_tokens": 200, "messages": messages, "stream": stream})
        }
    }
}
