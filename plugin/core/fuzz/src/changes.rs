//! Any request that is changed reads back as asked, and all else as before: another model, a lower maximum of output, the
//! usage of its stream. The first byte chooses the dialect.

use serde_json::{Value, json};
use tollgate_core::dialect::Dialect;

/// A name that has to be escaped.
const MODEL: &str = "a \"cheaper\" \\ model";
const MOST: u64 = 16;

fn value(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)).ok()
}

pub(crate) fn run(bytes: &[u8]) {
    let Some((choice, body)) = bytes.split_first() else { return };
    let dialect = Dialect::ALL[usize::from(*choice) % Dialect::ALL.len()];
    let renamed = dialect.naming_model(body, MODEL);
    let asking = dialect.asking_for_usage(body);
    let capped = dialect.capping_output(body, MOST, *choice >= 128);
    if let Some(before) = value(body) {
        assert_eq!(renamed.is_some(), before.is_object(), "objects are changed, and only they");
        let with = |name: &str, member: Value| {
            let mut expected = before.clone();
            expected[name] = member;
            Some(expected)
        };
        if let Some(renamed) = &renamed {
            assert_eq!(value(renamed), with("model", MODEL.into()));
        }
        if let Some(asking) = &asking {
            let mut options = before["stream_options"].as_object().cloned().unwrap_or_default();
            options.insert("include_usage".to_owned(), json!(true));
            assert_eq!(value(asking), with("stream_options", options.into()));
        }
        if let Some(capped) = &capped {
            assert!(value(capped).is_some(), "JSON stays JSON");
        }
    }
    if let Some(capped) = &capped {
        assert_eq!(dialect.capping_output(capped, MOST, *choice >= 128), None, "what is capped needs no more");
    }
    if let Some(asking) = &asking {
        assert_eq!(dialect.asking_for_usage(asking), None, "what asks needs no more");
    }
}
