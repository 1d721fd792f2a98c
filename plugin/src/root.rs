//! A plugin configuration and what its requests share.
//!
//! A configuration that is mistaken must not open the gate: answering "failed" would drop the filter on Kong, and
//! fail all traffic on APISIX. So it is accepted, every mistake is logged, and LLM calls are refused until it is
//! corrected; other traffic passes.
//! Must not know: single requests.

use crate::abi::{self, Buffer, Headers, LogLevel};
use crate::export::Exporter;
use crate::fleet::{Books, Fleet};
use crate::host::Host;
use crate::outcome;
use crate::output::Metrics;
use crate::store::Store;
use crate::vm::{self, Vm};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};
use tollgate_core::calibration::{Lessons, Observation};
use tollgate_core::config::Config;
use tollgate_core::event::Event;
use tollgate_core::fleet::Process;
use tollgate_core::head;
use tollgate_core::ledger::{Bytes, Charge, Created, Keep, Key, Record, TaskAccount};
use tollgate_core::meter::{Call, Meter};
use tollgate_core::metrics::Counted;
use tollgate_core::names::{label, metric};
use tollgate_core::prefix::{Conversation, Seen, Sighting, Templates};
use tollgate_core::response_cache;
use tollgate_core::retrieval::{Claim, Keys, Left, Standing};
use tollgate_core::retry::Try;
use tollgate_core::series::Admitted;
use tollgate_core::time::Timestamp;

/// As long as the gateway runs.
const FOREVER: Timestamp = Timestamp::from_millis(u64::MAX);

/// A plugin configuration, in use.
pub(crate) struct Root {
    pub(crate) meter: Meter,
    pub(crate) metrics: Metrics,
    pub(crate) vm: Rc<Vm>,
    /// The configuration had mistakes: refuse LLM calls.
    pub(crate) is_misconfigured: bool,
    pub(crate) store: Store,
    /// The workers have one secret for fingerprints.
    has_agreed: bool,
    pub(crate) exporter: Option<Exporter>,
    pub(crate) fleet: Option<Fleet>,
    host: Option<Host>,
}

impl Root {
    pub(crate) fn new(vm: Rc<Vm>) -> Self {
        Self {
            meter: meter(Config::default(), &vm),
            metrics: Metrics::default(),
            is_misconfigured: false,
            store: Store::new(Rc::clone(&vm)),
            vm,
            has_agreed: false,
            exporter: None,
            fleet: None,
            host: None,
        }
    }

    /// The configuration arrives.
    pub(crate) fn configure(&mut self, size: usize) {
        let json = match size {
            0 => Ok(Vec::new()),
            _ => abi::buffer(Buffer::PluginConfiguration, size).map(Option::unwrap_or_default),
        };
        let errors = match json.map(|json| Config::parse(&json)) {
            Ok(Ok(config)) => {
                self.exporter = self.ticks(&config).and(config.otlp.as_ref()).map(Exporter::new);
                self.fleet = None;
                self.meter = meter(config, &self.vm);
                self.is_misconfigured = false;
                self.store = Store::new(Rc::clone(&self.vm));
                self.has_agreed = false;
                self.host = None;
                return;
            }
            Ok(Err(errors)) => errors.iter().map(ToString::to_string).collect(),
            Err(status) => {
                self.metrics.note::<()>("get_buffer_bytes", Err(status));
                vec![format!("the gateway does not hand over the configuration (status {})", status.0)]
            }
        };
        for error in errors {
            abi::log(LogLevel::Critical, &format!("tollgate configuration error, LLM calls are refused: {error}"));
        }
        self.is_misconfigured = true;
        self.metrics.count(metric::CONFIG_ERRORS, &[], 1);
    }

    /// Asks for ticks, where something has to be sent in time; `None` where the gateway has none.
    fn ticks(&mut self, config: &Config) -> Option<()> {
        let intervals =
            [config.otlp.as_ref().map(|otlp| otlp.interval_ms), config.store.as_ref().map(|store| store.interval_ms)];
        let period = intervals.into_iter().flatten().min()?;
        self.metrics.note("set_tick_period_milliseconds", abi::set_tick_period(period))
    }

    /// The gateway; found out at the first request.
    pub(crate) fn host(&mut self) -> Host {
        if let Some(host) = self.host {
            return host;
        }
        let config = self.meter.config();
        let host = Host::detect(config.host);
        if host.has_shared_data(config.shared_data) {
            self.store.share(host);
        }
        for (labels, usd) in self.meter.config().monthly_costs() {
            self.metrics.set(metric::MONTHLY_COST, &labels, usd);
        }
        if let Some(advice) = host.advice() {
            abi::log(LogLevel::Warn, &format!("tollgate: {advice}"));
        }
        self.host = Some(host);
        self.join_fleet();
        host
    }

