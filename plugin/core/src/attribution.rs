//! Who a call belongs to: one value per [`Dimension`], with how far it can be trusted.
//!
//! Sources, strongest first: a value the configuration fixes, headers that only the gateway sets, headers of the
//! client, the end user that the request body names. API keys are never kept, only a keyed hash of them.
//! Invariants: a weaker source never replaces a stronger one; values are bounded in length.
//! Must not know: what is done with the values.

use crate::head::Headers;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something a call can be attributed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// The application.
    App,
    /// The team or department.
    Team,
    /// The person or end user.
    User,
    /// The agent that makes the call.
    Agent,
    /// The agent that started it.
    ParentAgent,
    /// The conversation.
    Session,
    /// The task that the call is a step of.
    Task,
    /// The kind of task.
    TaskType,
    /// The scenario a task belongs to.
    Scenario,
    /// The product feature.
    Feature,
    /// `production`, `staging`, ...
    Environment,
    /// The version of the prompt template.
    TemplateVersion,
    /// Who answers for the cost.
    Owner,
    /// The API key, as a keyed hash.
    ApiKey,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 14] = [
        Self::App,
        Self::Team,
        Self::User,
        Self::Agent,
        Self::ParentAgent,
        Self::Session,
        Self::Task,
        Self::TaskType,
        Self::Scenario,
        Self::Feature,
        Self::Environment,
        Self::TemplateVersion,
        Self::Owner,
        Self::ApiKey,
    ];

    /// The name used in the configuration, events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Team => "team",
            Self::User => "user",
            Self::Agent => "agent",
            Self::ParentAgent => "parent_agent",
            Self::Session => "session",
            Self::Task => "task",
            Self::TaskType => "task_type",
            Self::Scenario => "scenario",
            Self::Feature => "feature",
            Self::Environment => "environment",
            Self::TemplateVersion => "template_version",
            Self::Owner => "owner",
            Self::ApiKey => "api_key",
        }
    }

    /// The client headers read by default: Tollgate's own and what common clients send. Names have hyphens, since
    /// nginx drops headers with dots or underscores.
    #[must_use]
    pub const fn default_headers(self) -> &'static [&'static str] {
        match self {
            Self::App => &["x-tollgate-app"],
            Self::Team => &["x-tollgate-team"],
            Self::User => &["x-tollgate-user", "x-litellm-end-user-id", "x-litellm-customer-id", "helicone-user-id"],
            Self::Agent => &["x-tollgate-agent"],
            Self::ParentAgent => &["x-tollgate-parent-agent"],
            Self::Session => &[
                "x-tollgate-session",
                "x-litellm-session-id",
                "helicone-session-id",
                "x-claude-code-session-id",
                "agent-session-id",
            ],
            Self::Task => &["x-tollgate-task"],
            Self::TaskType => &["x-tollgate-task-type"],
            Self::Scenario => &["x-tollgate-scenario"],
            Self::Feature => &["x-tollgate-feature"],
            Self::Environment => &["x-tollgate-environment"],
            Self::TemplateVersion => &["x-tollgate-template-version"],
            Self::Owner => &["x-tollgate-owner"],
            Self::ApiKey => &[],
        }
    }
}

/// How far a value can be relied on. A higher trust is a stronger source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// The caller claims it.
    Client,
    /// The gateway or its operator says so.
    Gateway,
}

/// Where the value of one dimension comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// A fixed value.
    pub value: Option<String>,
    /// Headers that only the gateway sets, strongest first.
    pub gateway_headers: Vec<String>,
    /// Headers of the client, strongest first.
    pub client_headers: Vec<String>,
}

impl Source {
    fn read(&self, headers: &Headers<'_>) -> Option<(String, Trust)> {
        let first = |names: &[String]| names.iter().find_map(|name| headers.get(name)).map(bounded);
        self.value
            .clone()
            .or_else(|| first(&self.gateway_headers))
            .map(|value| (value, Trust::Gateway))
            .or_else(|| first(&self.client_headers).map(|value| (value, Trust::Client)))
    }
}

/// The sources of all dimensions, and the secret API keys are hashed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// By dimension.
    pub dimensions: BTreeMap<Dimension, Source>,
    /// The key of the hash that stands for an API key; empty where none is configured.
    pub secret: String,
}

