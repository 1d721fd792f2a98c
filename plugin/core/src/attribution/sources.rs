//! Where the values of each dimension come from, and what of them is kept.
//!
//! Strongest first: a value that the configuration fixes, headers that only the gateway sets, headers of the client,
//! its claims in other headers, what the body says. A dimension that is configured takes its values from there alone.
//! Must not know: what is done with the values.

use super::{Attribution, Dimension, Trust, api_key, bounded, claims};
use crate::config::raw::Policy;
use crate::head::{Headers, RequestHead};
use std::collections::BTreeMap;

/// Where the value of one dimension comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// A fixed value.
    pub value: Option<String>,
    /// Headers that only the gateway sets, strongest first.
    pub gateway_headers: Vec<String>,
    /// Headers of the client, strongest first.
    pub client_headers: Vec<String>,
    /// Take what the client claims elsewhere: metadata and baggage, in headers and body.
    pub takes_claims: bool,
    /// What of a value is kept.
    pub policy: Policy,
}

/// The sources of all dimensions, and the secret that hashes are keyed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// By dimension.
    pub dimensions: BTreeMap<Dimension, Source>,
    /// The key of the hashes; empty where none is configured.
    pub secret: String,
}

impl Source {
    /// Whether a client cannot make its values up, as long as the gateway strips the headers that it sets itself.
    #[must_use]
    pub fn is_gateways(&self) -> bool {
        self.value.is_some() || !self.gateway_headers.is_empty()
    }

    /// What counts without configuration: Tollgate's own headers, those of common clients, and claims. Names have
    /// hyphens, since nginx drops headers with dots or underscores.
    #[must_use]
    pub fn default_of(dimension: Dimension) -> Self {
        let own = format!("x-tollgate-{}", dimension.name().replace('_', "-"));
        let others: &[&str] = match dimension {
            Dimension::User => {
                &["x-litellm-end-user-id", "x-litellm-customer-id", "helicone-user-id", "x-openwebui-user-id"]
            }
            Dimension::Session => &[
                "x-litellm-session-id",
                "helicone-session-id",
                "x-claude-code-session-id",
                "x-session-id",
                "session-id",
                // Codex; nginx drops it unless told otherwise.
                "session_id",
                "agent-session-id",
                "x-agent-session",
            ],
            Dimension::Owner => &["x-consumer-username", "x-mse-consumer"],
            Dimension::Team => &["x-tenant-id"],
            _ => &[],
        };
        let others = others.iter().map(|name| (*name).to_owned());
        let client_headers = match dimension {
            // Only what authenticates the caller tells whose key it is.
            Dimension::ApiKey => Vec::new(),
            _ => std::iter::once(own).chain(others).collect(),
        };
        Self { client_headers, takes_claims: dimension != Dimension::ApiKey, ..Self::default() }
    }

    fn read(&self, headers: &Headers<'_>) -> Option<(String, Trust)> {
        let first = |names: &[String]| names.iter().find_map(|name| headers.get(name)).map(bounded);
        self.value
            .clone()
            .or_else(|| first(&self.gateway_headers))
            .map(|value| (value, Trust::Gateway))
            .or_else(|| first(&self.client_headers).map(|value| (value, Trust::Client)))
    }
}

impl Sources {
    /// A key for hashes that gateways with the same secret make alike; `None` without a secret.
    pub(crate) fn fingerprint_key(&self) -> Option<[u64; 2]> {
        let half = |half| u64::from_str_radix(&api_key::keyed_hash(&self.secret, half), 16).ok();
        if self.secret.is_empty() {
            return None;
        }
        Some([half("fingerprint/0")?, half("fingerprint/1")?])
    }

    /// Who a request with this head belongs to. `key_headers` are those in which the provider looks for the API key, in its
    /// order.
    #[must_use]
    #[inline(never)]
    pub fn resolve(&self, head: &RequestHead<'_>, key_headers: &[&str]) -> Attribution {
        let mut attribution = Attribution::default();
        for (dimension, source) in &self.dimensions {
            if let Some((value, trust)) = source.read(&head.headers) {
                self.set(&mut attribution, *dimension, &value, trust);
            }
        }
        if let Some(key) = api_key::of(head, key_headers) {
            let hash = api_key::keyed_hash(&self.secret, &key);
            attribution.set(Dimension::ApiKey, hash, Trust::Gateway);
        }
        claims::in_headers(&head.headers, |dimension, value| self.claim(&mut attribution, dimension, value));
        attribution
    }

