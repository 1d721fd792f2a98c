//! Calls that come back for what an earlier call created: what they may charge, and to whom.
//!
//! Only what creates is billed, but a response made in the background and a batch state what they consumed only when
//! they are asked for, again and again. What is told is charged once, to whoever created it; a request that is told
//! nothing new is no call and has no event.
//! Who created something has a record of it that nobody else can make or stand in for: its key holds the principal, as
//! the gateway knows it. Whoever has no such record asks on behalf of the first that is known to have created it, or
//! to have asked for it.
//! Must not know: gateways; where records are kept; wire formats.

use crate::attribution::Attribution;
use crate::call::{Call, Unmetered};
use crate::dialect::{Role, Stored, StoredKind, UsagePart};
use crate::event::{Event, UsageSource};
use crate::ledger::{Bucket, Created, Creator, Keep, Key, LedgerError, Owner};
use crate::prompt::Component;
use crate::time::Timestamp;

/// What a call that is over has to do with what is kept at the provider.
#[derive(Debug)]
pub enum Standing {
    /// Nothing: it is a call of its own.
    Own,
    /// It is no call, and told nothing.
    Nothing,
    /// It created a batch, and is no call.
    Batch(Keys, Box<Creator>),
    /// It was told something.
    Told(Claim),
}

/// Under which keys something that is kept at the provider is known here.
#[derive(Clone, Debug)]
pub struct Keys {
    /// What the principal of the call knows of it.
    pub own: Key<Created>,
    /// Whose it is, where it is not the principal's.
    pub owner: Key<Owner>,
    /// The principal of the call, as an owner.
    pub principal: Owner,
    stored: Stored,
}

impl Keys {
    fn new(attribution: &Attribution, kind: StoredKind, id: &str) -> Self {
        let stored = Stored { kind, id: id.to_owned() };
        let principal = Owner(attribution.principal());
        let own = record(&stored, &principal);
        Self { own, owner: Key::new(&[kind.name(), id]), principal, stored }
    }

    /// The record of an owner.
    #[must_use]
    pub fn of(&self, owner: &Owner) -> Key<Created> {
        record(&self.stored, owner)
    }
}

fn record(stored: &Stored, Owner(principal): &Owner) -> Key<Created> {
    Key::new(&[stored.kind.name(), &stored.id, principal])
}

/// What a request was told, that may not have been charged yet.
#[derive(Debug)]
pub struct Claim {
    /// The record of what was charged.
    pub keys: Keys,
    /// Where the creator is known by another key: results come in a file of their own.
    pub creator: Option<Keys>,
    /// Where nobody is known to have created it, it is charged to whoever asks first: a batch, and a response made in the
    /// background, state their usage nowhere else.
    pub is_anyones: bool,
    told: Vec<UsagePart>,
}

/// What is left to charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    parts: Vec<UsagePart>,
    creator: Option<Creator>,
    /// Nothing was charged before.
    is_whole: bool,
}

impl Claim {
    /// Charges what was told to the record under `key` and gives what was left to charge; `None` where nothing was.
    /// `creator` is what the other keys' record holds.
    ///
    /// # Errors
    /// [`LedgerError`] when the record cannot be read or kept; then nothing is charged.
    pub fn charge(
        &self,
        bucket: &mut Bucket<'_>,
        key: &Key<Created>,
        creator: Option<&Creator>,
        now: Timestamp,
    ) -> Result<Option<Left>, LedgerError> {
        let mut created = bucket.get(key)?.unwrap_or_default();
        let was_known = created.creator.is_some();
        created.creator = created.creator.or_else(|| creator.cloned());
        let is_whole = created.is_untouched();
        let parts = created.charge(&self.told);
        if !parts.is_empty() || (created.creator.is_some() && !was_known) {
            bucket.put(key, &created, Created::expires(now), Keep::Evictable)?;
        }
        Ok((!parts.is_empty()).then_some(Left { parts, creator: created.creator, is_whole }))
    }
}

