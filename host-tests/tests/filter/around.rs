//! What stands around a call: tries before it, routers, reports on tasks, the provider's health.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_core::names::metric;
use tollgate_host::gateway::{Gateway, Profile, RequestHead, ResponseHead};
use tollgate_host::replay;
use tollgate_host::standin::Dialect;

use super::support::{event, gateway, has_metrics, metric, one, start};

/// A gateway whose workers share what they know, where it can.
fn sharing(profile: Profile, config: &str) -> Gateway {
    let mut config: Value = serde_json::from_str(config).expect("JSON");
    if profile == Profile::Kong {
        config["shared_data"] = "on".into();
    }
    start(replay::settings(profile, &config.to_string()).with_workers(2))
}

/// A call of `model` at a worker, and its event.
fn call(
    (profile, gateway): (Profile, &Gateway),
    worker: usize,
    model: &str,
    headers: &[(&str, &str)],
    answer: ResponseHead,
) -> Value {
    let exchange = one(Dialect::OpenAiChat, false);
    let head: RequestHead =
        headers.iter().fold(exchange.request_head(), |head, (name, value)| head.header(name, value));
    let request = json!({"model": model, "messages": [{"role": "user", "content": "Where is my parcel?"}]});
    let stream = gateway.worker(worker).open(head);
    stream.request_body(request.to_string().as_bytes(), true);
    let body = String::from_utf8(exchange.response.clone()).expect("text").replace("gpt-4.1-mini-2025-04-14", model);
    stream.respond(answer).response_body(body.as_bytes(), true);
    event(profile, &stream.finish())
}

fn json_answer() -> ResponseHead {
    ResponseHead::new(200).header("content-type", "application/json")
}

#[test]
fn a_client_that_sends_a_call_again_says_so_or_is_recognised() {
    for profile in Profile::ALL {
        let gateway = sharing(profile, "{}");
        let own = ("x-tollgate-session", "s-1");
        let ask = |headers: &[(&str, &str)]| {
            call((profile, &gateway), 0, "gpt-4.1-mini", &[headers, &[own]].concat(), json_answer())
        };
        let stranger = || call((profile, &gateway), 0, "gpt-4.1-mini", &[], json_answer());
        assert_eq!([stranger(), stranger()].map(|event| event["retry"].clone()), [Value::Null, Value::Null]);
        assert_eq!(ask(&[])["retry"], Value::Null, "{profile:?}");
        let again = ask(&[]);
        let first_cost = &again["cost_usd"];
        let expected = json!({"number": 1, "told_by": "fingerprint", "earlier_outcome": "complete", "earlier_cost_usd": first_cost});
        assert_eq!(again["retry"], expected, "{profile:?}");
        assert_eq!(ask(&[])["retry"]["number"], 2, "{profile:?}");
        assert_eq!(
            ask(&[("x-stainless-retry-count", "0")])["retry"],
            Value::Null,
            "{profile:?}: the client knows best"
        );
        assert_eq!(ask(&[("x-stainless-retry-count", "1")])["retry"]["told_by"], "client", "{profile:?}");
        // Another caller's call is none of theirs.
        assert_eq!(ask(&[("authorization", "Bearer sk-other")])["retry"], Value::Null, "{profile:?}");
        if has_metrics(profile) {
            assert_eq!(metric(&gateway, metric::RETRIES, &[("cause", "client")]), Some(3), "{profile:?}");
            let cost = metric(&gateway, metric::COST, &[]).unwrap();
            let again = metric(&gateway, metric::RETRY_COST, &[("cause", "client")]).unwrap();
            assert!(again.abs_diff(cost * 3 / 8) <= 1, "{profile:?}: three of eight calls, {again} of {cost}");
        }
    }
}