/// Headers in which providers expect the API key.
const API_KEY_HEADERS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
/// Longest value kept; longer ones are cut and end in `…`, so that the cut shows.
const VALUE_MAX: usize = 256;

impl Sources {
    /// Who a request with these headers belongs to.
    #[must_use]
    pub fn resolve(&self, headers: &Headers<'_>) -> Attribution {
        let mut attribution = Attribution::default();
        for (dimension, source) in &self.dimensions {
            if let Some((value, trust)) = source.read(headers) {
                attribution.set(*dimension, value, trust);
            }
        }
        if let Some(key) = API_KEY_HEADERS.into_iter().find_map(|name| headers.get(name)) {
            attribution.set(Dimension::ApiKey, self.hash(key), Trust::Gateway);
        }
        attribution
    }

    /// 64 bits of HMAC-SHA256 over the key itself, without its scheme (`Bearer`), in hexadecimal.
    fn hash(&self, key: &str) -> String {
        let key = key.rsplit(' ').next().unwrap_or(key);
        let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(self.secret.as_bytes()) else {
            return String::from("unhashed");
        };
        mac.update(key.as_bytes());
        mac.finalize().into_bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A value without surrounding space, cut to the bound.
pub(crate) fn bounded(value: &str) -> String {
    let value = value.trim();
    match value.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

/// Who a call belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attribution(BTreeMap<Dimension, (String, Trust)>);

impl Attribution {
    /// The value of a dimension.
    #[must_use]
    pub fn get(&self, dimension: Dimension) -> Option<&str> {
        self.0.get(&dimension).map(|(value, _)| value.as_str())
    }

    /// Sets a value unless a source at least as strong already did.
    pub fn set(&mut self, dimension: Dimension, value: String, trust: Trust) {
        let is_stronger = self.0.get(&dimension).is_none_or(|(_, known)| trust > *known);
        if is_stronger && !value.is_empty() {
            self.0.insert(dimension, (value, trust));
        }
    }

    /// The end user that the body names: the weakest source there is.
    pub fn set_end_user(&mut self, user: &str) {
        self.set(Dimension::User, bounded(user), Trust::Client);
    }
}

/// An object with one member per known dimension.
impl Serialize for Attribution {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(dimension, (value, _))| (dimension.name(), value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(source: Source) -> Sources {
        Sources { dimensions: BTreeMap::from([(Dimension::Team, source)]), secret: "s".to_owned() }
    }

    #[test]
    fn a_client_cannot_spoof_what_the_gateway_knows() {
        let sources = sources(Source {
            value: None,
            gateway_headers: vec!["x-consumer-group".to_owned()],
            client_headers: vec!["x-team".to_owned()],
        });
        let both = [("x-team", "research"), ("X-Consumer-Group", "search")];
        assert_eq!(sources.resolve(&Headers::new(&both)).get(Dimension::Team), Some("search"));
        let claimed = [("x-team", "research")];
        let mut attribution = sources.resolve(&Headers::new(&claimed));
        assert_eq!(attribution.get(Dimension::Team), Some("research"));
        attribution.set(Dimension::Team, "sales".to_owned(), Trust::Client);
        assert_eq!(attribution.get(Dimension::Team), Some("research"));
    }

    #[test]
    fn an_api_key_is_kept_as_a_keyed_hash_whatever_header_carries_it() {
        let sources = sources(Source::default());
        let bearer = sources.resolve(&Headers::new(&[("authorization", "Bearer sk-1")]));
        let plain = sources.resolve(&Headers::new(&[("x-api-key", "sk-1")]));
        assert_eq!(bearer.get(Dimension::ApiKey), plain.get(Dimension::ApiKey));
        assert_eq!(bearer.get(Dimension::ApiKey).map(str::len), Some(16));
        assert!(!format!("{bearer:?}").contains("sk-1"));
        let other = Sources { secret: "t".to_owned(), ..sources };
        assert_ne!(
            other.resolve(&Headers::new(&[("x-api-key", "sk-1")])).get(Dimension::ApiKey),
            plain.get(Dimension::ApiKey)
        );
    }

    #[test]
    fn a_value_that_is_too_long_is_cut_visibly() {
        let long = "ä".repeat(VALUE_MAX + 1);
        let kept = bounded(&long);
        assert_eq!((kept.chars().count(), kept.ends_with('…')), (VALUE_MAX + 1, true));
    }
}
