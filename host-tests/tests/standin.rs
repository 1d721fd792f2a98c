//! The provider stand-in on its own: wire shapes, counts, caching and failures, without any gateway.

use serde_json::{Value, json};
use tollgate_host::agent::client::{self, Sent};
use tollgate_host::agent::{self, plan, task::Task};
use tollgate_host::standin::{Dialect, FAILURE_HEADER, PACE_HEADER, Standin};

fn post(standin: &Standin, dialect: Dialect, headers: &[(&str, &str)], body: &Value) -> Sent {
    let headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    client::post(&format!("{}{}", standin.url(), dialect.path()), &headers, body).expect("an answer")
}

/// The `event:` names and the parsed `data:` of a stream.
fn events(sent: &Sent) -> Vec<(Option<String>, Value)> {
    sent.text()
        .split("\n\n")
        .filter(|block| !block.is_empty())
        .map(|block| {
            let line = |prefix| block.lines().find_map(|line| line.strip_prefix(prefix)).map(str::to_owned);
            (line("event: "), line("data: ").and_then(|data| serde_json::from_str(&data).ok()).unwrap_or_default())
        })
        .collect()
}

fn question(dialect: Dialect, stream: bool) -> Value {
    let messages = json!([{"role": "user", "content": "hello"}]);
    match dialect {
        Dialect::OpenAiChat => json!({"model": "gpt-4.1", "messages": messages, "stream": stream}),
        Dialect::OpenAiResponses => json!({"model": "gpt-4.1", "input": "hello", "stream": stream}),
        Dialect::Anthropic => {
            json!({"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": messages, "stream": stream})
        }
    }
}

#[test]
fn text_prompts_count_as_openai_counts_them() {
    let standin = Standin::start().expect("stand-in");
    // One message: 3 around it, 1 for the role, 1 for "hello", 3 for priming (2 on newer models).
    for (model, tokens) in [("gpt-4.1", 8), ("gpt-5-mini", 7)] {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
        let usage = &post(&standin, Dialect::OpenAiChat, &[], &body).json()["usage"];
        assert_eq!(usage["prompt_tokens"], tokens, "{model}");
    }
}

#[test]
fn a_chat_stream_ends_with_usage_only_when_asked() {
    let standin = Standin::start().expect("stand-in");
    let mut body = question(Dialect::OpenAiChat, true);
    let without = post(&standin, Dialect::OpenAiChat, &[], &body);
    assert!(!without.text().contains("usage"), "{}", without.text());
    assert!(without.text().ends_with("data: [DONE]\n\n"));

    body["stream_options"] = json!({"include_usage": true});
    let chunks = events(&post(&standin, Dialect::OpenAiChat, &[], &body));
    let (done, rest) = chunks.split_last().expect("chunks");
    let (last, earlier) = rest.split_last().expect("chunks");
    assert_eq!(done.1, Value::Null, "[DONE] is no JSON");
    assert_eq!(last.1["choices"], json!([]));
    let truth = standin.served()[1].truth;
    assert_eq!(last.1["usage"]["prompt_tokens"], truth.input_total());
    assert_eq!(last.1["usage"]["completion_tokens"], truth.output_total());
    assert!(earlier.iter().all(|(_, chunk)| chunk["usage"] == Value::Null && chunk.get("usage").is_some()));
}

#[test]
fn typed_streams_come_in_the_providers_order() {
    let standin = Standin::start().expect("stand-in");
    for (dialect, order) in [
        (
            Dialect::OpenAiResponses,
            "response.created response.in_progress response.output_item.added response.content_part.added \
             response.output_text.delta response.output_text.done response.content_part.done \
             response.output_item.done response.completed",
        ),
        (
            Dialect::Anthropic,
            "message_start content_block_start ping content_block_delta content_block_stop message_delta message_stop",
        ),
    ] {
        let events = events(&post(&standin, dialect, &[], &question(dialect, true)));
        let mut names: Vec<&str> = events.iter().filter_map(|(name, _)| name.as_deref()).collect();
        names.dedup();
        assert_eq!(names.join(" "), order);
        assert!(events.iter().all(|(name, data)| name.as_deref() == data["type"].as_str()));
    }
}

