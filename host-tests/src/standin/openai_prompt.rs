//! How OpenAI turns messages and tools into tokens, as far as it can be observed from the outside.
//!
//! Every message costs three tokens beside its role and content, an answer is primed with three more (two for newer models), and
//! tools are shown to the model as TypeScript after the system message. Must not know: Chat's or Responses' field names.

use serde_json::Value;

use super::cache::Segment;
use super::tokens::encode;

/// Stands for a control token (they have no text); its value only has to differ from every text token.
const CONTROL: u32 = u32::MAX;

/// One offered tool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tool<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// What it does.
    pub(super) description: &'a str,
    /// The JSON Schema of its arguments.
    pub(super) parameters: &'a Value,
}

/// Puts a prompt together: system messages, tools, the other messages, priming. `tools_constant` is what the endpoint adds once
/// when there are tools, beside their text.
pub(super) fn prompt(
    model: &str,
    messages: &[(String, String)],
    tools: &[Tool<'_>],
    tools_constant: usize,
) -> Vec<Segment> {
    let is_system = |role: &str| matches!(role, "system" | "developer");
    let leading = messages.iter().take_while(|(role, _)| is_system(role)).count();
    let (system, rest) = messages.split_at(leading);
    let mut prompt: Vec<Segment> = system.iter().map(|(role, text)| message(role, text)).collect();
    if !tools.is_empty() {
        prompt.push(tool_block(tools, !system.is_empty(), tools_constant));
    }
    prompt.extend(rest.iter().map(|(role, text)| message(role, text)));
    let priming = if is_newer(model) { 2 } else { 3 };
    prompt.push(Segment { tokens: vec![CONTROL; priming], breakpoint: None });
    prompt
}

fn is_newer(model: &str) -> bool {
    ["gpt-5", "gpt-6", "o3-mini", "o4-mini"].iter().any(|family| model.starts_with(family))
}

fn message(role: &str, text: &str) -> Segment {
    let mut tokens = vec![CONTROL; 3];
    tokens.extend(encode(role));
    tokens.extend(encode(text));
    Segment { tokens, breakpoint: None }
}

fn tool_block(tools: &[Tool<'_>], after_system: bool, constant: usize) -> Segment {
    let mut text = String::from("namespace functions {\n\n");
    for tool in tools {
        for line in tool.description.lines() {
            text.push_str(&format!("// {line}\n"));
        }
        text.push_str(&format!("type {} = (_: {}) => any;\n\n", tool.name, type_script(tool.parameters)));
    }
    text.push_str("} // namespace functions");
    let mut tokens = encode(&text);
    let overhead = 9 - if after_system { 4 } else { 0 } + constant;
    tokens.extend(vec![CONTROL; overhead]);
    Segment { tokens, breakpoint: None }
}

/// A JSON Schema as the TypeScript type that the model sees.
fn type_script(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    match schema["type"].as_str() {
        Some("object") => {
            let required: Vec<&str> =
                schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let mut text = String::from("{\n");
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(description) = property["description"].as_str() {
                    text.push_str(&format!("// {description}\n"));
                }
                let optional = if required.contains(&name.as_str()) { "" } else { "?" };
                text.push_str(&format!("{name}{optional}: {},\n", type_script(property)));
            }
            text.push('}');
            text
        }
        Some("array") => format!("{}[]", type_script(&schema["items"])),
        Some("integer" | "number") => "number".to_owned(),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

/// The dated name under which OpenAI answers a request for an undated model.
pub(super) fn dated(model: &str) -> String {
    let date = match model {
        "gpt-4.1" | "gpt-4.1-mini" | "gpt-4.1-nano" => "-2025-04-14",
        "gpt-4o" => "-2024-08-06",
        "gpt-4o-mini" => "-2024-07-18",
        "gpt-5" | "gpt-5-mini" | "gpt-5-nano" => "-2025-08-07",
        _ => "",
    };
    format!("{model}{date}")
}
