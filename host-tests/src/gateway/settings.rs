//! [`Settings`]: what an operator of the gateway sets, with each gateway's own defaults.
//!
//! [`Settings::new`] is the gateway as it comes; [`Settings::shipped`] is how Tollgate's own configurations set it.

use std::collections::BTreeSet;

use super::{faults::Faults, profile::Profile, properties::Properties};

/// What Kong's shared memory does when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// Old keys disappear without a word; the default.
    Slru,
    /// The write fails.
    None,
}

/// One `nginx_wasm_shm_kv` zone of Kong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShmZone {
    /// `*` for the default zone; a key `name/...` goes to the zone of that name.
    pub name: String,
    /// Size of the zone.
    pub bytes: usize,
    /// What happens when it is full.
    pub eviction: Eviction,
}

/// How one gateway process is set up. Fields of other gateways are ignored.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which gateway.
    pub profile: Profile,
    /// The plugin configuration, as the filter gets it.
    pub config: Vec<u8>,
    /// The VM configuration (Envoy).
    pub vm_config: Vec<u8>,
    /// The VM id under which shared data is kept (Envoy).
    pub vm_id: String,
    /// The filter's name, part of a metric's name on Kong.
    pub filter_name: String,
    /// Worker threads or processes.
    pub workers: usize,
    /// Nanoseconds since 1970 when the gateway starts.
    pub start_time_ns: u64,
    /// Seed of WASI's `random_get`.
    pub seed: u64,
    /// Fuel for one callback; running out is a trap.
    pub fuel_per_callback: u64,
    /// Bytes one VM may grow to.
    pub memory_limit: usize,
    /// Envoy: `allow_on_headers_stop_iteration`.
    pub allow_on_headers_stop_iteration: bool,
    /// Envoy: `per_connection_buffer_limit_bytes`.
    pub buffer_limit: usize,
    /// Envoy: the clusters that callouts can go to; `None` for any name.
    pub clusters: Option<BTreeSet<String>>,
    /// Envoy: `failure_policy: FAIL_RELOAD`.
    pub fail_reload: bool,
    /// Envoy: whether the VM of the main thread is alive, as it is in a real one; it keeps shared data alive.
    pub main_thread_vm: bool,
    /// Kong: `client_body_buffer_size`. A larger body is spilled to disk, and the filter cannot read it.
    pub client_body_buffer_size: usize,
    /// Kong: `wasm_response_body_buffers`, in bytes, that a paused response may fill.
    pub response_buffers: usize,
    /// Kong: a response with a Content-Length of at least this never shows `end_of_stream`. Seen with 200 kB.
    pub no_end_from_content_length: usize,
    /// Kong: the zones of `nginx_wasm_shm_kv`. Without the default zone `*`, shared data traps.
    pub shm_zones: Vec<ShmZone>,
    /// Kong: what nginx calls itself, shown as `:authority`.
    pub server_name: String,
    /// APISIX, Kong: nginx variables that exist, so that `set_property` can set them.
    pub declared_variables: BTreeSet<String>,
    /// APISIX: the environment of nginx, which the filter inherits.
    pub environment: Vec<(String, String)>,
    /// Properties of every stream of this gateway, beside those that follow from the stream.
    pub properties: Properties,
    /// Host calls that misbehave.
    pub faults: Faults,
}

impl Settings {
    /// A gateway with its own defaults.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            config: b"{}".to_vec(),
            vm_config: Vec::new(),
            vm_id: "tollgate".to_owned(),
            filter_name: "tollgate".to_owned(),
            workers: 1,
            start_time_ns: 1_770_000_000_000_000_000,
            seed: 1,
            fuel_per_callback: 2_000_000_000,
            memory_limit: 256 << 20,
            allow_on_headers_stop_iteration: false,
            buffer_limit: 1 << 20,
            clusters: None,
            fail_reload: false,
            main_thread_vm: true,
            client_body_buffer_size: 8 << 10,
            response_buffers: 4 * (4 << 10),
            no_end_from_content_length: 16 << 10,
            shm_zones: Vec::new(),
            server_name: "kong:8000".to_owned(),
            declared_variables: ["wasm_process_req_body", "wasm_process_resp_body"].map(str::to_owned).into(),
            environment: Vec::new(),
            properties: Properties::default(),
            faults: Faults::default(),
        }
    }

    /// A gateway set up as Tollgate's shipped configurations do: bodies of agents fit, a trap does not stay,
    /// and Kong has shared memory.
    #[must_use]
    pub fn shipped(profile: Profile) -> Self {
        let zone = ShmZone { name: "*".to_owned(), bytes: 12 << 20, eviction: Eviction::Slru };
        Self {
            buffer_limit: 16 << 20,
            fail_reload: true,
            client_body_buffer_size: 16 << 20,
            shm_zones: vec![zone],
            ..Self::new(profile)
        }
    }

    /// The same with this plugin configuration.
    #[must_use]
    pub fn with_config(mut self, config: impl Into<Vec<u8>>) -> Self {
        self.config = config.into();
        self
    }

    /// The same with one more nginx variable that exists.
    #[must_use]
    pub fn with_variable(mut self, name: &str) -> Self {
        self.declared_variables.insert(name.to_owned());
        self
    }

    /// The same with this many workers.
    #[must_use]
    pub fn with_workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// The same with these faults.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }
}
