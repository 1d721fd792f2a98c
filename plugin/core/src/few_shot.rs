//! Worked examples that are written as messages, found by a marker of the operator's.
//!
//! No wire format marks examples, and by position alone they look like history. The rule: a message that begins with a
//! marker is an example, and so are the model's messages behind it, up to the next one of the user's. The last message
//! of the user is what is asked, however it begins.
//! Limits: examples within instructions count as instructions, and examples within the last message of the user as
//! what the user asks.
//! Must not know: wire formats.

use crate::dialect::{Dialect, ToolText, object};
use crate::prompt::{Component, Element, Kind, Piece};

/// Books what the markers tell to the examples.
pub fn mark(dialect: Dialect, elements: &mut [Element<'_>], markers: &[String]) {
    if markers.is_empty() {
        return;
    }
    let asked = elements.iter().rposition(|element| element.component == Component::User);
    let mut is_example = false;
    for (at, element) in elements.iter_mut().enumerate() {
        let is_said = matches!(element.component, Component::History | Component::User) && Some(at) != asked;
        is_example = is_said
            && element.kind == Kind::Message
            && (begins(dialect, element, markers) || (is_example && is_answer(element)));
        if is_example {
            element.component = Component::FewShot;
        }
    }
}

fn begins(dialect: Dialect, element: &Element<'_>, markers: &[String]) -> bool {
    let (mut is_first, mut begins) = (true, false);
    dialect.read_element(element, ToolText::Json, &mut |piece| {
        if let Piece::Text(text) = piece {
            begins |= is_first && markers.iter().any(|marker| text.trim_start().starts_with(marker.as_str()));
            is_first = false;
        }
    });
    begins
}

/// Whether the model says it, or is made to.
fn is_answer(element: &Element<'_>) -> bool {
    let role = object::member(element.raw.get(), "role").and_then(object::string);
    role.is_some_and(|role| matches!(&*role, "assistant" | "model" | "CHATBOT"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Route;

    fn components(messages: &str) -> Vec<&'static str> {
        let body = format!(r#"{{"model":"m","messages":[{messages}]}}"#);
        let route = Route::of_dialect(Dialect::OpenaiChat, "");
        let mut request = route.read_request(body.as_bytes()).expect("a request");
        mark(Dialect::OpenaiChat, &mut request.elements, &["<example>".to_owned()]);
        request.elements.iter().map(|element| element.component.name()).collect()
    }

    #[test]
    fn a_marked_message_is_an_example_with_its_answer_and_nothing_behind_it() {
        let example = r#"{"role":"user","content":" <example>2+2"},{"role":"assistant","content":"4"}"#;
        let rest =
            r#"{"role":"user","content":"3+3"},{"role":"assistant","content":"6"},{"role":"user","content":"and?"}"#;
        assert_eq!(
            components(&format!("{example},{example},{rest}")),
            ["few_shot", "few_shot", "few_shot", "few_shot", "history", "history", "user"]
        );
    }

    #[test]
    fn what_is_asked_last_is_the_users_however_it_begins() {
        assert_eq!(components(r#"{"role":"user","content":"<example>2+2 is 4. And 3+3?"}"#), ["user"]);
        let two = r#"{"role":"user","content":"<example>2+2 is 4"},{"role":"user","content":"3+3"}"#;
        assert_eq!(components(two), ["few_shot", "user"]);
    }
}
