//! Requests as people write them, in every format that is read, each text labelled by hand with the component it belongs to:
//! how much of what they say is booked there.
//!
//! `labelled/FORMAT.json` holds the requests of a format. A label stands in brackets before the text that it is for, and is
//! taken off before the request is read; texts that nobody labelled (ids, roles, names) are no part of the count.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test may panic as tests do")]

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tollgate_core::dialect::{Dialect, ToolText};
use tollgate_core::few_shot;
use tollgate_core::prompt::{Component, Piece};

/// What a picture, a recording or a document counts here: their tokens are no property of their bytes.
const MEDIUM: usize = 100;

/// Takes the labels off all texts, and notes what they are for.
fn unlabel(value: &mut Value, found: &mut Vec<(Component, String)>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| unlabel(item, found)),
        Value::Object(fields) => fields.values_mut().for_each(|field| unlabel(field, found)),
        Value::String(text) => {
            let label = |component: &Component| text.strip_prefix(&format!("[{}] ", component.name()));
            let labelled =
                Component::ALL.into_iter().find_map(|component| Some((component, label(&component)?.to_owned())));
            if let Some((component, rest)) = labelled {
                *text = rest.clone();
                found.push((component, rest));
            }
        }
        _ => {}
    }
}

/// The components that a text is booked to, with what it counts there; none where nothing reads it.
fn booked(dialect: Dialect, body: &str, text: &str) -> Vec<(Component, usize)> {
    let mut request = dialect.read_request(body.as_bytes()).unwrap();
    few_shot::mark(dialect, &mut request.elements, &["Example:".to_owned()]);
    let written = serde_json::to_string(text).unwrap();
    let written = written.trim_matches('"');
    let mut booked = Vec::new();
    for element in request.elements.iter().filter(|element| element.raw.get().contains(written)) {
        let (mut is_said, mut is_shown) = (false, false);
        dialect.read_element(element, ToolText::Json, &mut |piece| match piece {
            Piece::Text(read) => is_said |= read.contains(text) || read.contains(written),
            Piece::Media(_) => is_shown = true,
            _ => {}
        });
        match (is_said, is_shown) {
            (true, _) => {
                booked.push((element.component, tiktoken_rs::o200k_base_singleton().encode_ordinary(text).len()))
            }
            (false, true) => booked.push((element.component, MEDIUM)),
            (false, false) => {}
        }
    }
    booked
}

#[test]
fn of_eighty_requests_in_every_format_nearly_every_token_is_in_the_component_that_a_person_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/labelled");
    let (mut requests, mut right, mut all) = (0, 0, 0);
    let mut labels: BTreeMap<Component, usize> = BTreeMap::new();
    for dialect in Dialect::configurable() {
        let file = folder.join(format!("{}.json", dialect.name()));
        let json = std::fs::read_to_string(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        for mut labelled in serde_json::from_str::<Vec<Value>>(&json).unwrap() {
            let (name, mut texts) = (labelled["name"].as_str().unwrap().to_owned(), Vec::new());
            unlabel(&mut labelled["request"], &mut texts);
            assert!(!texts.is_empty(), "{} {name} has no labels", dialect.name());
            let body = labelled["request"].to_string();
            for (component, text) in texts {
                let booked = booked(dialect, &body, &text);
                let tokens = booked.iter().map(|(_, tokens)| *tokens).max();
                let tokens = tokens.unwrap_or_else(|| tiktoken_rs::o200k_base_singleton().encode_ordinary(&text).len());
                let is_right = matches!(booked.as_slice(), [(found, _)] if *found == component);
                if !is_right {
                    println!("{} {name}: {component:?} {text:?} is booked to {booked:?}", dialect.name());
                }
                *labels.entry(component).or_default() += tokens;
                (right, all) = (right + if is_right { tokens } else { 0 }, all + tokens);
            }
            requests += 1;
        }
    }
    println!("{requests} requests, {right} of {all} tokens in the right component; labelled: {labels:?}");
    assert!(requests >= 80 && labels.len() == Component::ALL.len(), "{requests}, {labels:?}");
    assert!(right * 100 >= all * 98, "{right} of {all}");
}
