//! No spelling of a call leads around the meter: each is refused by a limit that refuses everything, or it is an event
//! that says why it could not be judged, and is refused where the operator wants that (`failure_mode: closed`).

use serde_json::{Value, json};
use tollgate_host::gateway::{Gateway, Headers, Outcome, Profile, RequestHead, ResponseHead};
use tollgate_host::replay::event_of;

use super::support::{events_logged, gateway, last_event};

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str =
    r#"{"model":"gpt-4.1-mini","messages":[{"role":"user","content":"How many legs?"}],"max_tokens":50}"#;
const ANSWER: &str =
    r#"{"model":"gpt-4.1-mini","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}"#;

/// What becomes of a call that every limit refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// It is read, and refused by the limit.
    Judged,
    /// It cannot be read, for this reason: refused where `failure_mode` is `closed`.
    Unjudged(&'static str),
    /// There is nothing in it. Gateways that show no body then only tell afterwards.
    Empty,
}

/// How a request's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    WithItsLastPiece,
    WithTrailers,
    /// It does not: the client goes away.
    Never,
}

/// A call in some spelling.
struct Case {
    name: &'static str,
    head: RequestHead,
    body: Vec<u8>,
    piece: usize,
    end: End,
    found: Found,
}

fn post(path: &str) -> RequestHead {
    RequestHead::post_json("llm.example", path)
}

fn case(name: &'static str, head: RequestHead, body: impl Into<Vec<u8>>, found: Found) -> Case {
    Case { name, head, body: body.into(), piece: 4096, end: End::WithItsLastPiece, found }
}

/// A body in an unusual form.
fn form(name: &'static str, body: impl Into<Vec<u8>>, found: Found) -> Case {
    case(name, post(CHAT), body, found)
}

/// An unusual path, with the usual body.
fn path(name: &'static str, path: &str) -> Case {
    case(name, post(path), TEXT, Found::Judged)
}

/// The usual call in an unusual head.
fn head(name: &'static str, head: RequestHead) -> Case {
    case(name, head, TEXT, Found::Judged)
}

