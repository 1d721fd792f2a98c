//! Why a prompt cache did not serve what it could have: the prompt's beginning, held against what was sent before.
//!
//! ```text
//! prompt -> fingerprints -> [the conversation's last prompts | the application's templates] -> reason, first difference
//! ```
//! A provider caches beginnings of prompts. So each conversation keeps the [`Line`]s of its last prompts in the ledger
//! and each application its [`Templates`]; a call is held against the one that it shares most with. What the provider
//! reports decides *whether* something was missed, the comparison only says *why*.
//!
//! Invariants: bounded records; no text is kept, only keyed hashes; a call that the provider served in full has no
//! reason; a call is never held against one that had not answered when it was sent.
//! Must not know: how records are stored; prices.
#![deny(clippy::arithmetic_side_effects)]

mod caching;
mod codec;
pub(crate) mod fingerprint;
mod line;
mod template;

pub(crate) use caching::Caching;
pub use template::{Drift, TemplateUse, Templates};

use crate::attribution::Dimension;
use crate::event::{Event, Outcome, UsageSource};
use crate::ledger::{Bytes, Key};
use crate::prompt::{Component, Part, Prompt};
use crate::response_cache;
use crate::time::Timestamp;
use crate::usage::Bucket;
use codec::Coded;
use line::Line;
use serde::Serialize;

/// Prompts that a conversation is known by: several agents may share a session.
const LINES_MAX: usize = 4;
/// A conversation that rests for this long is forgotten.
const LIFETIME_MS: u64 = 12 * 60 * 60 * 1_000;
/// What an automatic cache may leave unread of a beginning that it has: two steps of OpenAI's.
const SLACK: u64 = 256;
/// How many blocks back from a marker Anthropic looks for an entry, the marked one included ("Prompt caching").
const WINDOW_BLOCKS: u64 = 20;

/// Why a provider's prompt cache did not serve what it could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MissReason {
    /// Nothing like it was sent before, or nothing that was answered already.
    Cold,
    /// The instructions or tool definitions differ from those sent before.
    TemplateChanged,
    /// The conversation before the last message differs from what was sent before.
    PrefixMismatch,
    /// The same was sent before, longer ago than the cache keeps it.
    Expired,
    /// The last entry lies further back than the provider looks for it.
    WindowExceeded,
    /// What could be cached is less than the provider caches.
    BelowMinimum,
    /// The provider caches on request, and the request does not ask for it.
    NotRequested,
    /// The same was sent shortly before: the provider dropped it, or something outside of the prompt differs.
    Unexplained,
}

impl MissReason {
    /// The name used in events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::TemplateChanged => "template_changed",
            Self::PrefixMismatch => "prefix_mismatch",
            Self::Expired => "expired",
            Self::WindowExceeded => "window_exceeded",
            Self::BelowMinimum => "below_minimum",
            Self::NotRequested => "not_requested",
            Self::Unexplained => "unexplained",
        }
    }
}

/// The first element of a prompt that differs from what was sent before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Difference {
    /// The component that it belongs to.
    pub component: &'static str,
    /// Which one of the component's elements, from 0 on; in a prompt of more than 128 elements, one shortly before it.
    pub index: u64,
    /// The name, of a tool definition.
    pub tool: Option<String>,
}

/// What was missed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// Why.
    pub reason: MissReason,
    /// Where the prompt differs, if that is why.
    pub difference: Option<Difference>,
    /// Tokens that an earlier call had cached and that were not read.
    pub missed_tokens: Option<u64>,
}

impl From<MissReason> for Miss {
    fn from(reason: MissReason) -> Self {
        Self { reason, difference: None, missed_tokens: None }
    }
}

