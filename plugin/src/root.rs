//! A plugin configuration and what its requests share.
//!
//! A configuration that is mistaken must not open the gate: answering "failed" would drop the filter on Kong, and
//! fail all traffic on APISIX. So it is accepted, every mistake is logged, and LLM calls are refused until it is
//! corrected; other traffic passes.
//! Must not know: single requests.

use crate::abi::{self, Buffer, LogLevel};
use crate::host::Host;
use crate::output::{self, Metrics, VmId};
use crate::store::Store;
use tollgate_core::calibration::{Lessons, Observation};
use tollgate_core::config::Config;
use tollgate_core::ledger::{Charge, Keep, Key, TaskAccount};
use tollgate_core::meter::Meter;
use tollgate_core::names::metric;
use tollgate_core::time::Timestamp;

/// A plugin configuration, in use.
pub(crate) struct Root {
    pub(crate) meter: Meter,
    pub(crate) metrics: Metrics,
    pub(crate) vm: VmId,
    /// The configuration had mistakes: refuse LLM calls.
    pub(crate) is_misconfigured: bool,
    pub(crate) store: Store,
    host: Option<Host>,
}

impl Default for Root {
    fn default() -> Self {
        Self {
            meter: Meter::new(Config::default(), output::secret()),
            metrics: Metrics::default(),
            vm: VmId::random(),
            is_misconfigured: false,
            store: Store::default(),
            host: None,
        }
    }
}

impl Root {
    /// The configuration arrives.
    pub(crate) fn configure(&mut self, size: usize) {
        let json = match size {
            0 => Ok(Vec::new()),
            _ => abi::buffer(Buffer::PluginConfiguration, size).map(Option::unwrap_or_default),
        };
        let errors = match json.map(|json| Config::parse(&json)) {
            Ok(Ok(config)) => {
                self.meter = Meter::new(config, output::secret());
                self.is_misconfigured = false;
                self.store = Store::default();
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
        *self.host.insert(host)
    }

    /// Tells the other workers what a call taught, and takes over what they were told.
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

    /// Charges a task and returns its totals; `None` where the store failed, which is counted.
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