#[test]
fn the_same_question_of_an_application_is_a_retry_outside_of_a_session_only_where_the_one_before_failed() {
    let refused = || ResponseHead::new(429).header("content-type", "application/json");
    for profile in Profile::ALL {
        let key = ("authorization", "Bearer sk-shop");
        let ask = |gateway: &Gateway, model: &str, more: &[(&str, &str)], answer: ResponseHead| {
            call((profile, gateway), 0, model, &[&[key], more].concat(), answer)
        };
        let retry = |gateway: &Gateway, more, answer| ask(gateway, "gpt-4.1-mini", more, answer)["retry"].take();
        let gateway = sharing(profile, "{}");
        assert_eq!(retry(&gateway, &[], json_answer()), Value::Null, "{profile:?}");
        assert_eq!(retry(&gateway, &[], json_answer()), Value::Null, "{profile:?}: asked for another user");
        assert_eq!(
            ask(&gateway, "gpt-4.1", &[], json_answer())["routing"],
            Value::Null,
            "{profile:?}: and so is this, on a dearer model"
        );
        assert_eq!(retry(&gateway, &[], refused()), Value::Null, "{profile:?}");
        let again = retry(&gateway, &[], json_answer());
        assert_eq!((&again["number"], &again["told_by"]), (&json!(1), &json!("fingerprint")), "{profile:?}");
        assert_eq!(again["earlier_outcome"], "upstream_error", "{profile:?}");
        assert_eq!(retry(&gateway, &[], json_answer()), Value::Null, "{profile:?}: that one was answered");
        let told = retry(&gateway, &[("x-stainless-retry-count", "1")], json_answer());
        assert_eq!(told["told_by"], "client", "{profile:?}");
    }
}