/// A call that is over, as far as it matters to what comes after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The conversation that the call belongs to.
    pub conversation: Key<Bytes>,
    /// The templates of its application.
    pub templates: Key<Bytes>,
    /// What is asked first, where it was answered: what a response cache would have kept for everybody; `None` further on
    /// in a conversation.
    pub answered: Option<Key<Bytes>>,
    /// When it was sent.
    pub opened: Timestamp,
    /// Somebody says which application and which conversation these are, rather than the key or nobody.
    has_app: bool,
    has_session: bool,
    parts: Vec<Part>,
    hashes: Vec<u32>,
    /// Leading elements that are instructions and tools.
    template: usize,
    caching: Caching,
    /// The provider says what its cache did.
    is_reported: bool,
    input: u64,
    read: u64,
    written_5m: u64,
    written_1h: u64,
    system_tokens: u64,
    tools_tokens: u64,
}

impl Sighting {
    /// The sighting of a call that is over; `None` where nothing was sent, or nothing is known of it.
    #[inline(never)]
    pub(crate) fn of(prompt: Prompt, event: &Event) -> Option<Box<Self>> {
        let is_worked_on =
            matches!(event.outcome, Outcome::Complete | Outcome::Truncated | Outcome::ClientGone | Outcome::Cut);
        let caching = Caching::of(&prompt, event);
        let parts: Vec<Part> = prompt.parts.into_iter().filter(|part| part.print.hash.is_some()).collect();
        let hashes: Vec<u32> = parts.iter().filter_map(|part| part.print.hash).collect();
        if !is_worked_on || hashes.is_empty() || event.usage_source == UsageSource::None {
            return None;
        }
        let of = |dimension| event.attribution.get(dimension).unwrap_or_default();
        let model = event.response_model.as_deref().or(event.request_model.as_deref()).unwrap_or_default();
        let [key, team, app, agent] = [Dimension::ApiKey, Dimension::Team, Dimension::App, Dimension::Agent].map(of);
        let is_first = parts.iter().all(|part| part.component != Component::History);
        let session = [Dimension::Session, Dimension::Task].map(of).into_iter().find(|session| !session.is_empty());
        let tokens = |component: Component| event.components.get(component.name()).map_or(0, |share| share.tokens);
        Some(Box::new(Self {
            conversation: Key::new(&["prefix", key, team, app, agent, model, session.unwrap_or_default()]),
            templates: Key::new(&["template", key, team, app, agent, model]),
            answered: (event.outcome == Outcome::Complete && is_first)
                .then(|| Key::new(&["answered", key, team, app, model, &format!("{:016x}", template::hash(&hashes))])),
            has_app: !app.is_empty(),
            has_session: session.is_some(),
            template: parts.iter().take_while(|part| is_template(part)).count(),
            parts,
            hashes,
            caching,
            opened: event.opened,
            is_reported: event.usage_source == UsageSource::Reported,
            input: event.usage.input_total(),
            read: event.usage.cache_read_total(),
            written_5m: event.usage.get(Bucket::CacheWrite5m),
            written_1h: event.usage.get(Bucket::CacheWrite1h),
            system_tokens: tokens(Component::System),
            tools_tokens: tokens(Component::Tools),
        }))
    }

    /// What the call itself tells, whatever came before it: a reason, or that nothing was missed; `None` where that
    /// takes a comparison.
    pub(crate) fn alone(&self) -> Option<Option<MissReason>> {
        let is_untouched = self.read == 0 && self.written() == 0;
        match self.caching {
            _ if !self.is_reported => Some(None),
            Caching::None => Some(None),
            Caching::OnRequest { is_asked: false } if is_untouched => Some(Some(MissReason::NotRequested)),
            Caching::OnRequest { is_asked: true } if is_untouched => Some(Some(MissReason::BelowMinimum)),
            // What is not written anew was read, up to the last marker.
            Caching::OnRequest { .. } if self.written() == 0 => Some(None),
            Caching::Automatic { least } if self.read == 0 && self.input < least => {
                Some(Some(MissReason::BelowMinimum))
            }
            Caching::OnRequest { .. } | Caching::Automatic { .. } => None,
        }
    }

    const fn written(&self) -> u64 {
        self.written_5m.saturating_add(self.written_1h)
    }

    /// Nothing to hold the call against.
    fn unseen(&self) -> Option<Miss> {
        (self.read == 0).then_some(MissReason::Cold.into())
    }

