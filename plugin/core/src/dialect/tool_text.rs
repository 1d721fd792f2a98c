//! OpenAI's tools as its models read them: TypeScript in a namespace, which is shorter than the JSON that declares it.
//!
//! Nobody published the format; it was read off models and checked against reported counts, so a prompt with tools is
//! never called exact.
//! Invariants: nesting is followed [`NESTING_MAX`] deep; what is no declaration of a function stays the JSON it is.
//! Must not know: tokens, models.

use super::object::{items, member, members, string};
use crate::frame::raw::Raw;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Whether a tool is declared by the caller; one of the provider's own brings instructions that nobody sees.
pub(super) fn is_declared(tool: Raw<'_>) -> bool {
    const SCHEMAS: [&str; 8] = [
        "function",
        "toolSpec",
        "parameters",
        "parametersJsonSchema",
        "parameter_definitions",
        "input_schema",
        "inputSchema",
        "schema",
    ];
    let mut is_declared = false;
    members(tool.get(), |key, _| is_declared |= SCHEMAS.contains(&&*key) || key == "description");
    is_declared
}

/// What stands around all of them.
pub(super) const NAMESPACE: &str = "namespace functions {\n\n} // namespace functions";

/// Schemas nest in practice four deep; descriptions are shown two deep.
const NESTING_MAX: usize = 8;

/// The text of a declaration, as Chat Completions (`function` inside) and Responses write it.
pub(super) fn render(tool: Raw<'_>) -> Cow<'_, str> {
    let function = member(tool.get(), "function").unwrap_or(tool);
    let (mut name, mut description, mut parameters) = (None, None, None);
    members(function.get(), |key, value| match &*key {
        "name" => name = string(value),
        "description" => description = string(value),
        "parameters" => parameters = Some(value),
        _ => {}
    });
    // A tool of the provider's own.
    let Some(name) = name else { return Cow::Borrowed(tool.get()) };
    let mut text = String::with_capacity(function.get().len());
    comment(description.as_deref(), 0, &mut text);
    text.push_str("type ");
    text.push_str(&name);
    let fields = parameters.map(|schema| fields(schema, 0)).unwrap_or_default();
    if fields.is_empty() {
        text.push_str(" = () => any;\n\n");
    } else {
        text.push_str(" = (_: {\n");
        text.push_str(&fields);
        text.push_str("}) => any;\n\n");
    }
    Cow::Owned(text)
}

fn comment(description: Option<&str>, indent: usize, text: &mut String) {
    for line in description.into_iter().flat_map(str::lines) {
        text.extend(std::iter::repeat_n(' ', indent));
        text.push_str("// ");
        text.push_str(line);
        text.push('\n');
    }
}

/// The properties of an object's schema, a line each.
fn fields(schema: Raw<'_>, nesting: usize) -> String {
    let mut required: BTreeSet<Cow<'_, str>> = BTreeSet::new();
    if let Some(names) = member(schema.get(), "required") {
        items(names.get(), |name| required.extend(string(name)));
    }
    let mut text = String::new();
    let Some(properties) = member(schema.get(), "properties") else { return text };
    members(properties.get(), |name, property| {
        if nesting < 2 {
            comment(member(property.get(), "description").and_then(string).as_deref(), nesting, &mut text);
        }
        text.push_str(&name);
        text.push_str(if required.contains(&name) { ": " } else { "?: " });
        push_type(property, nesting, &mut text);
        text.push_str(",\n");
    });
    text
}

fn push_type(schema: Raw<'_>, nesting: usize, text: &mut String) {
    if nesting >= NESTING_MAX {
        return text.push_str("any");
    }
    let (mut kind, mut values, mut item, mut choices) = (None, None, None, None);
    members(schema.get(), |key, value| match &*key {
        "type" => kind = Some(value),
        "enum" => values = Some(value),
        "items" => item = Some(value),
        "anyOf" | "oneOf" => choices = Some(value),
        _ => {}
    });
    if let Some(values) = values {
        return push_choices(values, text, |value, text| text.push_str(value.get()));
    }
    if let Some(choices) = choices {
        return push_choices(choices, text, |choice, text| push_type(choice, nesting.saturating_add(1), text));
    }
    let Some(kind) = kind else { return text.push_str("any") };
    match string(kind).as_deref() {
        Some("object") => {
            let fields = fields(schema, nesting.saturating_add(1));
            if fields.is_empty() {
                return text.push_str("object");
            }
            text.push_str("{\n");
            text.push_str(&fields);
            text.push('}');
        }
        Some("array") => {
            match item {
                Some(item) => push_type(item, nesting.saturating_add(1), text),
                None => text.push_str("any"),
            }
            text.push_str("[]");
        }
        Some("integer") => text.push_str("number"),
        Some(name) => text.push_str(name),
        // Several types at once.
        None => push_choices(kind, text, |name, text| text.push_str(string(name).as_deref().unwrap_or("any"))),
    }
}

fn push_choices(list: Raw<'_>, text: &mut String, mut push: impl FnMut(Raw<'_>, &mut String)) {
    let mut is_first = true;
    items(list.get(), |choice| {
        if !std::mem::replace(&mut is_first, false) {
            text.push_str(" | ");
        }
        push(choice, text);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tool: &str, text: &str) {
        let tool = Raw::of(tool).expect("JSON");
        assert_eq!(render(tool), text);
    }

    #[test]
    fn a_function_is_a_type_with_its_descriptions_as_comments() {
        check(
            r#"{"type":"function","function":{"name":"weather","description":"Get weather","parameters":{
                "type":"object","required":["city"],"properties":{
                "city":{"type":"string","description":"The city"},
                "unit":{"enum":["c","f"],"type":"string"},
                "days":{"type":"array","items":{"type":"integer"}},
                "at":{"anyOf":[{"type":"string"},{"type":"null"}]},
                "place":{"type":"object","properties":{"x":{"type":["number","null"]}}},
                "more":{}}}}}"#,
            "// Get weather\ntype weather = (_: {\n// The city\ncity: string,\nunit?: \"c\" | \"f\",\ndays?: number[],\n\
             at?: string | null,\nplace?: {\nx?: number | null,\n},\nmore?: any,\n}) => any;\n\n",
        );
    }

    #[test]
    fn a_function_without_parameters_takes_none() {
        check(r#"{"type":"function","name":"now","parameters":{"properties":{}}}"#, "type now = () => any;\n\n");
    }

    #[test]
    fn a_tool_of_the_providers_own_stays_what_it_is() {
        check(r#"{"type":"web_search"}"#, r#"{"type":"web_search"}"#);
    }

    #[test]
    fn schemas_that_nest_without_end_are_not_followed() {
        let deep = format!("{}{{}}{}", r#"{"type":"array","items":"#.repeat(100), "}".repeat(100));
        let tool = format!(r#"{{"name":"f","parameters":{{"properties":{{"x":{deep}}}}}}}"#);
        let tool = Raw::of(&tool).expect("JSON");
        assert!(render(tool).ends_with("x?: any[][][][][][][][],\n}) => any;\n\n"), "{}", render(tool));
    }
}
