//! Templates: the instructions and tool definitions that an application sends before everything else, and when they
//! drift.
//!
//! A template is new when it is none of the last four of its application (and agent, and model: tokens of two models
//! do not compare). Then it is held against the one used last.
//! Invariants: bounded records; of a tool's name a checksum is kept, which decides about nothing but whether it is new.
//! Must not know: how records are stored.
#![deny(clippy::arithmetic_side_effects)]

use super::codec::{self, Coded};
use super::line::Line;
use super::{Difference, LIFETIME_MS, Miss, MissReason, Sighting};
use crate::ledger::Bytes;
use crate::prompt::{Component, Part};
use crate::time::Timestamp;
use serde::Serialize;
use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};

/// Templates that an application is known by.
const TEMPLATES_MAX: usize = 4;
/// Tools whose names are remembered.
const TOOLS_MAX: usize = 128;
/// Names of tools that a drift tells.
const NAMED_MAX: usize = 16;
/// An application that rests for this long is forgotten.
const FORGOTTEN_MS: u64 = LIFETIME_MS.saturating_mul(2);

/// The template that a call was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TemplateUse {
    /// Tells it from others: a keyed hash of the instructions and tool definitions that the prompt begins with.
    pub fingerprint: String,
    /// Its tokens.
    pub tokens: u64,
    /// How it differs from the one that the application used before; `null` where it is none the application's first
    /// four, or the application has no name.
    pub drift: Option<Drift>,
}

/// How a template differs from the one that its application used before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Drift {
    /// The component that grew most; where none grew, the one that shrank most.
    pub component: &'static str,
    /// By how many tokens the instructions grew; negative where they shrank.
    pub system_tokens: i64,
    /// By how many tokens the tool definitions grew; negative where they shrank.
    pub tools_tokens: i64,
    /// Tools that were not there before, 16 at most.
    pub tools_added: Vec<String>,
    /// How many tools are no longer there.
    pub tools_removed: u64,
    /// The first element that differs; `null` where nothing but the end is gone.
    pub first_difference: Option<Difference>,
}

/// The last templates of an application, the last used first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates {
    known: Vec<Template>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Template {
    line: Line,
    system: Section,
    tools: Section,
    /// Checksums of the tools' names.
    names: Vec<u32>,
    lifetime_s: u32,
    since_ms: u64,
    used_ms: u64,
}

/// All elements of one component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Section {
    hash: u64,
    tokens: u64,
}

impl Coded for Template {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.line.write(bytes);
        self.names.write(bytes);
        self.lifetime_s.write(bytes);
        let (system, tools) = (self.system, self.tools);
        let numbers = [system.hash, system.tokens, tools.hash, tools.tokens, self.since_ms, self.used_ms];
        numbers.iter().for_each(|number| number.write(bytes));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (line, names, lifetime_s) = (Coded::read(bytes)?, Coded::read(bytes)?, Coded::read(bytes)?);
        let mut section = || Some(Section { hash: Coded::read(bytes)?, tokens: Coded::read(bytes)? });
        let (system, tools) = (section()?, section()?);
        Some(Self {
            line,
            system,
            tools,
            names,
            lifetime_s,
            since_ms: Coded::read(bytes)?,
            used_ms: Coded::read(bytes)?,
        })
    }
}

impl Section {
    fn grown(self, before: Self) -> i64 {
        if self.hash == before.hash {
            return 0;
        }
        let signed = |tokens| i64::try_from(tokens).unwrap_or(i64::MAX);
        signed(self.tokens).saturating_sub(signed(before.tokens))
    }
}

impl Templates {
    /// What is remembered as these bytes.
    #[must_use]
    pub fn of_bytes(bytes: &Bytes) -> Self {
        Self { known: codec::decode(&bytes.0) }
    }

