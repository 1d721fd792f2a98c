//! What callers say of themselves, in the many places where tools put it: JSON in a header (Portkey, Cloudflare,
//! LiteLLM), a header per property (Helicone), W3C `baggage` (OpenTelemetry, OpenInference), `metadata` in the body.
//!
//! Everywhere members have names, and the same few names mean a dimension; case, `-`, `_` and `.` do not matter.
//! Sources: Portkey "Metadata", Cloudflare AI Gateway "Custom metadata", Helicone "Custom properties", LiteLLM "Request
//! headers", OpenInference semantic conventions, OTel registry, W3C Baggage.
//! Must not know: how far a claim is believed.

use super::Dimension;
use crate::head::Headers;
use serde_json::Value;

/// Headers that hold a JSON object of members.
const JSON_HEADERS: [&str; 3] = ["x-portkey-metadata", "cf-aig-metadata", "x-litellm-spend-logs-metadata"];
/// The start of a header that is a member by itself.
const PROPERTY_HEADER: &str = "helicone-property-";
/// Members that are looked at of one place; what a caller adds beyond costs nothing.
const MEMBERS_MAX: usize = 64;

/// The dimension that a member's name means.
fn dimension(name: &str) -> Option<Dimension> {
    let name: String = name
        .chars()
        .map(|letter| if matches!(letter, '-' | '.') { '_' } else { letter.to_ascii_lowercase() })
        .collect();
    let name = name.trim_start_matches('_');
    let name = name.strip_prefix("tollgate_").unwrap_or(name);
    Some(match name {
        "app" | "app_id" | "application" | "application_id" | "llm_application_id" | "service_name" => Dimension::App,
        "team" | "team_id" | "department" => Dimension::Team,
        "user" | "user_id" | "end_user" | "end_user_id" | "enduser_id" => Dimension::User,
        "agent" | "agent_id" | "agent_name" | "gen_ai_agent_id" | "gen_ai_agent_name" => Dimension::Agent,
        "parent_agent" | "parent_agent_id" | "parent_agent_name" => Dimension::ParentAgent,
        "session" | "session_id" | "conversation_id" | "gen_ai_conversation_id" | "thread_id" => Dimension::Session,
        "task" | "task_id" | "llm_task_id" => Dimension::Task,
        "task_type" | "llm_task_type" => Dimension::TaskType,
        "scenario" => Dimension::Scenario,
        "feature" => Dimension::Feature,
        "environment" | "env" | "deployment_environment" | "deployment_environment_name" => Dimension::Environment,
        "template_version" | "prompt_version" | "prompt_template_version" | "llm_prompt_template_version" => {
            Dimension::TemplateVersion
        }
        "owner" | "cost_center" => Dimension::Owner,
        _ => return None,
    })
}

/// Calls `claim` with every value that the headers claim, the stronger place first.
#[inline(never)]
pub(super) fn in_headers(headers: &Headers<'_>, mut claim: impl FnMut(Dimension, &str)) {
    for name in JSON_HEADERS {
        headers.get(name).into_iter().for_each(|json| in_json(json, &mut claim));
    }
    for (name, value) in headers.iter() {
        let property = name.get(..PROPERTY_HEADER.len()).filter(|start| start.eq_ignore_ascii_case(PROPERTY_HEADER));
        let member = property.and_then(|start| name.get(start.len()..)).and_then(dimension);
        member.into_iter().for_each(|dimension| claim(dimension, value));
    }
    headers.get("baggage").into_iter().for_each(|baggage| in_baggage(baggage, &mut claim));
}

/// The members of a JSON object whose values are texts or numbers.
#[inline(never)]
pub(super) fn in_json(json: &str, claim: &mut impl FnMut(Dimension, &str)) {
    let Ok(Value::Object(members)) = serde_json::from_str(json) else { return };
    for (name, value) in members.iter().take(MEMBERS_MAX) {
        let Some(dimension) = dimension(name) else { continue };
        match value {
            Value::String(text) => claim(dimension, text),
            Value::Number(number) => claim(dimension, &number.to_string()),
            _ => {}
        }
    }
}

/// `key=value;property, key=value`, values percent-encoded.
#[inline(never)]
fn in_baggage(baggage: &str, claim: &mut impl FnMut(Dimension, &str)) {
    for member in baggage.split(',').take(MEMBERS_MAX) {
        let Some((name, value)) = member.split(';').next().and_then(|member| member.split_once('=')) else { continue };
        if let Some(dimension) = dimension(name.trim()) {
            claim(dimension, &crate::head::percent_decoded(value.trim()));
        }
    }
}

/// The session that Claude Code writes into Anthropic's `metadata.user_id`: `user_..._account_..._session_<uuid>`, or a
/// JSON object with `session_id`.
pub(super) fn in_user_id(user: &str, claim: &mut impl FnMut(Dimension, &str)) {
    match user.rsplit_once("_session_") {
        Some((_, session)) => claim(Dimension::Session, session),
        None => in_json(user, claim),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: (&str, &str), expected: &[(Dimension, &str)]) {
        let pairs = [header];
        let mut found = Vec::new();
        in_headers(&Headers::new(&pairs), |dimension, value| found.push((dimension, value.to_owned())));
        let found: Vec<_> = found.iter().map(|(dimension, value)| (*dimension, value.as_str())).collect();
        assert_eq!(found, expected, "{header:?}");
    }

    #[test]
    fn the_same_names_mean_a_dimension_wherever_they_stand() {
        use Dimension::{App, Environment, Session, Team, User};
        let json = r#"{"_user": "ada", "environment": "test", "team": 7, "deep": {"team": "x"}, "Session-Id": "s"}"#;
        for header in JSON_HEADERS {
            check((header, json), &[(Session, "s"), (User, "ada"), (Environment, "test"), (Team, "7")]);
        }
        check(("Helicone-Property-App", "shop"), &[(App, "shop")]);
        check(("helicone-property-Colour", "red"), &[]);
        check(
            ("baggage", "session.id=a%20b;ttl=5 , enduser.id=ada,llm.application_id=shop,x=y,broken"),
            &[(Session, "a b"), (User, "ada"), (App, "shop")],
        );
        check(("x-portkey-metadata", "not json"), &[]);
    }

    #[test]
    fn claude_codes_session_is_read_out_of_its_user_id() {
        for user in ["user_f00_account_b4_session_6f-1", r#"{"device_id":"d","session_id":"6f-1"}"#] {
            let mut found = Vec::new();
            in_user_id(user, &mut |dimension, value: &str| found.push((dimension, value.to_owned())));
            assert_eq!(found, [(Dimension::Session, "6f-1".to_owned())], "{user}");
        }
    }
}
