//! [`Process`]: what all workers of one gateway share: clock, shared data, metrics, log, callouts, exchanges.
//!
//! Invariant: it is borrowed briefly and never across a call into a VM.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use super::{
    exchange::Exchange, faults::Faults, headers::Headers, metrics::Metrics, settings::Settings,
    shared_data::SharedData, vm::ROOT,
};

/// One line the filter logged, through `proxy_log` or standard output and error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// 0 trace, 1 debug, 2 info, 3 warn, 4 error, 5 critical. Standard output is 2, standard error 4.
    pub level: u32,
    /// Which worker.
    pub worker: usize,
    /// The text, cut as the gateway cuts it.
    pub text: String,
}

/// The fuel one callback used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FuelReading {
    /// The export that was called.
    pub callback: &'static str,
    /// What it used.
    pub fuel: u64,
}

/// An HTTP call the filter made, waiting for the test to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callout {
    /// Names the call, in `Gateway::answer` and in the filter.
    pub token: u32,
    /// The worker it was made in.
    pub worker: usize,
    /// The context it was made in; 1 is the root context.
    pub context: u32,
    /// Cluster name, or `host:port`.
    pub target: String,
    /// Headers, pseudo-headers included.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Headers,
    /// When it times out, in nanoseconds since 1970.
    pub deadline_ns: u64,
    /// Generation of the VM that made it.
    pub(crate) generation: u64,
}

/// The answer to a callout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpReply {
    /// Headers, `:status` included.
    pub headers: Headers,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Headers,
}

impl HttpReply {
    /// A reply with a status and a body.
    #[must_use]
    pub fn new(status: u32, body: impl Into<Vec<u8>>) -> Self {
        let headers = Headers::from([(":status", status.to_string().as_str())]);
        Self { headers, body: body.into(), trailers: Headers::new() }
    }
}

/// Something a filter asked for that happens when its callback returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    ContinueRequest,
    ContinueResponse,
    Close,
}

/// Named queues of messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queues {
    pub(crate) names: Vec<(String, String)>,
    pub(crate) messages: BTreeMap<u32, VecDeque<Vec<u8>>>,
}

/// The shared half of a gateway.
pub(crate) struct Process {
    pub(crate) settings: Rc<Settings>,
    pub(crate) now_ns: u64,
    pub(crate) shared_data: SharedData,
    pub(crate) metrics: Metrics,
    pub(crate) queues: Queues,
    pub(crate) log: Vec<LogLine>,
    pub(crate) faults: Faults,
    pub(crate) callouts: Vec<Callout>,
    pub(crate) next_token: u32,
    pub(crate) next_context: u32,
    pub(crate) exchanges: BTreeMap<u32, Exchange>,
    /// The root contexts.
    pub(crate) roots: BTreeSet<u32>,
    /// VMs that are alive, for Envoy's shared data.
    pub(crate) live_vms: usize,
    /// The number of the latest VM of any worker.
    pub(crate) last_generation: u64,
    /// Runs between a worker's read of shared data and whatever it does with it.
    pub(crate) interlude: Option<Box<dyn FnMut()>>,
    /// Asked for in the callback that is running.
    pub(crate) wishes: Vec<(u32, Wish)>,
    random: u64,
}

impl Process {
    pub(crate) fn new(settings: Rc<Settings>) -> Self {
        Self {
            now_ns: settings.start_time_ns,
            shared_data: SharedData::new(&settings),
            metrics: Metrics::default(),
            queues: Queues::default(),
            log: Vec::new(),
            faults: settings.faults.clone(),
            callouts: Vec::new(),
            next_token: 1,
            next_context: 2,
            exchanges: BTreeMap::new(),
            roots: BTreeSet::from([ROOT]),
            live_vms: 0,
            last_generation: 0,
            interlude: None,
            wishes: Vec::new(),
            random: settings.seed,
            settings,
        }
    }

    /// The id of a context that is to be made.
    pub(crate) fn new_context(&mut self) -> u32 {
        let is_moved = |id: &u32| self.exchanges.values().any(|exchange| exchange.moved == Some(*id));
        let is_free = |id: &u32| !self.exchanges.contains_key(id) && !self.roots.contains(id) && !is_moved(id);
        if self.settings.profile.reuses_contexts()
            && let Some(free) = (ROOT..self.next_context).find(is_free)
        {
            return free;
        }
        let id = self.next_context;
        self.next_context += 1;
        id
    }

    pub(crate) fn exchange(&mut self, context: u32) -> Option<&mut Exchange> {
        self.exchanges.get_mut(&context)
    }

    pub(crate) fn log(&mut self, worker: usize, level: u32, text: &[u8]) {
        let shown = self.settings.profile.log_line_limit().map_or(text.len(), |limit| limit.min(text.len()));
        let text = String::from_utf8_lossy(text.get(..shown).unwrap_or(text)).into_owned();
        self.log.push(LogLine { level, worker, text });
    }

    /// The next byte of a deterministic sequence (SplitMix64).
    pub(crate) fn random_byte(&mut self) -> u8 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).to_le_bytes()[0]
    }
}