    /// Agrees with the other workers on what the rest of the fleet knows this gateway by.
    #[inline(never)]
    fn join_fleet(&mut self) {
        let Some(store) = self.meter.config().store.clone() else { return };
        let mut agreed = None;
        self.remember(&Key::of_process(), (FOREVER, Keep::Live), now(), &mut |known| {
            let drawn = known.is_none().then(|| Bytes(vm::random().map(u64::to_le_bytes).concat()));
            agreed = drawn.clone().or(known);
            drawn
        });
        self.fleet = agreed.map(|Bytes(random)| Fleet::new(&store, Process::new(&random), now()));
    }

    /// What the worker keeps what it hears of its fleet in.
    fn books(&mut self) -> Option<(&mut Fleet, Books<'_>)> {
        let Self { fleet, meter, store, metrics, .. } = self;
        Some((fleet.as_mut()?, Books { limits: &meter.config().limits, store, metrics, now: now() }))
    }

    /// Whether a call that came at a time may still wait for its fleet.
    pub(crate) fn may_wait(&self, since: Timestamp) -> bool {
        let timeout = self.meter.config().store.as_ref().map_or(0, |store| u64::from(store.timeout_ms));
        now().millis_since(since) < timeout
    }

    /// A call waits for what its fleet says; `false` where it would wait in vain.
    #[inline(never)]
    pub(crate) fn wait(&mut self, context: u32, own: u32, call: &Call) -> bool {
        let is_own = !self.host().asks_in_root();
        let (Some((account, limit, amount)), Some((fleet, mut books))) = (call.awaited(), self.books()) else {
            return false;
        };
        // The answer to a stream's own call would be lost with it.
        if !is_own && books.metrics.note("set_effective_context", abi::act_for(own)).is_none() {
            return false;
        }
        let waits = fleet.wait(context, (account, amount), is_own, &mut books);
        if !is_own {
            books.metrics.note("set_effective_context", abi::act_for(context));
        }
        let outcome = if waits { "asked" } else { "unreachable" };
        let limit = books.limits.get(limit).map_or("", |limit| &limit.id);
        books.metrics.count(metric::STORE_WAITS, &[(label::OUTCOME, outcome), (label::LIMIT, limit)], 1);
        waits
    }

    /// Tells the other workers what a call taught, and takes over what they were told.
    #[inline(never)]
    pub(crate) fn share_lesson(&mut self, taught: &Observation, now: Timestamp) {
        let key = taught.subject.key();
        let told = self.store.update(&key, now, |bucket| {
            let mut lessons = bucket.get(&key)?.unwrap_or_default();
            lessons.observe(taught.predicted, taught.reported);
            bucket.put(&key, &lessons, Lessons::expires(now), Keep::Evictable)?;
            Ok(lessons)
        });
        if let Some(lessons) = self.metrics.note_store(told) {
            self.meter.learn(taught.subject.clone(), lessons);
        }
    }

    /// Writes into an event which try of its step it follows, and remembers it for the next.
    pub(crate) fn follow(&mut self, event: &mut Event, now: Timestamp) {
        let Some(key) = Some(&*event).filter(|_| self.meter.remembers_tries()).and_then(Try::key) else { return };
        let expires = Try::expires(now, self.meter.config().retry_window_ms);
        let followed = self.store.update(&key, now, |bucket| {
            let last = bucket.get(&key)?;
            match self.meter.follow(event, last) {
                Some(own) => bucket.put(&key, &own, expires, Keep::Evictable),
                None => Ok(()),
            }
        });
        self.metrics.note_store(followed);
    }

    /// Tells the ledger what an event reports of a task.
    pub(crate) fn report(&mut self, event: &mut Event, now: Timestamp) {
        if let Some(outcome) = event.task_outcome.as_mut().filter(|_| self.store.is_shared()) {
            outcome::tell(outcome, &mut self.store, &mut self.metrics, now);
        }
    }

    /// Decides with the other workers which series something has, where that is not decided yet.
    pub(crate) fn admit_series(&mut self, counted: Counted<'_>, now: Timestamp) {
        if !self.meter.must_admit_series(counted) {
            return;
        }
        let key = Admitted::key();
        let admitted = self.store.update(&key, now, |bucket| {
            let mut admitted = bucket.get(&key)?.unwrap_or_default();
            if self.meter.admit_series(counted, &mut admitted) {
                bucket.put(&key, &admitted, Admitted::EXPIRES, Keep::Live)?;
            }
            Ok(admitted)
        });
        if let Some(admitted) = self.metrics.note_store(admitted) {
            self.meter.take_series(admitted);
        }
    }

