//! Asking for usage adds `stream_options.include_usage` to a request, and changes no other byte of it.
//!
//! Held against `serde_json`, which reads the objects that we only patch.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of a test may panic as tests do")]

use proptest::prelude::*;
use serde_json::value::RawValue;
use tollgate_core::config::Config;
use tollgate_core::head::RequestHead;
use tollgate_core::meter::{Body, Meter, Verdict};
use tollgate_core::time::Timestamp;

/// What is forwarded of a streamed request to OpenAI.
fn forwarded(request: &str) -> String {
    let mut meter = Meter::new(Config::default(), [1, 2]);
    let head =
        RequestHead { method: "POST", path: "/v1/chat/completions", host: "api.openai.com", ..RequestHead::default() };
    let mut call = meter.open(&head, "id".to_owned(), Timestamp::default()).unwrap();
    call.allow_changes(true, true);
    assert_eq!(meter.admit(&mut call, Body::Whole(request.as_bytes())), Verdict::Forward);
    meter
        .change(&mut call, request.as_bytes())
        .map_or_else(|| request.to_owned(), |body| String::from_utf8(body).unwrap())
}

/// The members of an object in their order, each as it is spelled.
fn members(object: &str) -> Vec<(String, String)> {
    struct Members(Vec<(String, String)>);
    impl<'de> serde::Deserialize<'de> for Members {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Members;
                fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    formatter.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                    let mut members = Vec::new();
                    while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                        members.push((key, value.get().to_owned()));
                    }
                    Ok(Members(members))
                }
            }
            deserializer.deserialize_map(Visitor)
        }
    }
    serde_json::from_str::<Members>(object).unwrap().0
}

/// Checks a request without `stream_options`: what is forwarded is the request but for one member put in.
fn check_added(request: &str) {
    const ADDED: &str = r#""stream_options":{"include_usage":true},"#;
    let forwarded = forwarded(request);
    let at = request.find('{').unwrap() + 1;
    let (before, after) = request.split_at(at);
    assert_eq!(forwarded, [before, ADDED, after].concat());
    let mut found = members(&forwarded);
    assert_eq!(found.remove(0), ("stream_options".to_owned(), r#"{"include_usage":true}"#.to_owned()));
    assert_eq!(found, members(request));
}

#[test]
fn spellings_that_no_serializer_would_choose_are_kept() {
    for member in [
        r#""temperature":1.0"#,
        r#""temperature":1E+0"#,
        r#""seed":12345678901234567890123"#,
        r#""top_p":0.10000000000000000001"#,
        r#""x":-0.0"#,
        r#""user":"\u00e9\/\ud83d\ude00""#,
        r#""user":"\uD83D alone""#,
        r#""unknown_field":{"z":1,"a":[null,true,{}]}"#,
        "\"x\" : [ 1 ,\t2\r\n]",
        r#""seed":1,"seed":2"#,
    ] {
        check_added(&format!(" \n{{{member},\"stream\":true,\"model\":\"gpt-4.1\",\"messages\":[]}}\r\n"));
    }
}

#[test]
fn of_options_that_are_there_everything_else_is_kept() {
    let request = |options: &str| {
        format!(r#"{{"model":"gpt-4.1","stream":true,"stream_options":{options},"seed":1.50,"messages":[]}}"#)
    };
    for (options, expected) in [
        (r#"{"x":1.0}"#, r#"{"include_usage":true,"x":1.0}"#),
        (r#"{ "x" : "\u00e9", "include_usage" : false }"#, r#"{ "x" : "\u00e9", "include_usage" : true }"#),
        (r#"{"include_usage":true,"x":1.0}"#, r#"{"include_usage":true,"x":1.0}"#),
        ("{}", r#"{"include_usage":true}"#),
        ("null", r#"{"include_usage":true}"#),
    ] {
        assert_eq!(forwarded(&request(options)), request(expected));
    }
}

/// White space as JSON has it.
const SPACE: &str = "[ \t\r\n]{0,2}";
/// Numbers, valid however odd.
const NUMBER: &str = "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?";
/// Texts with characters of any length, and escapes of any kind.
const TEXT: &str = r#""([a-zA-Z é日😀]|\\["\\/bfnrt]|\\u[0-9a-dA-D][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]){0,12}""#;

/// JSON in any spelling.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![NUMBER.prop_map(|number| number), TEXT.prop_map(|text| text), "(true|false|null)"];
    leaf.prop_recursive(3, 20, 4, |inner| {
        let items = prop::collection::vec((SPACE, inner.clone(), SPACE), 0..4);
        let pairs = prop::collection::vec((SPACE, TEXT, SPACE, inner), 0..4);
        let list = items.prop_map(|items| {
            let items: Vec<String> = items.into_iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
            format!("[{}]", items.join(","))
        });
        let object = pairs.prop_map(|pairs| {
            let pairs: Vec<String> =
                pairs.into_iter().map(|(a, key, b, value)| format!("{a}{key}{b}:{value}")).collect();
            format!("{{{}}}", pairs.join(","))
        });
        prop_oneof![list, object]
    })
}

proptest! {
    #[test]
    fn any_request_is_forwarded_with_one_member_more_and_no_other_byte_changed(
        fields in prop::collection::vec(("[a-z]{1,3}_x", SPACE, json(), SPACE), 0..6),
        space in SPACE,
        at in 0_usize..6,
    ) {
        let mut members: Vec<String> =
            fields.into_iter().map(|(key, a, value, b)| format!("\"{key}\"{a}:{b}{value}")).collect();
        let known = r#""model":"gpt-4.1","stream":true,"messages":[{"role":"user","content":"Hi \u00e9"}]"#;
        members.insert(at.min(members.len()), known.to_owned());
        check_added(&format!("{space}{{{space}{}{space}}}{space}", members.join(",")));
    }
}