#[test]
fn a_retry_at_another_worker_is_recognised_where_workers_share_and_not_at_all_where_that_is_off() {
    for (profile, config, is_recognised) in [
        (Profile::Envoy, "{}", true),
        (Profile::Kong, "{}", true),
        (Profile::Apisix, "{}", false),
        (Profile::Envoy, r#"{"retries": {"window_seconds": 0}}"#, false),
    ] {
        let gateway = sharing(profile, config);
        let session = [("x-tollgate-session", "s-1")];
        call((profile, &gateway), 0, "gpt-4.1-mini", &session, json_answer());
        let again = call((profile, &gateway), 1, "gpt-4.1-mini", &session, json_answer());
        assert_eq!(again["retry"].is_object(), is_recognised, "{profile:?} {config}");
    }
}

#[test]
fn tries_of_the_gateway_are_counted_and_their_cost_is_an_estimate_beside_the_cost() {
    for profile in Profile::ALL {
        let gateway = gateway(profile, "{}");
        let answer = json_answer().header("x-envoy-attempt-count", "3");
        let event = call((profile, &gateway), 0, "gpt-4.1-mini", &[], answer);
        assert_eq!(event["attempts"]["count"], 3, "{profile:?}");
        let input: f64 =
            event["components"].as_object().unwrap().values().map(|share| dollars(&share["cost_usd"])).sum();
        let estimate = dollars(&event["attempts"]["estimated_cost_usd"]);
        assert!((estimate - 2.0 * input).abs() < 1e-12 && estimate > 0.0, "{profile:?}: {event:#}");
        if has_metrics(profile) {
            assert_eq!(metric(&gateway, metric::RETRIES, &[("cause", "gateway")]), Some(2), "{profile:?}");
        }
        assert_eq!(call((profile, &gateway), 0, "gpt-4.1-mini", &[], json_answer())["attempts"], Value::Null);
    }
}

#[test]
fn every_gateway_tells_its_own_tries_in_its_own_way() {
    let exchange = one(Dialect::OpenAiChat, false);
    for profile in Profile::ALL {
        let head = match profile {
            Profile::Envoy => exchange.request_head().property(&["upstream", "request_attempt_count"], 2),
            Profile::Kong => exchange.request_head().property(&["ngx", "upstream_status"], "502, 200"),
            Profile::Apisix => exchange.request_head().property(&["upstream_status"], "502, 200"),
        };
        let gateway = gateway(profile, "{}");
        let stream = gateway.worker(0).open(head);
        stream.request_body(&exchange.request, true);
        stream.respond(exchange.response_head()).response_body(&exchange.response, true);
        assert_eq!(event(profile, &stream.finish())["attempts"]["count"], 2, "{profile:?}");
    }
}

fn dollars(value: &Value) -> f64 {
    value.as_str().expect("dollars").parse().expect("a decimal")
}

#[test]
fn a_routers_decision_its_own_calls_and_other_models_costs_are_in_the_event() {
    let config = r#"{"routing": {"alternatives": ["gpt-4.1", "gpt-4.1-nano", "no-such-model"]}}"#;
    for profile in Profile::ALL {
        let gateway = sharing(profile, config);
        let task = ("x-tollgate-task", "t-1");
        let router =
            call((profile, &gateway), 0, "gpt-4.1-nano", &[task, ("x-tollgate-overhead", "router")], json_answer());
        assert_eq!(router["routing"]["overhead"], "router", "{profile:?}");
        let headers =
            [task, ("x-tollgate-route-candidates", "gpt-4.1-mini, gpt-4.1"), ("x-tollgate-route-confidence", "0.87")];
        let answer =
            json_answer().header("x-vsr-selected-model", "gpt-4.1-mini").header("x-vsr-selected-decision", "math");
        let event = call((profile, &gateway), 1, "gpt-4.1-mini", &headers, answer);
        let routing = &event["routing"];
        assert_eq!(routing["selected"], "gpt-4.1-mini", "{profile:?}");
        assert_eq!(routing["candidates"], json!(["gpt-4.1-mini", "gpt-4.1"]), "{profile:?}");
        assert_eq!((&routing["confidence"], &routing["reason"]), (&json!(0.87), &json!("math")), "{profile:?}");
        let others = routing["alternatives"].as_array().unwrap();
        let cost = dollars(&event["cost_usd"]);
        assert!(dollars(&others[0]["cost_usd"]) > cost && dollars(&others[1]["cost_usd"]) < cost, "{profile:?}");
        assert_eq!(others[2], json!({"model": "no-such-model", "cost_usd": null}), "{profile:?}");
        if profile != Profile::Apisix {
            assert_eq!(event["task"]["overhead_cost_usd"], router["cost_usd"], "{profile:?}");
            assert_eq!(event["task"]["step"], 2, "{profile:?}");
            assert!(metric(&gateway, metric::OVERHEAD_COST, &[]) > Some(0), "{profile:?}");
            assert!(metric(&gateway, metric::ALTERNATIVE_COST, &[("alternative", "gpt-4.1")]) > Some(0), "{profile:?}");
        }
    }
}

#[test]
fn a_step_that_is_made_again_on_a_dearer_model_was_misrouted_and_another_answering_model_is_a_fallback() {
    for profile in Profile::ALL {
        let gateway = sharing(profile, "{}");
        let session = [("x-tollgate-session", "s-1")];
        let cheap = call((profile, &gateway), 0, "gpt-4.1-mini", &session, json_answer());
        let dear = call((profile, &gateway), 0, "gpt-4.1", &session, json_answer());
        let expected = json!({"model": "gpt-4.1-mini", "cost_usd": cheap["cost_usd"]});
        assert_eq!(dear["routing"]["misrouted"], expected, "{profile:?}");
        assert_eq!(dear["retry"], Value::Null, "{profile:?}: the other model's answer is another call");
        assert_eq!(
            call((profile, &gateway), 0, "gpt-4.1-nano", &session, json_answer())["routing"],
            Value::Null,
            "{profile:?}"
        );

        let exchange = one(Dialect::OpenAiChat, false);
        let stream = gateway.worker(0).open(exchange.request_head());
        stream.request_body(br#"{"model": "gpt-5", "messages": [{"role": "user", "content": "And now?"}]}"#, true);
        stream.respond(json_answer()).response_body(&exchange.response, true);
        let fallback = event(profile, &stream.finish());
        assert_eq!(fallback["routing"]["fallback"], true, "{profile:?}");
        if has_metrics(profile) {
            assert_eq!(metric(&gateway, metric::RETRIES, &[("cause", "misrouting")]), Some(1), "{profile:?}");
            assert_eq!(metric(&gateway, metric::FALLBACKS, &[]), Some(1), "{profile:?}");
        }
    }
}

#[test]
fn a_failed_call_has_a_class_and_limits_of_the_provider_show_how_much_is_used() {
    for profile in Profile::ALL {
        let gateway = gateway(profile, "{}");
        let limits = [("x-ratelimit-limit-tokens", "1000"), ("x-ratelimit-remaining-tokens", "250")];
        let answer = limits.iter().fold(json_answer(), |answer, (name, value)| answer.header(name, value));
        let event = call((profile, &gateway), 0, "gpt-4.1-mini", &[], answer);
        assert_eq!(event["rate_limits"], json!({"tokens": {"limit": 1000, "remaining": 250, "utilization": 0.75}}));
        assert_eq!(event["error_class"], Value::Null, "{profile:?}");
        let refused = ResponseHead::new(429).header("content-type", "application/json");
        assert_eq!(
            call((profile, &gateway), 0, "gpt-4.1-mini", &[], refused)["error_class"],
            "rate_limited",
            "{profile:?}"
        );
        if has_metrics(profile) {
            assert_eq!(metric(&gateway, metric::RATE_LIMIT_USED, &[("type", "tokens")]), Some(750), "{profile:?}");
            assert_eq!(metric(&gateway, metric::ERRORS, &[("class", "rate_limited")]), Some(1), "{profile:?}");
            assert!(
                metric(&gateway, metric::FAILED_COST, &[]) > Some(0),
                "{profile:?}: it consumed tokens all the same"
            );
        }
    }
}

#[test]
fn a_stream_tells_its_first_byte_its_duration_and_the_time_between_its_tokens() {
    let exchange = one(Dialect::Anthropic, true);
    for profile in Profile::ALL {
        let gateway = gateway(profile, "{}");
        let stream = gateway.worker(0).open(exchange.request_head());
        stream.request_body(&exchange.request, true);
        gateway.advance(Duration::from_millis(300));
        let (begin, rest) = exchange.response.split_at(200);
        stream.respond(exchange.response_head()).response_body(begin, false);
        gateway.advance(Duration::from_millis(2_000));
        stream.response_body(rest, true);
        let event = replay::event_of(profile, &stream.finish()).expect("an event");
        let timing = &event["timing"];
        assert_eq!((&timing["ttft_ms"], &timing["duration_ms"]), (&json!(300), &json!(2_300)), "{profile:?}");
        let gaps = event["output_tokens"].as_u64().expect("tokens") - 1;
        assert_eq!(event["time_per_output_token_us"].as_u64(), Some(2_000_000 / gaps), "{profile:?} {gaps}");
        if has_metrics(profile) {
            let measured = [metric::TTFT, metric::DURATION, metric::TIME_PER_TOKEN];
            assert_eq!(
                measured.map(|name| metric(&gateway, name, &[])),
                [Some(1); 3],
                "{profile:?}: one value in each"
            );
        }
    }
}

#[test]
fn an_accepted_task_costs_what_all_tasks_of_its_kind_cost() {
    for profile in [Profile::Envoy, Profile::Kong] {
        let gateway = sharing(profile, r#"{"metrics": {"labels": ["app"]}}"#);
        let app = ("x-tollgate-app", "shop");
        let first = call((profile, &gateway), 0, "gpt-4.1-mini", &[app, ("x-tollgate-task", "t-1")], json_answer());
        call((profile, &gateway), 0, "gpt-4.1-mini", &[app, ("x-tollgate-task", "t-2")], json_answer());
        // Each later call of no task reports on one of them.
        let report = |task, result, worker| {
            let headers = [
                app,
                ("x-tollgate-outcome", result),
                ("x-tollgate-outcome-task", task),
                ("x-tollgate-outcome-score", "0.5"),
                ("x-tollgate-outcome-sla", "met"),
            ];
            call((profile, &gateway), worker, "gpt-4.1-nano", &headers, json_answer())["task_outcome"].clone()
        };
        let rejected = report("t-1", "rejected", 1);
        assert_eq!(
            (&rejected["task_cost_usd"], &rejected["cost_per_accepted_usd"]),
            (&first["cost_usd"], &Value::Null)
        );
        let accepted = report("t-2", "accepted", 0);
        let both = 2.0 * dollars(&first["cost_usd"]);
        assert!((dollars(&accepted["cost_per_accepted_usd"]) - both).abs() < 1e-12, "{profile:?}: {accepted}");
        assert_eq!((&accepted["accepted"], &accepted["rejected"]), (&json!(1), &json!(1)), "{profile:?}");
        assert_eq!((&accepted["score"], &accepted["sla_met"]), (&json!("0.5"), &json!(true)), "{profile:?}");
        // Another caller's task of the same name is another one.
        let headers =
            [("x-tollgate-app", "blog"), ("x-tollgate-outcome", "accepted"), ("x-tollgate-outcome-task", "t-2")];
        let other = call((profile, &gateway), 0, "gpt-4.1-nano", &headers, json_answer())["task_outcome"].clone();
        assert_eq!(other["task_cost_usd"], "0", "{profile:?}");
        let counted = |result| metric(&gateway, metric::TASK_OUTCOMES, &[("app", "shop"), ("result", result)]);
        assert_eq!((counted("accepted"), counted("rejected")), (Some(1), Some(1)), "{profile:?}");
        let cost = metric(&gateway, metric::TASK_OUTCOME_COST, &[("app", "shop"), ("result", "accepted")]).unwrap();
        assert!(cost.abs_diff((dollars(&first["cost_usd"]) * 1e9) as u64) <= 1, "{profile:?}: {cost}");
    }
}

#[test]
fn an_operator_reports_on_any_task() {
    let config = r#"{"operator": {"path": "/tollgate",
        "token_sha256": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"}}"#;
    for profile in [Profile::Envoy, Profile::Kong] {
        let gateway = sharing(profile, config);
        let headers = [("x-tollgate-app", "shop"), ("x-tollgate-task", "t-1")];
        let event = call((profile, &gateway), 0, "gpt-4.1-mini", &headers, json_answer());
        let head = RequestHead::new(
            "POST",
            "llm.example",
            "/tollgate?task=t-1&app=shop&outcome=accepted&outcome_evaluator=judge",
        );
        let stream = gateway.worker(1).open(head.header("authorization", "Bearer secret"));
        let outcome = stream.finish();
        let told = outcome.downstream.as_ref().map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
        let told: Value = serde_json::from_str(told.unwrap_or_default().trim()).expect("JSON");
        assert_eq!((&told["task_cost_usd"], &told["evaluator"]), (&event["cost_usd"], &json!("judge")), "{profile:?}");
        assert!(gateway.log().iter().any(|line| line.text.starts_with("tollgate outcome {")), "{profile:?}");
        assert_eq!(metric(&gateway, metric::TASK_OUTCOMES, &[("result", "accepted")]), Some(1), "{profile:?}");
    }
}

#[test]
fn machines_of_ones_own_have_a_price_per_token_and_monthly_costs_stand_beside_it() {
    // 4 GPUs at $2.50 and half as much again on top: $15 an hour, over 3.6 million output tokens.
    let config = r#"{
        "prices": [{"model": "gpt-4.1-mini*", "gpu": {"usd_per_hour": "2.50", "count": 4, "reserve_percent": 20,
            "non_production_percent": 30, "input_tokens_per_second": 10000, "output_tokens_per_second": 1000}}],
        "monthly_costs": [{"item": "vector-db", "usd": "300", "scenario": "support"}]
    }"#;
    for profile in Profile::ALL {
        let gateway = gateway(profile, config);
        let event = call((profile, &gateway), 0, "gpt-4.1-mini", &[], json_answer());
        let tokens = |field: &str| event[field].as_f64().expect("tokens");
        let expected = (tokens("input_tokens") / 10_000.0 + tokens("output_tokens") / 1_000.0) * 15.0 / 3_600.0;
        let cost = dollars(&event["cost_usd"]);
        assert!((cost - expected).abs() < 1e-9, "{profile:?}: {cost} {expected}");
        if has_metrics(profile) {
            let labels = [("item", "vector-db"), ("scenario", "support")];
            assert_eq!(metric(&gateway, metric::MONTHLY_COST, &labels), Some(300_000_000_000), "{profile:?}");
        }
    }
}
