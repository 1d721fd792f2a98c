//! The life of a stream: [`Runner`] drives one worker's VM through the callbacks of its streams.
//!
//! `chunked` moves bodies piece by piece (Envoy both ways, all responses), `whole` moves request bodies in one piece
//! (Kong, APISIX), `ending` has local replies, traps and the last callbacks.
//!
//! Invariants: the process is never borrowed while the filter runs; what a filter asks for in a callback
//! (`continue`, local reply) happens after the callback returned; every stream ends exactly once.

mod chunked;
mod ending;
mod whole;

use std::{cell::Cell, cell::RefCell, rc::Rc};

use wasmtime::InstancePre;

use super::{
    error::LoadError,
    exchange::{Ending, Exchange, Paused, RequestHead, ResponseHead},
    headers::Headers,
    process::{Callout, FuelReading, HttpReply, Process, Wish},
    settings::Settings,
    vm::{Health, Phase, ROOT, Vm, VmState},
};

/// The `Pause` action.
const PAUSE: u32 = 1;

/// One worker: its VM and how to drive it.
pub(crate) struct Runner {
    pub(crate) index: usize,
    pub(crate) settings: Rc<Settings>,
    pub(crate) process: Rc<RefCell<Process>>,
    pre: InstancePre<VmState>,
    vm: RefCell<Option<Vm>>,
    health: RefCell<Health>,
    /// The generation of the latest VM; unique in the process.
    generation: Cell<u64>,
    started: Cell<u64>,
}

impl Runner {
    /// A worker that has started its VM, unless the gateway does that later.
    pub(crate) fn start(
        index: usize,
        pre: InstancePre<VmState>,
        process: Rc<RefCell<Process>>,
    ) -> Result<Self, LoadError> {
        let settings = Rc::clone(&process.borrow().settings);
        let runner = Self {
            index,
            settings,
            process,
            pre,
            vm: RefCell::new(None),
            health: RefCell::new(Health::NotConfigured),
            generation: Cell::new(0),
            started: Cell::new(0),
        };
        if !runner.settings.profile.configures_lazily() {
            runner.rebuild();
        }
        Ok(runner)
    }

    /// Starts a fresh VM and configures it.
    fn rebuild(&self) {
        self.started.set(self.started.get() + 1);
        let generation = {
            let mut process = self.process.borrow_mut();
            process.last_generation += 1;
            process.last_generation
        };
        self.generation.set(generation);
        let started = Vm::start(&self.pre, Rc::clone(&self.process), self.index, generation);
        let configured = started.and_then(|mut vm| vm.begin().map(|accepted| (vm, accepted)));
        let (vm, health) = match configured {
            Ok((vm, true)) => (Some(vm), Health::Ready),
            Ok((_, false)) => (None, Health::Refused),
            Err(reason) => (None, Health::Failed(reason)),
        };
        if vm.is_some() {
            self.process.borrow_mut().live_vms += 1;
        }
        *self.vm.borrow_mut() = vm;
        *self.health.borrow_mut() = health;
    }

    pub(crate) fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// How many VMs this worker has started.
    pub(crate) fn vms_started(&self) -> u64 {
        self.started.get()
    }

    pub(crate) fn memory_pages(&self) -> u64 {
        self.vm.borrow_mut().as_mut().map_or(0, Vm::memory_pages)
    }

    pub(crate) fn next_tick_ns(&self) -> Option<u64> {
        self.vm.borrow().as_ref().map(|vm| vm.next_tick_ns).filter(|&due| due != 0)
    }

    /// One more root context, with a configuration of its own.
    pub(crate) fn add_root(&self, config: &[u8]) -> u32 {
        self.configure_if_due();
        let root = self.process.borrow_mut().new_context();
        self.process.borrow_mut().roots.insert(root);
        let added = self.vm.borrow_mut().as_mut().map(|vm| vm.add(root, config));
        if let Some(Err(reason)) = added {
            self.lose_vm(&reason);
        }
        root
    }

    /// The gateway lets go of a root context.
    pub(crate) fn drop_root(&self, root: u32) {
        self.call_root(root, "proxy_on_done", Phase::Done, &[root]);
        self.call_root(root, "proxy_on_delete", Phase::Delete, &[root]);
        self.process.borrow_mut().roots.remove(&root);
    }

    fn configure_if_due(&self) {
        if self.settings.profile.configures_lazily() && matches!(self.health(), Health::NotConfigured | Health::Refused)
        {
            self.rebuild();
        }
    }

    /// A new stream of a root context, from its headers.
    pub(crate) fn open(&self, root: u32, head: RequestHead) -> u32 {
        let id = self.register(head);
        self.edit(id, |exchange| exchange.root = root);
        self.configure_if_due();
        if !self.attach(id) {
            return id;
        }
        if self.settings.profile.whole_request_body() {
            self.whole_headers(id);
        } else {
            self.headers(id, true);
        }
        self.after(id);
        id
    }

