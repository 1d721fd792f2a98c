//! [`Vm`]: one instance of the filter with its store: calls into it, fuel, memory.
//!
//! Invariants: every call starts with a full tank of fuel; after an error the VM is thrown away, as gateways do.
//! Must not know: streams (they belong to the process) or what a callback means.

use std::{cell::RefCell, rc::Rc};

use wasmtime::{Extern, Instance, InstancePre, Store, StoreLimits, StoreLimitsBuilder, Val};

use super::{
    process::{FuelReading, HttpReply, Process},
    settings::Settings,
};

/// The context id of the root context that every VM begins with.
pub(crate) const ROOT: u32 = 1;

/// What state a worker's filter is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It runs.
    Ready,
    /// It will be configured at the first request (APISIX).
    NotConfigured,
    /// It refused its configuration.
    Refused,
    /// It trapped and stays dead, for this reason.
    Failed(String),
    /// The worker process crashed, for this reason.
    Crashed(String),
}

/// Where in the life of a filter the running callback is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Start,
    Configure,
    Create,
    RequestHeaders,
    RequestBody,
    RequestTrailers,
    ResponseHeaders,
    ResponseBody,
    ResponseTrailers,
    CallResponse,
    Tick,
    Done,
    Log,
    Delete,
}

impl Phase {
    pub(crate) fn in_request(self) -> bool {
        matches!(self, Self::Create | Self::RequestHeaders | Self::RequestBody | Self::RequestTrailers)
    }
}

/// What a host function can reach.
pub(crate) struct VmState {
    pub(crate) settings: Rc<Settings>,
    pub(crate) process: Rc<RefCell<Process>>,
    pub(crate) worker: usize,
    pub(crate) generation: u64,
    pub(crate) phase: Phase,
    /// The configuration that was handed over last.
    pub(crate) config: Vec<u8>,
    /// The context that calls act on.
    pub(crate) context: u32,
    /// The answer a callout callback is about.
    pub(crate) reply: Option<HttpReply>,
    pub(crate) tick_ms: u32,
    limits: StoreLimits,
}

/// One running instance.
pub(crate) struct Vm {
    store: Store<VmState>,
    instance: Instance,
    /// When the next tick is due; 0 for never.
    pub(crate) next_tick_ns: u64,
}

impl Vm {
    /// Instantiates and initialises; the root context is not made yet.
    pub(crate) fn start(
        pre: &InstancePre<VmState>,
        process: Rc<RefCell<Process>>,
        worker: usize,
        generation: u64,
    ) -> Result<Self, String> {
        let settings = Rc::clone(&process.borrow().settings);
        let limits = StoreLimitsBuilder::new().memory_size(settings.memory_limit).build();
        let state = VmState {
            process,
            worker,
            generation,
            phase: Phase::Start,
            config: settings.config.clone(),
            context: ROOT,
            reply: None,
            tick_ms: 0,
            limits,
            settings,
        };
        let mut store = Store::new(pre.module().engine(), state);
        store.limiter(|state| &mut state.limits);
        let fuel = store.data().settings.fuel_per_callback;
        store.set_fuel(fuel).map_err(|error| format!("{error:#}"))?;
        let instance = pre.instantiate(&mut store).map_err(|error| format!("{error:#}"))?;
        let mut vm = Self { store, instance, next_tick_ns: 0 };
        let initialise = if vm.exports("_initialize") { "_initialize" } else { "_start" };
        vm.call(initialise, Phase::Start, ROOT, &[])?;
        Ok(vm)
    }

    /// Makes and configures the root context that it begins with; false when the filter refuses.
    pub(crate) fn begin(&mut self) -> Result<bool, String> {
        let settings = Rc::clone(&self.store.data().settings);
        self.call("proxy_on_context_create", Phase::Start, ROOT, &[ROOT, 0])?;
        if !settings.profile.configures_lazily() {
            let vm_config = if settings.profile.has_vm_configuration() { size(&settings.vm_config) } else { 0 };
            if self.call("proxy_on_vm_start", Phase::Start, ROOT, &[ROOT, vm_config])?.0 == Some(0) {
                return Ok(false);
            }
        }
        self.configure(ROOT, &settings.config)
    }

    /// Makes and configures one more root context; false when the filter refuses.
    pub(crate) fn add(&mut self, root: u32, config: &[u8]) -> Result<bool, String> {
        self.call("proxy_on_context_create", Phase::Start, root, &[root, 0])?;
        self.configure(root, config)
    }

    fn configure(&mut self, root: u32, config: &[u8]) -> Result<bool, String> {
        self.store.data_mut().config = config.to_vec();
        let args = [root, size(config)];
        let (accepted, _) = self.call("proxy_on_configure", Phase::Configure, root, &args)?;
        Ok(accepted != Some(0))
    }

    /// Calls an export; `None` if there is none or it returns nothing.
    pub(crate) fn call(
        &mut self,
        callback: &'static str,
        phase: Phase,
        context: u32,
        args: &[u32],
    ) -> Result<(Option<u32>, FuelReading), String> {
        let Some(Extern::Func(function)) = self.instance.get_export(&mut self.store, callback) else {
            return Ok((None, FuelReading { callback, fuel: 0 }));
        };
        let state = self.store.data_mut();
        (state.phase, state.context) = (phase, context);
        let full = state.settings.fuel_per_callback;
        self.store.set_fuel(full).map_err(|error| format!("{error:#}"))?;
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        let args: Vec<Val> = args.iter().map(|&arg| Val::I32(arg.cast_signed())).collect();
        function.call(&mut self.store, &args, &mut results).map_err(|error| format!("{callback}: {error:#}"))?;
        let fuel = full.saturating_sub(self.store.get_fuel().unwrap_or(0));
        let now_ns = self.store.data().process.borrow().now_ns;
        let tick_ns = u64::from(self.store.data().tick_ms) * 1_000_000;
        self.next_tick_ns = match (tick_ns, phase == Phase::Tick || self.next_tick_ns == 0) {
            (0, _) => 0,
            (period, true) => now_ns + period,
            (_, false) => self.next_tick_ns,
        };
        let result = results.first().and_then(Val::i32).map(i32::cast_unsigned);
        Ok((result, FuelReading { callback, fuel }))
    }

    pub(crate) fn set_reply(&mut self, reply: Option<HttpReply>) {
        self.store.data_mut().reply = reply;
    }

    pub(crate) fn generation(&self) -> u64 {
        self.store.data().generation
    }

    /// Pages of 64 KiB the filter's memory has.
    pub(crate) fn memory_pages(&mut self) -> u64 {
        self.instance.get_memory(&mut self.store, "memory").map_or(0, |memory| memory.size(&self.store))
    }

    fn exports(&mut self, name: &str) -> bool {
        self.instance.get_export(&mut self.store, name).is_some()
    }
}

fn size(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