fn wide(unit: impl Fn(u16) -> Vec<u8>, text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

fn bodies() -> Vec<Case> {
    use Found::{Empty, Judged, Unjudged};
    let malformed = Unjudged("request_malformed");
    let unknown = Unjudged("request_unknown");
    let with = |member: &str| TEXT.replacen('{', &format!("{{{member},"), 1);
    let long = TEXT.replace("How", &"How ".repeat(100_000));
    vec![
        form("byte order mark", format!("\u{feff}{TEXT}"), Judged),
        form("UTF-16, little end first", wide(|unit| unit.to_le_bytes().into(), TEXT), malformed),
        form("UTF-16, big end first", wide(|unit| unit.to_be_bytes().into(), TEXT), malformed),
        form("UTF-16 with a mark", wide(|unit| unit.to_le_bytes().into(), &format!("\u{feff}{TEXT}")), malformed),
        form("UTF-32", wide(|unit| u32::from(unit).to_le_bytes().into(), TEXT), malformed),
        form("Latin 1", TEXT.replace("legs", "l\u{e9}gs").chars().map(|c| c as u8).collect::<Vec<_>>(), malformed),
        form("half a surrogate pair in the text", TEXT.replace("legs", r"\ud83d legs"), Judged),
        form("half a surrogate pair in a name", with(r#""\udc00":1"#), Judged),
        form("escaped names", TEXT.replace("model", r"mod\u0065l").replace("messages", r"\u006dessages"), Judged),
        form("names in another case", TEXT.replace("messages", "Messages"), malformed),
        form("a name twice, in two cases", with(r#""Messages":[]"#), malformed),
        form("every name twice", with(TEXT.trim_start_matches('{').trim_end_matches('}')), Judged),
        form("the true messages last", with(r#""messages":[]"#), Judged),
        form("bytes behind the object", format!("{TEXT} and more"), Judged),
        form("a second object behind the first", format!("{TEXT}{{}}"), Judged),
        form("zeros behind the object", format!("{TEXT}\0\0"), Judged),
        form("zeros before the object", format!("\0{TEXT}"), malformed),
        form("comments", format!("/* hello */ {TEXT}"), malformed),
        form("a trailing comma", TEXT.replace("50}", "50,}"), malformed),
        form("single quotes", TEXT.replace('"', "'"), malformed),
        form("NaN", with(r#""temperature":NaN"#), malformed),
        form("cut off", &TEXT[..TEXT.len() - 1], malformed),
        form("nested 10,000 deep", with(&format!(r#""x":{}{}"#, "[".repeat(10_000), "]".repeat(10_000))), Judged),
        form(
            "nested deep in the messages",
            TEXT.replace(r#""How many legs?""#, &format!("{}\"x\"{}", "[".repeat(10_000), "]".repeat(10_000))),
            Judged,
        ),
        form("huge numbers", TEXT.replace("50", &"9".repeat(5_000)), Judged),
        form("a number as text", TEXT.replace("50", r#""50""#), Judged),
        form("a negative bound", TEXT.replace("50", "-1"), Judged),
        form("stream as text", with(r#""stream":"true""#), Judged),
        form("stream as a number", with(r#""stream":1"#), Judged),
        form("no model", TEXT.replace(r#""model":"gpt-4.1-mini","#, ""), Judged),
        form("model null", TEXT.replace(r#""gpt-4.1-mini""#, "null"), Judged),
        form("model a list", TEXT.replace(r#""gpt-4.1-mini""#, r#"["gpt-4.1-mini"]"#), Judged),
        form("model an object", TEXT.replace(r#""gpt-4.1-mini""#, r#"{"id":"gpt-4.1-mini"}"#), Judged),
        form("messages an object", r#"{"model":"gpt-4.1-mini","messages":{"role":"user","content":"Hi"}}"#, unknown),
        form("messages under another name", TEXT.replace("messages", "conversation_so_far"), unknown),
        form("a list", format!("[{TEXT}]"), malformed),
        form("a text", json!(TEXT).to_string(), malformed),
        form("a form", "model=gpt-4.1-mini&messages=hello", malformed),
        form(
            "many parts",
            format!("{{\"messages\":[{}]}}", vec!["{}"; 70_000].join(",")),
            Unjudged("request_too_large"),
        ),
        form("a megabyte of white space", format!("{}{TEXT}", " \n".repeat(500_000)), Judged),
        form("half a megabyte of text", long, Judged),
        form("empty", "", Empty),
        form("white space alone", "  \r\n ", malformed),
        Case { piece: 1, ..form("pieces of one byte", TEXT, Judged) },
        Case { end: End::WithTrailers, ..form("trailers", TEXT, Judged) },
        Case { end: End::Never, ..form("a body without an end", TEXT, Judged) },
    ]
}

fn heads() -> Vec<Case> {
    let unjudged = Found::Unjudged;
    let method =
        |method: &str| RequestHead::new(method, "llm.example", CHAT).header("content-type", "application/json");
    let parts = "--b\r\ncontent-disposition: form-data; name=\"x\"\r\n\r\n{}\r\n--b--\r\n";
    let get = |path: &str| RequestHead::new("GET", "llm.example", path).without_body();
    let upgrading = |path: &str| get(path).header("connection", "Upgrade").header("upgrade", "websocket");
    vec![
        head("no content type", RequestHead::new("POST", "llm.example", CHAT)),
        head("content type text", RequestHead::new("POST", "llm.example", CHAT).header("content-type", "text/plain")),
        head("two content types", post(CHAT).header("content-type", "text/html")),
        head("chunked, without a length", post(CHAT).header("transfer-encoding", "chunked")),
        head("expecting 100-continue", post(CHAT).header("expect", "100-continue")),
        head("method in lower case", method("post")),
        head("method override", post(CHAT).header("x-http-method-override", "GET")),
        head("GET with a body and an override", method("GET").header("x-http-method-override", "POST")),
        head("GET with a body", method("GET")),
        head("PUT", method("PUT")),
        head("DELETE with a body", method("DELETE")),
        head("upgrade to HTTP/2", post(CHAT).header("connection", "Upgrade").header("upgrade", "h2c")),
        case(
            "several parts",
            post(CHAT).header("content-type", "multipart/form-data; boundary=b"),
            parts,
            unjudged("request_malformed"),
        ),
        case("WebSocket", upgrading("/v1/realtime?model=gpt-realtime"), "", unjudged("websocket")),
        case("WebSocket at Responses", upgrading("/v1/responses"), "", unjudged("websocket")),
        case(
            "WebSocket of Gemini",
            upgrading("/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"),
            "",
            unjudged("websocket"),
        ),
        case(
            "WebSocket over HTTP/2",
            RequestHead::new("CONNECT", "llm.example", "/v1/realtime").header(":protocol", "websocket").without_body(),
            "",
            unjudged("websocket"),
        ),
        case(
            "another upgrade",
            get(CHAT).header("upgrade", "tls/1.2").header("connection", "upgrade"),
            "",
            unjudged("upgrade"),
        ),
        case(
            "a tunnel to a provider",
            RequestHead::new("CONNECT", "api.openai.com:443", "").without_body(),
            "",
            unjudged("upgrade"),
        ),
    ]
}

fn paths() -> Vec<Case> {
    let messages = TEXT.replace("gpt-4.1-mini", "claude-sonnet-4-5");
    let other = |name, at: &str, body: &str| case(name, post(at), body, Found::Judged);
    let prompt = r#"{"model":"m","prompt":"How many legs?"}"#;
    let contents = r#"{"contents":[{"role":"user","parts":[{"text":"How many legs?"}]}]}"#;
    vec![
        path("upper case", "/V1/CHAT/Completions"),
        path("percent encoding", "/v1/%63hat%2Fcompletions"),
        path("percent encoding, twice", "/v1/chat%252Fcompletions"),
        path("doubled slashes", "//v1//chat///completions//"),
        path("dots", "/v1/./chat/x/../completions/."),
        path("encoded dots", "/v1/chat/%2e%2e/chat/completions"),
        path("parameters", "/v1/chat;a=1/completions;v=2"),
        path("backslashes", "/v1\\chat\\completions"),
        path("a space at the end", "/v1/chat/completions%20"),
        path("a whole address", "http://llm.example/v1/chat/completions"),
        path("a query", "/v1/chat/completions?api-version=1&x=/v1/models"),
        path("the model in the query", "/v1/chat/completions?model=gpt-4.1"),
        path("a gateway's prefix", "/openai/v1/chat/completions"),
        path("another gateway's prefix", "/v1/acct/gateway/compat/chat/completions"),
        path("no version", "/chat/completions"),
        path("Azure", "/openai/deployments/prod/chat/completions?api-version=2026-01-01"),
        path("Foundry", "/models/chat/completions?api-version=2026-01-01"),
        path("Vertex", "/v1/projects/p/locations/l/endpoints/openapi/chat/completions"),
        path("Gemini's imitation", "/v1beta/openai/chat/completions"),
        path("an engine of old", "/v1/engines/gpt-4.1/chat/completions"),
        other("Anthropic", "/v1/messages", &messages),
        other("Anthropic behind a prefix", "/anthropic/v1/messages", &messages),
        other("Responses", "/v1/responses", r#"{"model":"gpt-4.1","input":"How many legs?"}"#),
        other("Responses without a version", "/responses", r#"{"model":"gpt-4.1","input":"How many legs?"}"#),
        other("Completions", "/v1/completions", prompt),
        other("Completions at a beta", "/beta/completions", prompt),
        other("Ollama, in any case", "/API/generate", prompt),
        other("Embeddings", "/v1/embeddings", r#"{"model":"m","input":["How many legs?"]}"#),
        other("Reranking", "/v1/rerank", r#"{"model":"m","query":"legs","documents":["a","b"]}"#),
        other("Gemini, encoded", "/v1beta/models/gemini-2.5-flash%3AgenerateContent", contents),
        other(
            "Bedrock, in capitals",
            "/model/amazon.nova-lite-v1%3A0/CONVERSE",
            r#"{"messages":[{"role":"user","content":[{"text":"How many legs?"}]}]}"#,
        ),
    ]
}

/// Where only the body tells a call from other traffic.
fn doubtful() -> Vec<Case> {
    let at = |name, body: &str, found| case(name, post("/api/chat"), body, found);
    let body = r#"{"model":"m","messages":[{"role":"user","content":"How many legs?"}]}"#;
    let malformed = Found::Unjudged("request_malformed");
    vec![
        at("doubtful, plain", body, Found::Judged),
        at("doubtful, escaped", &body.replace("model", r"mod\u0065l"), Found::Judged),
        at("doubtful, in another case", &body.replace("model", "Model"), malformed),
        at("doubtful, with a comma", &body.replace("]}", "],}"), malformed),
        at("doubtful, escaped and with a comma", &body.replace("]}", "],}").replace("model", r"\u006Dodel"), malformed),
        at("doubtful, behind a comment", &format!("// x\n{body}"), malformed),
        at("doubtful, behind white space", &format!("{}{body}", " ".repeat(10_000)), Found::Judged),
        Case { body: wide(|unit| unit.to_be_bytes().into(), body), ..at("doubtful, in UTF-16", "", malformed) },
        Case { piece: 1, ..at("doubtful, in pieces of one byte", body, Found::Judged) },
        Case { end: End::WithTrailers, ..at("doubtful, with trailers", body, Found::Judged) },
    ]
}

fn corpus() -> Vec<Case> {
    [bodies(), heads(), paths(), doubtful()].into_iter().flatten().collect()
}

fn config(failure_mode: &str) -> String {
    json!({
        "failure_mode": failure_mode,
        "limits": [
            {"id": "no-input", "measure": "input_tokens", "limit": 0},
            {"id": "no-output", "measure": "output_tokens", "limit": 0},
        ],
    })
    .to_string()
}

fn drive(gateway: &Gateway, case: &Case) -> Outcome {
    let stream = gateway.worker(0).open(case.head.clone());
    if !case.head.end_of_stream {
        let pieces = case.body.chunks(case.piece).count();
        for (index, piece) in case.body.chunks(case.piece).enumerate() {
            stream.request_body(piece, case.end == End::WithItsLastPiece && index + 1 == pieces);
        }
        if case.body.is_empty() {
            stream.request_body("", true);
        }
        match case.end {
            End::WithItsLastPiece => {}
            End::WithTrailers => drop(stream.request_trailers(Headers::from([("x-end", "1")]))),
            End::Never => drop(stream.client_gone()),
        }
    }
    if case.head.end_of_stream {
        stream.respond(ResponseHead::new(101).without_body());
    } else {
        stream.respond(ResponseHead::json(200, ANSWER.len())).response_body(ANSWER, true);
    }
    stream.finish()
}

/// Whether anything of the call reached the provider.
fn has_passed(outcome: &Outcome) -> bool {
    outcome.upstream.as_ref().is_some_and(|upstream| upstream.complete)
}

fn check(profile: Profile, gateway: &Gateway, case: &Case, failure_mode: &str) {
    let about = format!("{} on {profile:?}, {failure_mode}", case.name);
    let before = events_logged(gateway);
    let outcome = drive(gateway, case);
    assert_eq!(outcome.trap, None, "{about}");
    assert_eq!(events_logged(gateway), before + 1, "{about}: {outcome:#?}");
    if case.end == End::Never {
        assert!(!has_passed(&outcome), "{about}");
        return;
    }
    // APISIX shows what it learns at the very end to nobody; its log has it.
    let event = last_event(gateway);
    let reason = match case.found {
        Found::Judged => None,
        Found::Unjudged(reason) => Some(reason),
        Found::Empty => Some("request_malformed"),
    };
    assert_eq!(event["unmetered_reason"].as_str(), reason, "{about}: {event:#}");
    let told_afterwards = case.found == Found::Empty && profile != Profile::Envoy;
    let is_refused = match (reason, failure_mode) {
        _ if told_afterwards => false,
        (None, _) | (Some(_), "closed") => true,
        // What is judged in part may still be beyond a limit.
        (Some("request_unknown"), _) => true,
        (Some(_), _) => false,
    };
    assert_eq!(!has_passed(&outcome), is_refused, "{about}: {event:#}");
    assert_eq!(event["outcome"] == "denied", is_refused, "{about}: {event:#}");
}

#[test]
fn no_spelling_of_a_call_leads_around_the_meter() {
    let corpus = corpus();
    assert!(corpus.len() >= 100, "{}", corpus.len());
    for profile in Profile::ALL {
        for failure_mode in ["closed", "open"] {
            let gateway = gateway(profile, &config(failure_mode));
            corpus.iter().for_each(|case| check(profile, &gateway, case, failure_mode));
        }
    }
}

/// What the filter takes a body for, where limits only observe.
fn judged(profile: Profile, body: &str) -> Value {
    let config = json!({"limits": [{"id": "out", "measure": "output_tokens", "limit": 1, "action": "observe"}]});
    let gateway = gateway(profile, &config.to_string());
    let stream = gateway.worker(0).open(post(CHAT));
    stream.request_body(body, true).respond(ResponseHead::json(200, ANSWER.len())).response_body(ANSWER, true);
    event_of(profile, &stream.finish()).expect("an event")
}

#[test]
fn what_is_judged_is_what_the_provider_reads() {
    let with = |members: &str| TEXT.replace("50}", &format!("50,{members}}}"));
    let long = r#""messages":[{"role":"user","content":"How many legs do three spiders and a stool have?"}]"#;
    for profile in Profile::ALL {
        let plain = judged(profile, TEXT);
        let words = judged(profile, &with(long));
        assert!(words["predicted_input_tokens"].as_u64() > plain["predicted_input_tokens"].as_u64());
        for (body, field, expected) in [
            (with(r#""model":"gpt-4.1""#), "request_model", json!("gpt-4.1")),
            (with(r#""mod\u0065l":"gpt-4.1""#), "request_model", json!("gpt-4.1")),
            (with(r#""model":null"#), "request_model", Value::Null),
            (with(r#""stream":true"#), "stream", json!(true)),
            (with(r#""stream":true,"stream":false"#), "stream", json!(false)),
            (with(r#""stream":"true""#), "stream", json!(true)),
            (with(r#""messages":[],"messages":[],"messages":null"#), "unmetered_reason", json!("request_unknown")),
            (
                with(&format!(r#""messages":[],{long}"#)),
                "predicted_input_tokens",
                words["predicted_input_tokens"].clone(),
            ),
            (
                TEXT.replace(r#""content""#, r#""content":"","content""#),
                "predicted_input_tokens",
                plain["predicted_input_tokens"].clone(),
            ),
            (
                TEXT.replace(r#""content""#, r#""cont\u0065nt""#),
                "predicted_input_tokens",
                plain["predicted_input_tokens"].clone(),
            ),
        ] {
            assert_eq!(judged(profile, &body)[field], expected, "{profile:?} {body}");
        }
        for (members, bound) in [
            (r#""max_tokens":9"#, json!("9")),
            (r#""max_tokens":1,"max_tokens":900"#, json!("900")),
            (r#""max_completion_tokens":7"#, json!("50")),
            (r#""max_completion_tokens":700"#, json!("700")),
            (r#""max_completion_tokens":null"#, json!("50")),
            (r#""max_tokens":"9""#, Value::Null),
            (r#""max_tokens":1e400"#, Value::Null),
        ] {
            let event = judged(profile, &with(members));
            assert_eq!(event["limits"][0]["amount"], bound, "{profile:?} {members}");
        }
    }
}