impl Call {
    /// Whether the call comes back for something, or creates what is told later: then it is not judged, and has an
    /// event only where it is told something new.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        !matches!(self.route.role, Role::Creates)
    }

    /// What the call, which is over, has to do with what is kept at the provider.
    pub fn standing(&mut self) -> Standing {
        match self.route.role.clone() {
            Role::Creates => Standing::Own,
            _ if self.status.is_none_or(|status| !(200..300).contains(&status)) => Standing::Nothing,
            Role::CreatesBatch => self.created_batch(),
            Role::Retrieves(stored) => self.claim(&stored).map_or(Standing::Nothing, Standing::Told),
        }
    }

    fn created_batch(&mut self) -> Standing {
        self.end_response();
        let Some(id) = self.answer().and_then(|answer| answer.id.as_deref()) else { return Standing::Nothing };
        // Google names a batch by its path.
        let id = id.rsplit('/').next().unwrap_or(id);
        let creator = Creator::new(self.id.clone(), self.opened, &self.attribution, [0; Component::ALL.len()]);
        Standing::Batch(Keys::new(&self.attribution, StoredKind::Batch, id), Box::new(creator))
    }

    fn claim(&mut self, stored: &Stored) -> Option<Claim> {
        self.end_response();
        let answer = self.answer()?;
        let model = answer.model.as_deref();
        let named = |mut part: UsagePart| {
            part.model = part.model.or_else(|| model.map(str::to_owned));
            part
        };
        let told: Vec<_> = self.usage.iter().flatten().cloned().map(named).collect();
        let keys = |kind, id: &str| Keys::new(&self.attribution, kind, id);
        let own = keys(stored.kind, &stored.id);
        // The pages of a batch are charged one by one, and results that lie in a file where they lie.
        let batch = stored.id.split_once('?').map(|(batch, _)| keys(StoredKind::Batch, batch));
        let file = answer.output_file.as_deref().map(|file| file.rsplit('/').next().unwrap_or(file));
        let is_anyones = stored.kind != StoredKind::Response || answer.is_background;
        match file.map(|file| keys(StoredKind::File, file)) {
            Some(file) => Some(Claim { keys: file, creator: Some(own), is_anyones, told }),
            None if told.is_empty() => None,
            None => Some(Claim { keys: own, creator: batch, is_anyones, told }),
        }
    }

    /// The call is charged this, for something that was created before.
    pub fn charge(&mut self, left: Left) {
        self.usage = Some(left.parts);
        self.is_rest = !left.is_whole;
        let Some(creator) = left.creator else { return };
        self.attribution = creator.attribution();
        self.prompt = creator.prompt();
        self.consumed = creator.at();
        self.billed_for = Some(creator.event);
    }

    /// What the call was told cannot be charged: the store failed.
    pub fn cannot_charge(&mut self) {
        self.usage = None;
        self.unmetered = Some(Unmetered::StoreFailed);
    }

    /// The keys under which this call's response may be told again with usage that was not stated yet.
    pub fn told_later(&mut self) -> Option<Keys> {
        if !matches!(self.route.role, Role::Creates) || !self.route.dialect.keeps_responses() {
            return None;
        }
        self.end_response();
        let answer = self.answer()?;
        let id = answer.id.as_deref()?;
        let is_told_again = answer.is_background || self.usage.is_none();
        is_told_again.then(|| Keys::new(&self.attribution, StoredKind::Response, id))
    }
}

/// The record of a call whose response may be told again, as its event tells.
#[must_use]
pub fn created_by(event: &Event, at: Timestamp) -> Created {
    let tokens = |component: Component| event.components.get(component.name()).map_or(0, |share| share.tokens);
    let creator = Creator::new(event.id.clone(), at, &event.attribution, Component::ALL.map(tokens));
    let charged = UsagePart { model: event.response_model.clone(), usage: event.usage };
    let charged: &[UsagePart] = if event.usage_source == UsageSource::None { &[] } else { &[charged] };
    Created::by(creator, charged)
}