    /// Holds a call that is over against what was sent before it.
    #[inline(never)]
    pub(crate) fn compare(&mut self, event: &mut Event, now: Timestamp) {
        let Some(call) = event.sighting.take() else { return };
        let mut seen = None;
        self.remember(&call.conversation, (Conversation::expires(now), Keep::Evictable), now, &mut |known| {
            let mut conversation = Conversation::of_bytes(&known.unwrap_or_default());
            seen = Some(conversation.observe(&call, now));
            Some(conversation.to_bytes())
        });
        let Some(Seen { miss, is_new, is_cold, is_repeated }) = seen else { return };
        if is_repeated || self.was_answered(&call, now) {
            event.repeats();
        }
        let (mut of_template, mut drift) = (None, None);
        if is_new {
            self.remember(&call.templates, (Templates::expires(now), Keep::Evictable), now, &mut |known| {
                let mut templates = Templates::of_bytes(&known.unwrap_or_default());
                (of_template, drift) = templates.observe(&call, now);
                Some(templates.to_bytes())
            });
        }
        event.compare(if is_cold { of_template.or(miss) } else { miss }, drift);
    }

    /// Whether the same first question was answered before the call was sent; if not, it is now.
    fn was_answered(&mut self, call: &Sighting, now: Timestamp) -> bool {
        let Some(key) = &call.answered else { return false };
        let mut is_repeated = false;
        self.remember(key, (response_cache::expires(now), Keep::Evictable), now, &mut |known| {
            is_repeated = known.as_ref().is_some_and(|known| response_cache::could_serve(known, call.opened));
            known.is_none().then(|| response_cache::answered(now))
        });
        is_repeated
    }

    /// Agrees with the other workers, at the first call, on the secret that fingerprints are made with.
    #[inline(never)]
    pub(crate) fn agree_on_secret(&mut self) {
        if self.has_agreed || !self.store.is_shared() {
            return;
        }
        self.has_agreed = true;
        let mut agreed = None;
        // Workers with another secret could not compare what they saw.
        self.remember(&Key::of_secret(), (FOREVER, Keep::Live), now(), &mut |known| {
            let drawn = known.is_none().then(|| Bytes(vm::random().map(u64::to_le_bytes).concat()));
            let secret = drawn.as_ref().or(known.as_ref()).and_then(|secret| secret.0.split_first_chunk());
            agreed = secret.and_then(|(first, rest)| Some((*first, *rest.first_chunk()?)));
            drawn
        });
        if let Some((first, second)) = agreed {
            self.meter.share_secret([first, second].map(u64::from_le_bytes));
        }
    }

    /// Changes what all workers remember under a key, and until when; `None` changes nothing. One function for all that is
    /// kept as bytes, since each copy would cost the module ten kilobytes.
    fn remember(
        &mut self,
        key: &Key<Bytes>,
        (expires, keep): (Timestamp, Keep),
        now: Timestamp,
        change: &mut dyn FnMut(Option<Bytes>) -> Option<Bytes>,
    ) {
        let changed = self.store.update(key, now, |bucket| {
            change(bucket.get(key)?).map_or(Ok(()), |changed| bucket.put(key, &changed, expires, keep))
        });
        self.metrics.note_store(changed);
    }

    /// Queues the event of a call that is over for the collector, where there is one.
    pub(crate) fn export(&mut self, event: &Event, json: &str) {
        if let Some(exporter) = &mut self.exporter {
            exporter.queue(event, json, self.vm.random_ids(), &mut self.metrics);
        }
    }

    /// Time to send what waits.
    pub(crate) fn on_tick(&mut self) {
        if let Some(exporter) = &mut self.exporter {
            exporter.on_tick(now(), &mut self.metrics);
        }
        if let Some((fleet, mut books)) = self.books() {
            fleet.on_tick(&mut books);
        }
    }