    /// The bytes that it is remembered as.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        Bytes(codec::encode(&self.known))
    }

    /// Holds a call that is the first of its conversation, or the first with this template, against the templates
    /// before, and takes its template up.
    pub fn observe(&mut self, call: &Sighting, now: Timestamp) -> (Option<Miss>, Option<Drift>) {
        let hashes = call.template_hashes();
        let is_same = |known: &Template| known.line.len() == hashes.len() && known.line.common(hashes) == hashes.len();
        let at = self.known.iter().position(is_same);
        let before = at.map(|at| self.known.remove(at));
        let last = self.known.first().filter(|_| before.is_none() && call.has_app);
        let drift = last.map(|last| call.drift(last));
        let miss = (call.alone().is_none() && call.read == 0).then(|| match (&before, &drift) {
            (Some(before), _) => call.missed_template(before),
            (None, Some(drift)) => {
                Miss { difference: drift.first_difference.clone(), ..Miss::from(MissReason::TemplateChanged) }
            }
            (None, None) => MissReason::Cold.into(),
        });
        self.known.truncate(TEMPLATES_MAX.saturating_sub(1));
        self.known.insert(0, Template::of(call, before.as_ref(), now));
        (miss, drift)
    }

    /// When the templates of an application that was seen now are forgotten, unless it is seen again.
    #[must_use]
    pub fn expires(now: Timestamp) -> Timestamp {
        now.plus_millis(FORGOTTEN_MS)
    }
}

impl Template {
    fn of(call: &Sighting, before: Option<&Self>, now: Timestamp) -> Self {
        let lifetime = before.map(|before| before.lifetime_s);
        Self {
            line: Line::of(call.template_hashes()),
            system: call.section(Component::System, call.system_tokens),
            tools: call.section(Component::Tools, call.tools_tokens),
            names: call.template_parts().filter_map(checksum).take(TOOLS_MAX).collect(),
            lifetime_s: call.caching.lifetime_s(call.written_5m, call.written_1h, lifetime),
            since_ms: before.map_or(now.millis(), |before| before.since_ms),
            used_ms: call.opened.millis(),
        }
    }
}

impl Sighting {
    /// The template; `None` of a prompt that has none.
    pub(crate) fn template(&self) -> Option<TemplateUse> {
        let hashes = self.template_hashes();
        (!hashes.is_empty()).then(|| TemplateUse {
            fingerprint: format!("{:016x}", hash(hashes)),
            tokens: self.system_tokens.saturating_add(self.tools_tokens),
            drift: None,
        })
    }

    fn template_hashes(&self) -> &[u32] {
        self.hashes.get(..self.template).unwrap_or_default()
    }

    fn template_parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().take(self.template)
    }

    fn section(&self, component: Component, tokens: u64) -> Section {
        let of_component = self.template_parts().filter(|part| part.component == component);
        let hashes: Vec<u32> = of_component.filter_map(|part| part.print.hash).collect();
        Section { hash: hash(&hashes), tokens }
    }

    /// Why nothing was read although the template was sent before.
    fn missed_template(&self, before: &Template) -> Miss {
        let rested = self.opened.millis().saturating_sub(before.used_ms);
        if self.template == 0 || before.since_ms > self.opened.millis() {
            return MissReason::Cold.into();
        }
        if rested >= u64::from(before.lifetime_s).saturating_mul(1_000) {
            return MissReason::Expired.into();
        }
        if self.is_too_short(self.template) {
            return MissReason::BelowMinimum.into();
        }
        Miss { difference: self.difference(self.template), ..Miss::from(MissReason::PrefixMismatch) }
    }

    fn drift(&self, before: &Template) -> Drift {
        let system_tokens = self.section(Component::System, self.system_tokens).grown(before.system);
        let tools_tokens = self.section(Component::Tools, self.tools_tokens).grown(before.tools);
        let is_tools = match (system_tokens.max(0), tools_tokens.max(0)) {
            (0, 0) => tools_tokens < system_tokens,
            (system, tools) => tools > system,
        };
        let named = || self.template_parts().filter_map(|part| Some((checksum(part)?, part.name.as_ref()?)));
        let is_known = |name: &u32| before.names.contains(name);
        let kept = named().filter(|(name, _)| is_known(name)).count();
        let added = named().filter(|(name, _)| !is_known(name) && before.names.len() < TOOLS_MAX);
        Drift {
            component: if is_tools { Component::Tools.name() } else { Component::System.name() },
            system_tokens,
            tools_tokens,
            tools_added: added.map(|(_, name)| name.clone()).take(NAMED_MAX).collect(),
            tools_removed: u64::try_from(before.names.len().saturating_sub(kept)).unwrap_or(u64::MAX),
            first_difference: self.difference(before.line.common(self.template_hashes())),
        }
    }
}

fn checksum(tool: &Part) -> Option<u32> {
    tool.name.as_ref().map(|name| crc32fast::hash(name.as_bytes()))
}

/// What hashes come to that are keyed already.
pub(super) fn hash(hashes: &[u32]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hashes.hash(&mut hasher);
    hasher.finish()
}
