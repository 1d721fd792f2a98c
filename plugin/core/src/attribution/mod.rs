//! Who a call belongs to: one value per [`Dimension`], with how far it can be trusted.
//!
//! `sources` says where values come from, `claims` what callers call them, `api_key` how a key becomes a hash.
//! Invariants: a weaker source never replaces a stronger one; values are bounded in length; no API key is kept.
//! Must not know: what is done with the values.

mod api_key;
mod claims;
mod sources;

pub use sources::{Source, Sources};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something a call can be attributed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
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

/// Longest value kept; longer ones are cut and end in `…`, so that the cut shows.
const VALUE_MAX: usize = 256;

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

    /// How far a dimension's value can be relied on; `None` where it has none.
    #[must_use]
    pub fn trust(&self, dimension: Dimension) -> Option<Trust> {
        self.0.get(&dimension).map(|(_, trust)| *trust)
    }

    /// Who calls, as far as that is no claim of the client's own: the narrowest that the gateway names, else the key
    /// that the provider will ask for. Everybody without either is one.
    #[must_use]
    pub fn principal(&self) -> String {
        let narrowest =
            [Dimension::User, Dimension::Agent, Dimension::App, Dimension::Team, Dimension::Owner, Dimension::ApiKey];
        let known = narrowest.into_iter().find(|dimension| self.trust(*dimension) == Some(Trust::Gateway));
        known.map_or_else(String::new, |dimension| {
            format!("{}={}", dimension.name(), self.get(dimension).unwrap_or_default())
        })
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

    #[test]
    fn a_weaker_or_later_source_does_not_replace_a_value() {
        let mut attribution = Attribution::default();
        attribution.set(Dimension::Team, "search".to_owned(), Trust::Client);
        attribution.set(Dimension::Team, "sales".to_owned(), Trust::Client);
        assert_eq!(attribution.get(Dimension::Team), Some("search"));
        attribution.set(Dimension::Team, "web".to_owned(), Trust::Gateway);
        attribution.set(Dimension::Team, "sales".to_owned(), Trust::Client);
        attribution.set(Dimension::Team, String::new(), Trust::Gateway);
        assert_eq!(
            (attribution.get(Dimension::Team), attribution.trust(Dimension::Team)),
            (Some("web"), Some(Trust::Gateway))
        );
    }

    #[test]
    fn a_value_that_is_too_long_is_cut_visibly() {
        let long = "ä".repeat(VALUE_MAX + 1);
        let kept = bounded(&long);
        assert_eq!((kept.chars().count(), kept.ends_with('…')), (VALUE_MAX + 1, true));
    }
}