    /// A call of ours was answered, or failed. Gives the streams that waited for it, and whether there was an answer.
    pub(crate) fn on_callout_answered(&mut self, token: u32, is_answered: bool, body_size: usize) -> Vec<(u32, bool)> {
        let headers =
            if is_answered { abi::header_pairs(Headers::CalloutResponse).unwrap_or_default() } else { Vec::new() };
        let pairs = abi::pairs(&headers);
        let status = head::Headers::new(&pairs).get(":status").and_then(|status| status.parse().ok()).unwrap_or(0);
        if let Some(exporter) = &mut self.exporter {
            exporter.on_answer(token, status, now(), &mut self.metrics);
        }
        let Some((fleet, mut books)) = self.books() else { return Vec::new() };
        let body = match body_size {
            0 => None,
            _ => books.metrics.note("get_buffer_bytes", abi::buffer(Buffer::CalloutBody, body_size)).flatten(),
        };
        fleet.on_answer(token, (status, &body.unwrap_or_default()), &mut books)
    }

    /// Whether a call that is over has an event. One that came back for something has, where it was told something
    /// that was not charged yet; now it is.
    #[inline(never)]
    pub(crate) fn has_event(&mut self, call: &mut Call, now: Timestamp) -> bool {
        match call.standing() {
            Standing::Own => true,
            Standing::Nothing => false,
            Standing::Batch(keys, creator) => {
                self.remember_created(&keys, &Created::by(*creator, &[]), now);
                false
            }
            Standing::Told(claim) => match self.charge_told(&claim, now) {
                Some(Some(left)) => {
                    call.charge(left);
                    true
                }
                Some(None) => false,
                None => {
                    call.cannot_charge();
                    true
                }
            },
        }
    }

    /// Charges what was told and gives what of it was not charged before; `None` where the store failed.
    #[inline(never)]
    fn charge_told(&mut self, claim: &Claim, now: Timestamp) -> Option<Option<Left>> {
        let creator = match &claim.creator {
            Some(keys) => match self.record_of(keys, false, now)? {
                Some(key) => self.read(&key, now)?.and_then(|created| created.creator),
                None => None,
            },
            None => None,
        };
        let Some(key) = self.record_of(&claim.keys, claim.is_anyones, now)? else { return Some(None) };
        let charged = self.store.update(&key, now, |bucket| claim.charge(bucket, &key, creator.as_ref(), now));
        self.metrics.note_store(charged)
    }

    /// The key of the record that speaks of something: the principal's own, else its owner's. Where there is no owner,
    /// `claims` makes the principal it.
    fn record_of(&mut self, keys: &Keys, claims: bool, now: Timestamp) -> Option<Option<Key<Created>>> {
        if self.read(&keys.own, now)?.is_some() {
            return Some(Some(keys.own.clone()));
        }
        let owner = self.store.update(&keys.owner, now, |bucket| {
            let owner = bucket.get(&keys.owner)?;
            if owner.is_none() && claims {
                bucket.put(&keys.owner, &keys.principal, Created::expires(now), Keep::Evictable)?;
                return Ok(Some(keys.principal.clone()));
            }
            Ok(owner)
        });
        let owner = self.metrics.note_store(owner)?;
        Some(owner.map(|owner| keys.of(&owner)))
    }

    fn read<R: Record>(&mut self, key: &Key<R>, now: Timestamp) -> Option<Option<R>> {
        let read = self.store.update(key, now, |bucket| bucket.get(key));
        self.metrics.note_store(read)
    }

    /// Keeps the record of something that may be told again, and whose it is.
    #[inline(never)]
    pub(crate) fn remember_created(&mut self, keys: &Keys, created: &Created, now: Timestamp) {
        self.put_if_absent(&keys.own, created, now);
        self.put_if_absent(&keys.owner, &keys.principal, now);
    }

    fn put_if_absent<R: Record>(&mut self, key: &Key<R>, record: &R, now: Timestamp) {
        let kept = self.store.update(key, now, |bucket| match bucket.get(key)? {
            Some(_) => Ok(()),
            None => bucket.put(key, record, Created::expires(now), Keep::Evictable),
        });
        self.metrics.note_store(kept);
    }

    /// Charges a task and returns its totals; `None` where the store failed, which is counted.
    #[inline(never)]
    pub(crate) fn charge_task(
        &mut self,
        task: &Key<TaskAccount>,
        charge: &Charge,
        now: Timestamp,
    ) -> Option<TaskAccount> {
        let charged = self.store.update(task, now, |bucket| {
            let account = bucket.get(task)?.unwrap_or_default().charged(charge);
            bucket.put(task, &account, TaskAccount::expires(now), Keep::Evictable)?;
            Ok(account)
        });
        self.metrics.note_store(charged)
    }
}

fn meter(config: Config, vm: &Vm) -> Meter {
    Meter::new(config, vm.secret()).counting_with(vm.counter())
}

/// The wall clock. WASI's, since APISIX has no other.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