    /// A stream the gateway's auth refused before the filter saw the request.
    pub(crate) fn open_rejected(&self, head: RequestHead, status: u32) -> u32 {
        let id = self.register(head);
        if self.settings.profile.shows_auth_rejections() {
            if matches!(self.health(), Health::NotConfigured) {
                self.rebuild();
            }
            if self.attach(id) {
                self.gateway_reply(id, status, "", b"");
            }
        } else {
            self.edit(id, |exchange| exchange.answer(status, Headers::new(), Vec::new()));
            self.end(id, Ending::GatewayReply);
        }
        id
    }

    fn register(&self, head: RequestHead) -> u32 {
        let mut process = self.process.borrow_mut();
        let id = process.new_context();
        let exchange = Exchange::new(self.index, head, process.now_ns);
        process.exchanges.insert(id, exchange);
        id
    }

    /// Gives a stream its filter; false when the gateway answered instead.
    fn attach(&self, id: u32) -> bool {
        match self.health() {
            Health::Ready => {
                let generation = self.generation.get();
                let root = self.edit(id, |exchange| {
                    exchange.filter = Some(generation);
                    exchange.root
                });
                self.call(id, "proxy_on_context_create", Phase::Create, &[id, root]).is_some()
            }
            Health::Refused | Health::NotConfigured | Health::Failed(_)
                if self.settings.profile.passes_unfiltered_when_refused() =>
            {
                true
            }
            _ => {
                self.edit(id, |exchange| exchange.answer(503, Headers::new(), Vec::new()));
                self.end(id, Ending::GatewayReply);
                false
            }
        }
    }

    /// More of the request body.
    pub(crate) fn request_body(&self, id: u32, chunk: &[u8], end: bool) {
        if !self.is_open(id) {
            return;
        }
        if self.settings.profile.whole_request_body() {
            self.edit(id, |exchange| {
                exchange.request.queue.extend(chunk);
                exchange.request.end_arrived |= end;
            });
            self.whole_advance(id);
        } else {
            self.body(id, true, chunk, end);
        }
        self.after(id);
    }

    /// The request ends with trailers.
    pub(crate) fn request_trailers(&self, id: u32, trailers: Headers) {
        if !self.is_open(id) {
            return;
        }
        if self.settings.profile.whole_request_body() {
            self.edit(id, |exchange| exchange.request.trailers = Some(trailers));
            self.request_body(id, &[], true);
        } else {
            self.trailers(id, true, trailers);
        }
        self.after(id);
    }

    /// What comes of a stream is told to a context of its own.
    pub(crate) fn moved(&self, id: u32) {
        if !self.edit(id, |exchange| exchange.is_open() && exchange.request.headers_sent && exchange.filter.is_some()) {
            return;
        }
        let moved = self.process.borrow_mut().new_context();
        let root = self.edit(id, |exchange| {
            exchange.moved = Some(moved);
            exchange.root
        });
        self.call(id, "proxy_on_context_create", Phase::Create, &[moved, root]);
    }

    /// The upstream answers. Nothing happens if the request never reached it.
    pub(crate) fn respond(&self, id: u32, head: ResponseHead) {
        let started = self.edit(id, |exchange| {
            let start = exchange.is_open() && exchange.request.headers_sent && !exchange.response.arrived;
            if start {
                exchange.response.headers = head.headers;
                exchange.response.arrived = true;
                exchange.code_details = "via_upstream".to_owned();
                exchange.response.end_arrived = head.end_of_stream;
                exchange.response.headers_only = head.end_of_stream;
            }
            start
        });
        if started {
            self.headers(id, false);
            self.after(id);
        }
    }

    /// More of the response body.
    pub(crate) fn response_body(&self, id: u32, chunk: &[u8], end: bool) {
        if self.edit(id, |exchange| exchange.is_open() && exchange.response.arrived) {
            self.body(id, false, chunk, end);
            self.after(id);
        }
    }

    /// The response ends with trailers.
    pub(crate) fn response_trailers(&self, id: u32, trailers: Headers) {
        if self.edit(id, |exchange| exchange.is_open() && exchange.response.arrived) {
            self.trailers(id, false, trailers);
            self.after(id);
        }
    }