    /// Why it was not served from what a known prompt left in the cache, with which it shares its first `common`
    /// elements.
    fn missed(&self, known: &Known, common: usize) -> Option<Miss> {
        if known.cached == 0 || known.since_ms > self.opened.millis() {
            return self.unseen();
        }
        let has_read = self.read > 0;
        // Two calls at a time: what one of them added, the other cannot have read.
        if has_read && known.ended_ms > self.opened.millis() {
            return None;
        }
        let slack = if matches!(self.caching, Caching::Automatic { .. }) { SLACK } else { 0 };
        let is_served = has_read && self.read.saturating_add(slack) >= known.cached;
        let is_stale =
            self.opened.millis().saturating_sub(known.used_ms) >= u64::from(known.lifetime_s).saturating_mul(1_000);
        let is_in_template = common < self.template.max(known.template());
        let is_one_conversation = self.has_session || common > known.template();
        let difference = self.difference(common).filter(|_| common < known.line.len());
        let is_asked_anew = difference.as_ref().is_some_and(|found| found.component == Component::User.name());
        let reason = match difference {
            _ if is_served => return None,
            Some(_) if is_in_template => MissReason::TemplateChanged,
            // All that is common was read.
            Some(_) if has_read && (!is_one_conversation || is_asked_anew) => return None,
            _ if !has_read && is_stale => MissReason::Expired,
            Some(_) if self.is_too_short(common) && common <= known.template() => MissReason::BelowMinimum,
            Some(_) => MissReason::PrefixMismatch,
            None => self.lost(known, common, is_stale)?,
        };
        let is_explained = matches!(reason, MissReason::TemplateChanged | MissReason::PrefixMismatch);
        Some(Miss {
            reason,
            difference: difference.filter(|_| is_explained),
            missed_tokens: Some(known.cached.min(self.input).saturating_sub(self.read)),
        })
    }

    /// Why a beginning that is the same was not read.
    fn lost(&self, known: &Known, common: usize, is_stale: bool) -> Option<MissReason> {
        let has_read = self.read > 0;
        match self.caching {
            // The conversation went back: less is there to be read.
            _ if has_read && common < known.line.len() => None,
            Caching::None => None,
            Caching::Automatic { .. } if has_read => None,
            Caching::Automatic { least } if known.cached < least => Some(MissReason::BelowMinimum),
            _ if is_stale => Some(MissReason::Expired),
            Caching::OnRequest { .. } if self.blocks_after(common) >= WINDOW_BLOCKS => Some(MissReason::WindowExceeded),
            _ => Some(MissReason::Unexplained),
        }
    }

    /// Whether an automatic cache does not keep as little as these first elements.
    fn is_too_short(&self, elements: usize) -> bool {
        let tokens = self.parts.iter().take(elements).fold(0_u64, |sum, part| sum.saturating_add(part.tokens));
        matches!(self.caching, Caching::Automatic { least } if tokens < least)
    }

    fn blocks_after(&self, common: usize) -> u64 {
        self.parts.iter().skip(common).fold(0, |sum, part| sum.saturating_add(part.print.blocks.into()))
    }

    /// The element behind the first `common` ones; `None` where the prompt ends there.
    fn difference(&self, common: usize) -> Option<Difference> {
        let part = self.parts.get(common)?;
        let before = self.parts.iter().take(common).filter(|before| before.component == part.component).count();
        Some(Difference {
            component: part.component.name(),
            index: u64::try_from(before).unwrap_or(u64::MAX),
            tool: part.name.clone(),
        })
    }

    /// What of it the provider's cache holds from now on.
    const fn cached(&self) -> u64 {
        match self.caching {
            Caching::OnRequest { .. } => self.read.saturating_add(self.written()),
            Caching::Automatic { .. } => self.input,
            Caching::None => 0,
        }
    }
}

const fn is_template(part: &Part) -> bool {
    matches!(part.component, Component::System | Component::Tools)
}

/// A prompt that was sent, and what the provider's cache holds of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    line: Line,
    template: u32,
    /// Tokens.
    cached: u64,
    lifetime_s: u32,
    /// When the first answer came that filled the cache; before, nothing could be read.
    since_ms: u64,
    /// When it was sent, the last time.
    used_ms: u64,
    /// When the last answer was over.
    ended_ms: u64,
}

