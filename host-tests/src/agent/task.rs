//! The agent's task on the wire: fifteen requests, each with everything that came before it.
//!
//! The history is taken from the plan (which is also what the stand-in answers), so no response has to be parsed.
//! Must not know: gateways, prices.

use serde_json::{Value, json};

use super::client::{self, ClientError, Sent};
use super::{Labels, plan};
use crate::standin::Dialect;

/// One run of the agent.
#[derive(Clone, Debug)]
pub struct Task {
    /// The wire format.
    pub dialect: Dialect,
    /// The model.
    pub model: String,
    /// Whether answers are streamed.
    pub stream: bool,
    /// Anthropic only: whether the agent marks its prompt for caching.
    pub caching: bool,
    /// Whom it belongs to.
    pub labels: Labels,
}

impl Task {
    /// The demo's task: on Anthropic, streamed, with caching, on one session and task id.
    #[must_use]
    pub fn demo() -> Self {
        Self {
            dialect: Dialect::Anthropic,
            model: "claude-sonnet-5-5".to_owned(),
            stream: true,
            caching: true,
            labels: Labels::app("ledgerline", "finance")
                .with("user", "m.okafor")
                .with("agent", "data-analyst")
                .with("session", "session-2026-11-19")
                .with("task", TASK_ID)
                .with("task-type", "margin-analysis"),
        }
    }

    /// Sends every step in order.
    ///
    /// # Errors
    /// When a call gets no answer.
    pub fn run(&self, base_url: &str) -> Result<Vec<Sent>, ClientError> {
        let url = format!("{base_url}{}", self.dialect.path());
        (0..plan::length()).map(|step| client::post(&url, self.labels.headers(), &self.request(step))).collect()
    }

    /// The request of one step; step 0 is the first.
    #[must_use]
    pub fn request(&self, step: usize) -> Value {
        let done = plan::steps().into_iter().take(step).collect::<Vec<_>>();
        match self.dialect {
            Dialect::OpenAiChat => self.chat(&done),
            Dialect::OpenAiResponses => self.responses(&done),
            Dialect::Anthropic => self.anthropic(&done),
        }
    }

    fn chat(&self, done: &[plan::Step]) -> Value {
        let mut messages = vec![json!({"role": "system", "content": plan::SYSTEM})];
        for (user, assistant) in plan::examples() {
            messages.push(json!({"role": "user", "content": user}));
            messages.push(json!({"role": "assistant", "content": assistant}));
        }
        messages.push(json!({"role": "user", "content": plan::QUESTION}));
        for step in done {
            let function = json!({"name": step.call.name, "arguments": step.call.arguments.to_string()});
            let calls = json!([{"id": step.call.id, "type": "function", "function": function}]);
            messages.push(json!({"role": "assistant", "content": step.thought, "tool_calls": calls}));
            messages.push(json!({"role": "tool", "tool_call_id": step.call.id, "content": step.result}));
        }
        let tools: Vec<Value> =
            plan::tools().into_iter().map(|tool| json!({"type": "function", "function": tool})).collect();
        let mut body = json!({
            "model": self.model, "messages": messages, "tools": tools, "max_completion_tokens": 1500,
            "stream": self.stream
        });
        if self.stream {
            body["stream_options"] = json!({"include_usage": true});
        }
        body
    }

    fn responses(&self, done: &[plan::Step]) -> Value {
        let mut input = Vec::new();
        for (user, assistant) in plan::examples() {
            input.push(json!({"role": "user", "content": user}));
            input.push(json!({"role": "assistant", "content": assistant}));
        }
        input.push(json!({"role": "user", "content": plan::QUESTION}));
        for step in done {
            input.push(json!({"role": "assistant", "content": step.thought}));
            input.push(json!({
                "type": "function_call", "call_id": step.call.id, "name": step.call.name,
                "arguments": step.call.arguments.to_string()
            }));
            input.push(json!({"type": "function_call_output", "call_id": step.call.id, "output": step.result}));
        }
        let tools: Vec<Value> = plan::tools()
            .into_iter()
            .map(|mut tool| {
                tool["type"] = json!("function");
                tool
            })
            .collect();
        json!({
            "model": self.model, "instructions": plan::SYSTEM, "input": input, "tools": tools,
            "max_output_tokens": 1500, "stream": self.stream
        })
    }

    fn anthropic(&self, done: &[plan::Step]) -> Value {
        let mark = |block: &mut Value| {
            if self.caching {
                block["cache_control"] = json!({"type": "ephemeral"});
            }
        };
        let mut system = json!({"type": "text", "text": plan::SYSTEM});
        mark(&mut system);
        let mut messages = Vec::new();
        for (user, assistant) in plan::examples() {
            messages.push(json!({"role": "user", "content": user}));
            messages.push(json!({"role": "assistant", "content": assistant}));
        }
        messages.push(json!({"role": "user", "content": [{"type": "text", "text": plan::QUESTION}]}));
        for step in done {
            let call = &step.call;
            messages.push(json!({"role": "assistant", "content": [
                {"type": "text", "text": step.thought},
                {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
            ]}));
            messages.push(json!({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": call.id, "content": step.result}
            ]}));
        }
        // The end of the conversation is marked too: the next step reads everything up to here.
        if let Some(last) = messages.last_mut().and_then(|message| message.pointer_mut("/content/0")) {
            mark(last);
        }
        let tools: Vec<Value> = plan::tools()
            .into_iter()
            .map(|tool| {
                json!({"name": tool["name"], "description": tool["description"], "input_schema": tool["parameters"]})
            })
            .collect();
        json!({
            "model": self.model, "max_tokens": 1500, "system": [system], "messages": messages, "tools": tools,
            "stream": self.stream
        })
    }
}

/// The id that all steps of the demo's task carry.
pub const TASK_ID: &str = "task-0417-footwear-margin";