    /// The answer to a callout of this worker, or its failure.
    pub(crate) fn callout_answered(&self, callout: &Callout, reply: Option<HttpReply>) {
        let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        // a failure is a callback with all zeros
        let sizes = reply
            .as_ref()
            .map_or([0, 0, 0], |reply| [size(reply.headers.len()), size(reply.body.len()), size(reply.trailers.len())]);
        if let Some(vm) = self.vm.borrow_mut().as_mut() {
            vm.set_reply(reply);
        }
        let id = callout.context;
        let root = self.edit(id, |exchange| exchange.root);
        let named = if root != 0 && self.settings.profile.names_root_in_callouts() { root } else { id };
        let args = [named, callout.token, sizes[0], sizes[1], sizes[2]];
        let is_root = self.process.borrow().roots.contains(&id);
        if is_root {
            self.call_root(id, "proxy_on_http_call_response", Phase::CallResponse, &args);
        } else {
            self.call(id, "proxy_on_http_call_response", Phase::CallResponse, &args);
        }
        if let Some(vm) = self.vm.borrow_mut().as_mut() {
            vm.set_reply(None);
        }
        let waiting = self.has_callout(id);
        if !is_root && self.settings.profile.resumes_after_callouts() && !waiting {
            self.process.borrow_mut().wishes.push((id, Wish::ContinueRequest));
        }
        self.after_all();
    }

    /// The timer.
    pub(crate) fn tick(&self) {
        self.call_root(ROOT, "proxy_on_tick", Phase::Tick, &[ROOT]);
        self.after_all();
    }

    fn call_root(&self, root: u32, callback: &'static str, phase: Phase, args: &[u32]) {
        let Some(mut vm) = self.vm.borrow_mut().take() else { return };
        match vm.call(callback, phase, root, args) {
            Ok(_) => *self.vm.borrow_mut() = Some(vm),
            Err(reason) => self.lose_vm(&reason),
        }
    }

    /// Runs one callback of a stream. `Some(action)` to go on with; `None` when the stream is over or taken over.
    fn call(&self, id: u32, callback: &'static str, phase: Phase, args: &[u32]) -> Option<u32> {
        let attached = self.edit(id, |exchange| exchange.filter);
        let own = self.vm.borrow_mut().take_if(|vm| Some(vm.generation()) == attached);
        let Some(mut vm) = own else { return self.without_filter(id) };
        let mut args = args.to_vec();
        if let (Some(moved), Some(context)) = (self.edit(id, |exchange| exchange.moved), args.first_mut()) {
            *context = moved;
        }
        match vm.call(callback, phase, id, &args) {
            Ok((result, fuel)) => {
                *self.vm.borrow_mut() = Some(vm);
                self.edit(id, |exchange| exchange.fuel.push(fuel));
                Some(result.unwrap_or(0))
            }
            Err(reason) => {
                let full = FuelReading { callback, fuel: self.settings.fuel_per_callback };
                self.edit(id, |exchange| exchange.fuel.push(full));
                self.trapped(id, phase, reason)
            }
        }
    }

    /// What a stream asked for in the callback that just returned.
    fn after(&self, id: u32) {
        self.apply_local_reply(id);
        self.after_all();
    }

    /// What any stream asked for in the callback that just returned.
    fn after_all(&self) {
        let open: Vec<u32> = {
            let process = self.process.borrow();
            let waiting = process.exchanges.iter().filter(|(_, exchange)| {
                exchange.is_open() && exchange.local_reply.is_some() && !exchange.local_reply_applied
            });
            waiting.map(|(id, _)| *id).collect()
        };
        for id in open {
            self.apply_local_reply(id);
        }
        loop {
            let next = {
                let mut process = self.process.borrow_mut();
                if process.wishes.is_empty() { None } else { Some(process.wishes.remove(0)) }
            };
            let Some((id, wish)) = next else { break };
            if !self.is_open(id) {
                continue;
            }
            match wish {
                Wish::ContinueRequest if self.settings.profile.whole_request_body() => {
                    self.edit(id, |exchange| exchange.request.paused = Paused::No);
                    self.whole_advance(id);
                }
                Wish::ContinueRequest => self.resume(id, true),
                Wish::ContinueResponse => self.resume(id, false),
                Wish::Close => self.end(id, Ending::ClosedByFilter),
            }
            self.apply_local_reply(id);
        }
    }

    fn has_callout(&self, id: u32) -> bool {
        self.process.borrow().callouts.iter().any(|callout| callout.context == id)
    }

    /// Whether this worker's VM made a callout.
    pub(crate) fn made(&self, callout: &Callout) -> bool {
        self.vm.borrow().as_ref().is_some_and(|vm| vm.generation() == callout.generation)
    }

    pub(crate) fn is_open(&self, id: u32) -> bool {
        self.edit(id, |exchange| exchange.is_open())
    }

    /// Looks at or changes an exchange; a stream's id is always known, so the fallback is never seen.
    fn edit<T: Default>(&self, id: u32, act: impl FnOnce(&mut Exchange) -> T) -> T {
        self.process.borrow_mut().exchange(id).map(act).unwrap_or_default()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if self.vm.borrow().is_some()
            && let Ok(mut process) = self.process.try_borrow_mut()
        {
            process.live_vms = process.live_vms.saturating_sub(1);
        }
    }
}
