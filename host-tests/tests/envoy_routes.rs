//! Limits on routes of a real Envoy: they hold for the routes that they name, by the names that Envoy gives them.

mod support;

use serde_json::json;
use support::Room;
use tollgate_host::agent::client;
use tollgate_host::artifact;
use tollgate_host::standin::Dialect;

/// Two named routes, which a header chooses, before the shipped ones, which have no name.
fn room() -> Room {
    Room::tuned(artifact::wasm().expect("the filter builds"), |options| {
        let route = |name: &str| {
            let lane = json!({"name": "x-lane", "string_match": {"exact": name}});
            json!({
                "name": name, "match": {"prefix": "/v1/", "headers": [lane]},
                "route": {"cluster": "openai", "timeout": "0s"},
            })
        };
        options.first_routes = vec![route("batch-night"), route("chat")];
        options.configuration = json!({
            "attribution": {"environment": {"gateway_headers": ["x-environment"]}},
            "limits": [{
                "id": "batch", "match": {"route": "batch-*"}, "key": ["environment"],
                "measure": "requests", "per": "month", "limit": 2,
            }],
        });
    })
}

#[test]
fn a_budget_on_named_routes_holds_there_and_nowhere_else_and_each_environment_has_its_own() {
    let room = room();
    let (url, body) = (room.url(Dialect::OpenAiChat.path()), support::small_call(Dialect::OpenAiChat, false));
    let statuses = |lane: &str, environment: &str| {
        let headers = [("x-lane".to_owned(), lane.to_owned()), ("x-environment".to_owned(), environment.to_owned())];
        [(); 3].map(|()| client::post(&url, &headers, &body).expect("an answer").status)
    };
    assert_eq!(statuses("batch-night", "prod"), [200, 200, 429]);
    assert_eq!(statuses("batch-night", "qa"), [200, 200, 429], "another environment has its own amount");
    assert_eq!(statuses("chat", "prod"), [200; 3], "another name is not meant");
    assert_eq!(statuses("", "prod"), [200; 3], "a route without a name is none of them");
    let limited = room.log(12).iter().map(support::event).filter(|event| event["limits"] != json!([])).count();
    assert_eq!(limited, 6, "events name the limit only of calls that it is on");
}