    /// Adds what the request's body says of the caller: the weakest source there is.
    #[inline(never)]
    pub fn add_body(&self, attribution: &mut Attribution, end_user: Option<&str>, metadata: Option<&str>) {
        let mut claim = |dimension, value: &str| self.claim(attribution, dimension, value);
        metadata.into_iter().for_each(|metadata| claims::in_json(metadata, &mut claim));
        if let Some(user) = end_user {
            claims::in_user_id(user, &mut claim);
            claim(Dimension::User, user);
        }
    }

    fn claim(&self, attribution: &mut Attribution, dimension: Dimension, value: &str) {
        if self.dimensions.get(&dimension).is_some_and(|source| source.takes_claims) {
            self.set(attribution, dimension, value, Trust::Client);
        }
    }

    fn set(&self, attribution: &mut Attribution, dimension: Dimension, value: &str, trust: Trust) {
        let policy = self.dimensions.get(&dimension).map_or(Policy::Keep, |source| source.policy);
        match policy {
            Policy::Drop => {}
            _ if value.trim().is_empty() => {}
            Policy::Keep => attribution.set(dimension, bounded(value), trust),
            Policy::Hmac => attribution.set(dimension, api_key::keyed_hash(&self.secret, value.trim()), trust),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(source: Source, pairs: &[(&str, &str)]) -> Attribution {
        let dimensions =
            BTreeMap::from([(Dimension::Team, source), (Dimension::User, Source::default_of(Dimension::User))]);
        let sources = Sources { dimensions, secret: "s".to_owned() };
        let mut attribution = sources
            .resolve(&RequestHead { headers: Headers::new(pairs), ..RequestHead::default() }, &["authorization"]);
        sources.add_body(&mut attribution, Some("ada"), Some(r#"{"team": "from the body"}"#));
        attribution
    }

    fn team(source: Source, pairs: &[(&str, &str)]) -> Option<String> {
        resolved(source, pairs).get(Dimension::Team).map(str::to_owned)
    }

    #[test]
    fn a_client_cannot_spoof_what_the_gateway_knows() {
        let source = Source {
            gateway_headers: vec!["x-consumer-group".to_owned()],
            client_headers: vec!["x-team".to_owned()],
            ..Source::default()
        };
        let claimed = [("x-team", "research"), ("baggage", "team=sales")];
        let both = [claimed[0], claimed[1], ("X-Consumer-Group", "search")];
        assert_eq!(team(source.clone(), &both).as_deref(), Some("search"));
        assert_eq!(team(source, &claimed).as_deref(), Some("research"));
    }

    #[test]
    fn a_stronger_place_outranks_a_weaker_one() {
        let metadata = ("cf-aig-metadata", r#"{"team": "metadata"}"#);
        let (property, baggage) = (("helicone-property-team", "property"), ("baggage", "team=baggage"));
        let places = [baggage, property, metadata, ("x-tollgate-team", "header")];
        for (at, expected) in ["from the body", "baggage", "property", "metadata", "header"].iter().enumerate() {
            let source = Source::default_of(Dimension::Team);
            assert_eq!(team(source, &places[..at]).as_deref(), Some(*expected));
        }
    }

    #[test]
    fn a_dimension_that_is_configured_takes_no_claims() {
        let source = Source { client_headers: vec!["x-team".to_owned()], ..Source::default() };
        assert_eq!(team(source, &[("baggage", "team=sales")]), None);
    }

    #[test]
    fn a_value_is_kept_hashed_or_dropped_as_its_policy_says() {
        let with = |policy| Source { policy, ..Source::default_of(Dimension::Team) };
        let hashed = team(with(Policy::Hmac), &[("x-tollgate-team", "search")]).unwrap();
        assert_eq!((hashed.len(), hashed.contains("search")), (16, false));
        assert_eq!(team(with(Policy::Hmac), &[("baggage", "team=search")]).as_deref(), Some(hashed.as_str()));
        assert_eq!(team(with(Policy::Drop), &[("x-tollgate-team", "search")]), None);
    }

    #[test]
    fn no_header_names_an_api_key_but_those_that_carry_it() {
        let pairs = [("x-tollgate-api-key", "k"), ("baggage", "api_key=k")];
        assert_eq!(resolved(Source::default(), &pairs).get(Dimension::ApiKey), None);
        let key = resolved(Source::default(), &[("authorization", "Bearer sk-1")]);
        assert_eq!(key.trust(Dimension::ApiKey), Some(Trust::Gateway));
    }
}