impl Known {
    fn template(&self) -> usize {
        usize::try_from(self.template).unwrap_or(usize::MAX)
    }
}

/// The last prompts of a conversation, or of all those of an application that have no name of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    known: Vec<Known>,
}

impl Coded for Known {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.line.write(bytes);
        [self.template, self.lifetime_s].iter().for_each(|number| number.write(bytes));
        [self.cached, self.since_ms, self.used_ms, self.ended_ms].iter().for_each(|number| number.write(bytes));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            line: Coded::read(bytes)?,
            template: Coded::read(bytes)?,
            lifetime_s: Coded::read(bytes)?,
            cached: Coded::read(bytes)?,
            since_ms: Coded::read(bytes)?,
            used_ms: Coded::read(bytes)?,
            ended_ms: Coded::read(bytes)?,
        })
    }
}

/// What a conversation says of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What was missed, as far as the conversation knows.
    pub miss: Option<Miss>,
    /// The call is the conversation's first with its template: its application may know more.
    pub is_new: bool,
    /// The conversation knows nothing that the call could be held against.
    pub is_cold: bool,
    /// The conversation had an answer to the very same prompt.
    pub is_repeated: bool,
}

impl Conversation {
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

    /// Holds a call against what was sent before, and takes it up, at its end.
    pub fn observe(&mut self, call: &Sighting, now: Timestamp) -> Seen {
        let best =
            self.known.iter().enumerate().map(|(at, known)| (known.line.common(&call.hashes), known.used_ms, at));
        let best = best.max().and_then(|(common, _, at)| Some((at, common, self.known.get(at)?)));
        let has_template =
            best.is_some_and(|(_, common, known)| known.template() == call.template && common >= call.template);
        let miss = match (call.alone(), best) {
            (Some(reason), _) => reason.map(Miss::from),
            (None, Some((_, common, known))) => call.missed(known, common),
            (None, None) => call.unseen(),
        };
        let is_cold = best.is_none();
        let is_repeated = best.is_some_and(|(_, common, known)| {
            common == call.hashes.len() && common == known.line.len() && known.could_serve(call.opened)
        });
        // The same conversation, further on or edited, takes the place of what it was.
        let before = best.filter(|(_, common, known)| *common >= known.line.len() || *common > known.template());
        let (at, before) = before.map(|(at, _, known)| (at, known.clone())).unzip();
        // A call that did not touch the cache leaves there what was there.
        if call.cached() > 0 || before.is_none() {
            if let Some(at) = at {
                self.known.remove(at);
            }
            self.known.truncate(LINES_MAX.saturating_sub(1));
            self.known.insert(0, Known::after(before.as_ref(), call, now));
        }
        Seen { miss, is_new: !has_template, is_cold, is_repeated }
    }

    /// When a conversation that was seen now is forgotten, unless it is seen again.
    #[must_use]
    pub fn expires(now: Timestamp) -> Timestamp {
        now.plus_millis(LIFETIME_MS)
    }
}

impl Known {
    /// Whether a response cache would have had the answer when a call was sent.
    fn could_serve(&self, opened: Timestamp) -> bool {
        let age = opened.millis().checked_sub(self.ended_ms);
        age.is_some_and(|age| age < response_cache::LIFETIME_MS)
    }

    /// What is known once a call is over, in the place of what was known before.
    fn after(before: Option<&Self>, call: &Sighting, now: Timestamp) -> Self {
        Self {
            line: Line::of(&call.hashes),
            template: u32::try_from(call.template).unwrap_or(u32::MAX),
            cached: call.cached(),
            lifetime_s: call.caching.lifetime_s(
                call.written_5m,
                call.written_1h,
                before.map(|before| before.lifetime_s),
            ),
            since_ms: before.filter(|before| before.cached > 0).map_or(now.millis(), |before| before.since_ms),
            used_ms: call.opened.millis(),
            ended_ms: now.millis(),
        }
    }
}
