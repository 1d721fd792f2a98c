//! [`Filter`], a compiled filter; [`Gateway`], one process that runs it; [`Worker`], one of its threads.

use std::{
    cell::{Ref, RefCell},
    rc::{Rc, Weak},
    time::Duration,
};

use wasmtime::{Config, Engine, Module};

use super::{
    drive::Runner,
    error::{HostError, LoadError},
    exchange::RequestHead,
    faults::Faults,
    hostcalls,
    imports::{self, ImportProblem},
    metrics::Metrics,
    process::{Callout, HttpReply, LogLine, Process},
    profile::Profile,
    settings::Settings,
    shared_data::SharedData,
    stream::Stream,
    vm::{Health, ROOT},
};

/// A filter, compiled once for any number of gateways.
#[derive(Clone)]
pub struct Filter {
    module: Module,
}

/// One gateway process.
pub struct Gateway {
    filter: Filter,
    settings: Rc<Settings>,
    process: Rc<RefCell<Process>>,
    runners: Vec<Rc<Runner>>,
    retired: Vec<Weak<Runner>>,
}

/// A configuration that one worker has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration(u32);

/// One worker of a gateway.
pub struct Worker {
    runner: Rc<Runner>,
}

impl Filter {
    /// Compiles a filter.
    ///
    /// # Errors
    /// [`LoadError::Compile`], or [`LoadError::NoAbiMarker`] if no gateway would know what it is.
    pub fn compile(wasm: &[u8]) -> Result<Self, LoadError> {
        let compile = |wasm| -> wasmtime::Result<Module> {
            let engine = Engine::new(Config::new().consume_fuel(true))?;
            Module::new(&engine, wasm)
        };
        let module = compile(wasm).map_err(|error| LoadError::Compile(format!("{error:#}")))?;
        if module.exports().any(|export| export.name().starts_with("proxy_abi_version_0_")) {
            Ok(Self { module })
        } else {
            Err(LoadError::NoAbiMarker)
        }
    }

    /// The host functions of module `env` that it imports.
    #[must_use]
    pub fn host_functions(&self) -> Vec<&str> {
        self.module.imports().filter(|import| import.module() == imports::ENV).map(|import| import.name()).collect()
    }

    /// The imports that one gateway cannot link, as [`check_imports`](super::check_imports) finds them for all.
    #[must_use]
    pub fn import_problems(&self, profile: Profile) -> Vec<ImportProblem> {
        imports::problems(profile, &self.module)
    }
}

impl Gateway {
    /// Starts a gateway with a filter.
    ///
    /// A filter that refuses its configuration or traps is no error here: see [`Worker::health`].
    ///
    /// # Errors
    /// [`LoadError`] when the gateway cannot load the filter, or the settings are impossible.
    pub fn start(filter: &Filter, settings: Settings) -> Result<Self, LoadError> {
        if settings.workers == 0 {
            return Err(LoadError::Settings { name: "workers", reason: "a gateway has at least one".to_owned() });
        }
        let settings = Rc::new(settings);
        let process = Rc::new(RefCell::new(Process::new(Rc::clone(&settings))));
        let mut gateway = Self { filter: filter.clone(), settings, process, runners: Vec::new(), retired: Vec::new() };
        gateway.runners = gateway.start_workers()?;
        Ok(gateway)
    }

    /// A new configuration at run time: all VMs are made anew, shared data and metrics stay.
    ///
    /// If the filter refuses it (Envoy, Kong), the old VMs keep running and the answer is false. On Kong that is all
    /// the operator sees too: `POST /config` says 201. Streams that are open keep the filter they started with.
    ///
    /// # Errors
    /// [`LoadError`] as at the start.
    pub fn reconfigure(&mut self, config: impl Into<Vec<u8>>) -> Result<bool, LoadError> {
        let settings = Rc::new((*self.settings).clone().with_config(config));
        let old = std::mem::replace(&mut self.process.borrow_mut().settings, Rc::clone(&settings));
        let runners = self.start_workers()?;
        let accepted = runners.iter().all(|runner| matches!(runner.health(), Health::Ready | Health::NotConfigured));
        if accepted {
            self.settings = settings;
            let retired = std::mem::replace(&mut self.runners, runners);
            // streams that are open keep their old filter alive
            self.retired.extend(retired.iter().map(Rc::downgrade));
        } else {
            self.process.borrow_mut().settings = old;
        }
        Ok(accepted)
    }

    /// One worker.
    ///
    /// # Panics
    /// If there is no such worker; [`Gateway::find_worker`] returns an error instead.
    #[must_use]
    pub fn worker(&self, index: usize) -> Worker {
        Worker { runner: Rc::clone(&self.runners[index]) }
    }

    /// One worker.
    ///
    /// # Errors
    /// [`HostError::NoWorker`].
    pub fn find_worker(&self, index: usize) -> Result<Worker, HostError> {
        let found = self.runners.get(index).map(|runner| Worker { runner: Rc::clone(runner) });
        found.ok_or(HostError::NoWorker { asked: index, workers: self.runners.len() })
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.process.borrow().now_ns
    }

