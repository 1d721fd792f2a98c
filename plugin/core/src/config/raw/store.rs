//! The store that a fleet of gateways shares, as written.
//!
//! Must not know: what is stored.

use crate::config::decode::{choice, object};
use serde::Serialize;
use std::collections::BTreeMap;

/// Redis behind an HTTP interface, where all gateways of a fleet add up what they spend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, default))]
pub struct RawStore {
    /// The interface.
    pub kind: StoreKind,
    /// Where it is: on Envoy the name of a cluster, on Kong and APISIX `host:port`.
    pub target: String,
    /// The `:authority` of the requests; `target` when absent.
    pub authority: Option<String>,
    /// The path of the requests.
    pub path: String,
    /// Header fields of the requests, for a password or a token.
    pub headers: BTreeMap<String, String>,
    /// What all keys in Redis begin with. Gateways with the same prefix are one fleet.
    pub key_prefix: String,
    /// How often a gateway says what it spent and hears what the others did, in milliseconds.
    pub interval_ms: u32,
    /// How long an answer may take, in milliseconds; a call that must wait for one waits no longer.
    pub timeout_ms: u32,
}

object!(RawStore { kind, target, authority, path, headers, key_prefix, interval_ms, timeout_ms });

impl Default for RawStore {
    fn default() -> Self {
        Self {
            kind: StoreKind::Webdis,
            target: String::new(),
            authority: None,
            path: "/".to_owned(),
            headers: BTreeMap::new(),
            key_prefix: "tollgate:".to_owned(),
            interval_ms: 200,
            timeout_ms: 500,
        }
    }
}

/// An HTTP interface of Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// Webdis: commands as paths.
    #[default]
    Webdis,
    /// Upstash and what imitates it: commands as JSON.
    Upstash,
}

choice!(StoreKind: Webdis, Upstash);

/// Whether all gateways of a fleet share a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RawFleet {
    /// Each gateway has the whole amount for itself.
    #[default]
    Off,
    /// Each decides by the sum it last heard of.
    Eventual,
    /// Each spends leases of what is left.
    Strict,
}

choice!(RawFleet: Off, Eventual, Strict);