#[test]
fn an_answer_is_cut_at_the_cap_and_says_so() {
    let standin = Standin::start().expect("stand-in");
    for (dialect, cap, pointer, reason, output) in [
        (Dialect::OpenAiChat, "max_tokens", "/choices/0/finish_reason", "length", "/usage/completion_tokens"),
        (
            Dialect::OpenAiResponses,
            "max_output_tokens",
            "/incomplete_details/reason",
            "max_output_tokens",
            "/usage/output_tokens",
        ),
        (Dialect::Anthropic, "max_tokens", "/stop_reason", "max_tokens", "/usage/output_tokens"),
    ] {
        let mut body = question(dialect, false);
        body[cap] = json!(5);
        let answer = post(&standin, dialect, &[], &body).json();
        assert_eq!(answer.pointer(pointer), Some(&json!(reason)), "{answer:#}");
        assert_eq!(answer.pointer(output), Some(&json!(5)), "{answer:#}");
    }
}

#[test]
fn the_agents_second_step_reads_what_its_first_step_wrote() {
    let standin = Standin::with_script(Box::new(agent::script)).expect("stand-in");
    let task = Task::demo();
    let sent = task.run(&standin.url()).expect("answers");
    assert!(sent.iter().all(|answer| answer.status == 200 && answer.broken.is_none()));
    let truths: Vec<_> = standin.served().iter().map(|served| served.truth).collect();
    assert_eq!(truths.len(), plan::length());
    assert_eq!(truths[0].cache_read, 0);
    assert!(truths[0].cache_write_5m > 3_000, "{:?}", truths[0]);
    assert_eq!(truths[1].cache_read, truths[0].cache_write_5m, "{:?}", truths[1]);
    for pair in truths.windows(2) {
        assert_eq!(pair[1].cache_read, pair[0].cache_read + pair[0].cache_write_5m, "every step reads all before it");
        assert_eq!(pair[1].cache_write_1h, 0);
    }
    let start = &events(&sent[1])[0].1["message"]["usage"];
    assert_eq!(start["cache_read_input_tokens"], truths[1].cache_read);
    assert_eq!(start["input_tokens"], truths[1].input_uncached, "exclusive of the cache");
    assert_eq!(start["cache_creation"]["ephemeral_5m_input_tokens"], truths[1].cache_write_5m);
}

#[test]
fn the_agent_works_on_every_dialect() {
    let standin = Standin::with_script(Box::new(agent::script)).expect("stand-in");
    for (dialect, model) in [(Dialect::OpenAiChat, "gpt-4.1"), (Dialect::OpenAiResponses, "gpt-5")] {
        for stream in [false, true] {
            let task = Task { dialect, model: model.to_owned(), stream, ..Task::demo() };
            let before = standin.served().len();
            task.run(&standin.url()).expect("answers");
            let steps = standin.served().split_off(before);
            assert!(steps.iter().all(|step| step.status == 200));
            let last = steps.last().expect("steps");
            assert!(last.truth.cache_read > 10_000, "{dialect:?}: {:?}", last.truth);
            assert!(last.truth.input_uncached > 0);
        }
    }
}

#[test]
fn failures_come_in_the_providers_shape() {
    let standin = Standin::start().expect("stand-in");
    for dialect in Dialect::ALL {
        let fail = |failure, stream| post(&standin, dialect, &[(FAILURE_HEADER, failure)], &question(dialect, stream));
        let limited = fail("status-429", true);
        assert_eq!((limited.status, limited.header("retry-after")), (429, Some("2")));
        assert!(limited.json()["error"]["message"].is_string());
        assert_eq!(limited.json()["type"] == "error", dialect == Dialect::Anthropic);
        for stream in [false, true] {
            assert!(fail("reset", stream).broken.is_some(), "{dialect:?}");
            let cut = fail("truncated", stream);
            assert!(cut.broken.is_none() && (stream || cut.json() == Value::Null), "{dialect:?}");
        }
        let broken = fail("error-event", true);
        assert_eq!(broken.status, 200);
        assert!(broken.text().contains("error"), "{dialect:?}");
        for end in ["[DONE]", "response.completed", "message_stop"] {
            assert!(!broken.text().contains(end), "{dialect:?}");
        }
    }
    let invalid = post(&standin, Dialect::Anthropic, &[], &json!({"model": "claude-sonnet-5-5"}));
    assert_eq!((invalid.status, invalid.json()["error"]["type"].as_str()), (400, Some("invalid_request_error")));
}

#[test]
fn an_endless_stream_ends_when_the_client_leaves() {
    let standin = Standin::start().expect("stand-in");
    let headers = [(FAILURE_HEADER.to_owned(), "endless".to_owned()), (PACE_HEADER.to_owned(), "5".to_owned())];
    let url = format!("{}{}", standin.url(), Dialect::OpenAiChat.path());
    let sent = client::post_and_leave(&url, &headers, &question(Dialect::OpenAiChat, true), 20_000).expect("a start");
    assert!(sent.body.len() >= 20_000);
    assert!(!standin.served()[0].delivered());
}