    /// Moves the clock, firing ticks and callout timeouts on the way.
    pub fn advance(&self, by: Duration) {
        let target = self.now_ns().saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX));
        loop {
            let tick =
                self.runners.iter().filter_map(|runner| Some((runner.next_tick_ns()?, runner))).min_by_key(|t| t.0);
            let timeout = self.pending_callouts().into_iter().map(|callout| (callout.deadline_ns, callout.token)).min();
            let tick_first = tick.map(|tick| tick.0).filter(|due| timeout.is_none_or(|timeout| *due <= timeout.0));
            match (tick_first, tick, timeout) {
                (Some(due), Some((_, runner)), _) if due <= target => {
                    self.set_clock(due);
                    runner.tick();
                }
                (None, _, Some((due, token))) if due <= target => {
                    self.set_clock(due);
                    // it was pending a moment ago
                    let _ = self.fail(token);
                }
                _ => break,
            }
        }
        self.set_clock(target);
    }

    /// HTTP calls of the filter that wait for an answer, oldest first.
    #[must_use]
    pub fn pending_callouts(&self) -> Vec<Callout> {
        self.process.borrow().callouts.clone()
    }

    /// Answers a callout.
    ///
    /// # Errors
    /// [`HostError::NoCallout`].
    pub fn answer(&self, token: u32, reply: HttpReply) -> Result<(), HostError> {
        self.settle(token, Some(reply))
    }

    /// Lets a callout fail: the filter gets a callback with all zeros.
    ///
    /// # Errors
    /// [`HostError::NoCallout`].
    pub fn fail(&self, token: u32) -> Result<(), HostError> {
        self.settle(token, None)
    }

    /// All metrics of all workers.
    #[must_use]
    pub fn metrics(&self) -> Ref<'_, Metrics> {
        Ref::map(self.process.borrow(), |process| &process.metrics)
    }

    /// The shared data.
    #[must_use]
    pub fn shared_data(&self) -> Ref<'_, SharedData> {
        Ref::map(self.process.borrow(), |process| &process.shared_data)
    }

    /// Puts a value into the shared data, as if a filter had; only where Envoy's rules hold.
    pub fn share(&self, key: &str, value: Vec<u8>) {
        let mut process = self.process.borrow_mut();
        // A write without compare-and-swap always succeeds.
        let _ = process.shared_data.envoy_set(&self.settings.vm_id, key.as_bytes(), value, 0);
    }

    /// Everything logged so far.
    #[must_use]
    pub fn log(&self) -> Vec<LogLine> {
        self.process.borrow().log.clone()
    }

    /// Everything logged since the last time this was asked; for long runs.
    #[must_use]
    pub fn take_log(&self) -> Vec<LogLine> {
        std::mem::take(&mut self.process.borrow_mut().log)
    }

    /// From now on, `other` runs after every read of shared data and before the reader goes on: what real workers do to each
    /// other by chance. It must leave the worker alone that is reading.
    pub fn interrupt_reads(&self, other: impl FnMut() + 'static) {
        self.process.borrow_mut().interlude = Some(Box::new(other));
    }

    /// Replaces the faults from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.process.borrow_mut().faults = faults;
    }

    fn start_workers(&self) -> Result<Vec<Rc<Runner>>, LoadError> {
        let settings = Rc::clone(&self.process.borrow().settings);
        let problems = imports::problems(settings.profile, &self.filter.module);
        if !problems.is_empty() {
            return Err(LoadError::Imports(problems));
        }
        let start = |error: wasmtime::Error| LoadError::Start(format!("{error:#}"));
        let linker = hostcalls::link(self.filter.module.engine(), settings.profile).map_err(start)?;
        let pre = linker.instantiate_pre(&self.filter.module).map_err(start)?;
        let runner = |index| Runner::start(index, pre.clone(), Rc::clone(&self.process)).map(Rc::new);
        (0..settings.workers).map(runner).collect()
    }

    fn settle(&self, token: u32, reply: Option<HttpReply>) -> Result<(), HostError> {
        let callout = {
            let mut process = self.process.borrow_mut();
            let index = process.callouts.iter().position(|callout| callout.token == token);
            process.callouts.remove(index.ok_or(HostError::NoCallout(token))?)
        };
        let retired = self.retired.iter().filter_map(Weak::upgrade);
        let maker = self.runners.iter().cloned().chain(retired).find(|runner| runner.made(&callout));
        if let Some(runner) = maker {
            runner.callout_answered(&callout, reply);
        }
        Ok(())
    }

    fn set_clock(&self, now_ns: u64) {
        self.process.borrow_mut().now_ns = now_ns;
    }
}

impl Worker {
    /// A request arrives.
    #[must_use]
    pub fn open(&self, head: RequestHead) -> Stream {
        self.open_under(Configuration(ROOT), head)
    }

    /// A route or consumer has a configuration of its own, beside the one that the gateway started with.
    #[must_use]
    pub fn configure(&self, config: impl AsRef<[u8]>) -> Configuration {
        Configuration(self.runner.add_root(config.as_ref()))
    }

    /// A request arrives that this configuration is for.
    #[must_use]
    pub fn open_under(&self, configuration: Configuration, head: RequestHead) -> Stream {
        Stream::new(Rc::clone(&self.runner), self.runner.open(configuration.0, head))
    }

    /// A configuration that nothing has any more: the route changed, or is gone.
    pub fn forget(&self, configuration: Configuration) {
        self.runner.drop_root(configuration.0);
    }

    /// A request arrives that the gateway's auth refuses with `status` before the filter sees it.
    #[must_use]
    pub fn open_rejected_by_auth(&self, head: RequestHead, status: u32) -> Stream {
        Stream::new(Rc::clone(&self.runner), self.runner.open_rejected(head, status))
    }

    /// What state its filter is in.
    #[must_use]
    pub fn health(&self) -> Health {
        self.runner.health()
    }

    /// How many VMs it has started; 1 if none ever trapped.
    #[must_use]
    pub fn vms_started(&self) -> u64 {
        self.runner.vms_started()
    }

    /// Pages of 64 KiB its VM holds.
    #[must_use]
    pub fn memory_pages(&self) -> u64 {
        self.runner.memory_pages()
    }
}
