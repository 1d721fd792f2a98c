//! What each gateway links: [`linkable`], and [`check_imports`], which says which import of a filter cannot link where.
//!
//! Invariant: instantiation links exactly these functions, so a filter that passes here loads, and one that does not
//! fails to load as it would in the real gateway.

use wasmtime::{Engine, ExternType, FuncType, Module, ValType};

use super::{error::LoadError, profile::Profile};

/// The type of a host function, as one letter per value: `i` is i32, `I` is i64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Parameters.
    pub params: &'static str,
    /// Results.
    pub results: &'static str,
}

/// One import that a gateway cannot link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportProblem {
    /// There is no such host function.
    #[error("{profile:?} has no function {module}::{name}")]
    Missing {
        /// The gateway.
        profile: Profile,
        /// `env` or `wasi_snapshot_preview1`.
        module: String,
        /// The import.
        name: String,
    },
    /// There is one, of another type.
    #[error("{profile:?} links {module}::{name} as {linked}, the filter wants {wanted}")]
    Type {
        /// The gateway.
        profile: Profile,
        /// `env` or `wasi_snapshot_preview1`.
        module: String,
        /// The import.
        name: String,
        /// The gateway's type.
        linked: String,
        /// The filter's type.
        wanted: String,
    },
}

/// The module of the ABI's functions.
pub(crate) const ENV: &str = "env";
/// The module of WASI's functions.
pub(crate) const WASI: &str = "wasi_snapshot_preview1";

/// A host function's name and type.
type Linkable = (&'static str, Signature);

const fn function(name: &'static str, params: &'static str) -> Linkable {
    (name, Signature { params, results: "i" })
}

/// What all three link the same way.
const COMMON: [Linkable; 38] = [
    function("proxy_log", "iii"),
    function("proxy_get_current_time_nanoseconds", "i"),
    function("proxy_set_tick_period_milliseconds", "i"),
    function("proxy_get_configuration", "ii"),
    function("proxy_set_effective_context", "i"),
    function("proxy_done", ""),
    function("proxy_get_buffer_bytes", "iiiii"),
    function("proxy_set_buffer_bytes", "iiiii"),
    function("proxy_get_header_map_pairs", "iii"),
    function("proxy_set_header_map_pairs", "iii"),
    function("proxy_get_header_map_value", "iiiii"),
    function("proxy_add_header_map_value", "iiiii"),
    function("proxy_replace_header_map_value", "iiiii"),
    function("proxy_remove_header_map_value", "iii"),
    function("proxy_get_property", "iiii"),
    function("proxy_set_property", "iiii"),
    function("proxy_continue_request", ""),
    function("proxy_continue_response", ""),
    function("proxy_continue_stream", "i"),
    function("proxy_close_stream", "i"),
    function("proxy_clear_route_cache", ""),
    function("proxy_send_local_response", "iiiiiiii"),
    function("proxy_http_call", "iiiiiiiiii"),
    function("proxy_grpc_call", "iiiiiiiiiiii"),
    function("proxy_grpc_stream", "iiiiiiiii"),
    function("proxy_grpc_send", "iiii"),
    function("proxy_grpc_cancel", "i"),
    function("proxy_grpc_close", "i"),
    function("proxy_get_status", "iii"),
    function("proxy_get_shared_data", "iiiii"),
    function("proxy_set_shared_data", "iiiii"),
    function("proxy_register_shared_queue", "iii"),
    function("proxy_resolve_shared_queue", "iiiii"),
    function("proxy_dequeue_shared_queue", "iii"),
    function("proxy_enqueue_shared_queue", "iii"),
    function("proxy_call_foreign_function", "iiiiii"),
    function("proxy_define_metric", "iiii"),
    function("proxy_increment_metric", "iI"),
];

const RECORD: Linkable = function("proxy_record_metric", "iI");
const METRIC: Linkable = function("proxy_get_metric", "ii");
/// wasm-nginx-module 0.7.0 declares a 64-bit second parameter, where the ABI has a pointer.
const METRIC_APISIX: Linkable = function("proxy_get_metric", "iI");
const LOG_LEVEL: Linkable = function("proxy_get_log_level", "i");
/// WasmX declares two parameters, where the ABI has one.
const LOG_LEVEL_KONG: Linkable = function("proxy_get_log_level", "ii");

const fn list<const N: usize>(extra: [Linkable; N]) -> [Linkable; 41] {
    let mut all = [RECORD; 41];
    let mut index = 0;
    while index < COMMON.len() {
        all[index] = COMMON[index];
        index += 1;
    }
    let mut more = 0;
    while more < N {
        all[index + more] = extra[more];
        more += 1;
    }
    all
}

static ENVOY: [Linkable; 41] = list([RECORD, METRIC, LOG_LEVEL]);
static KONG: [Linkable; 41] = list([RECORD, METRIC, LOG_LEVEL_KONG]);
/// No `proxy_get_log_level` at all; `proxy_send_http_response` instead, the next ABI's name for a local reply.
static APISIX: [Linkable; 41] = list([RECORD, METRIC_APISIX, function("proxy_send_http_response", "iiiiiiii")]);

/// WASI preview 1 as gateways link it; most of it does nothing.
static WASI_FUNCTIONS: [Linkable; 29] = [
    function("fd_write", "iiii"),
    function("fd_read", "iiii"),
    function("fd_seek", "iIii"),
    function("fd_tell", "ii"),
    function("fd_close", "i"),
    function("fd_sync", "i"),
    function("fd_readdir", "iiiIi"),
    function("fd_fdstat_get", "ii"),
    function("fd_fdstat_set_flags", "ii"),
    function("fd_filestat_get", "ii"),
    function("fd_prestat_get", "ii"),
    function("fd_prestat_dir_name", "iii"),
    function("path_open", "iiiiiIIii"),
    function("path_create_directory", "iii"),
    function("path_remove_directory", "iii"),
    function("path_unlink_file", "iii"),
    function("path_rename", "iiiiii"),
    function("path_link", "iiiiiii"),
    function("path_readlink", "iiiiii"),
    function("path_filestat_get", "iiiii"),
    function("environ_get", "ii"),
    function("environ_sizes_get", "ii"),
    function("args_get", "ii"),
    function("args_sizes_get", "ii"),
    function("clock_time_get", "iIi"),
    function("random_get", "ii"),
    function("sched_yield", ""),
    function("poll_oneoff", "iiii"),
    ("proc_exit", Signature { params: "i", results: "" }),
];

/// The functions of module `env` that a gateway links, with their types.
#[must_use]
pub fn linkable(profile: Profile) -> &'static [(&'static str, Signature)] {
    match profile {
        Profile::Envoy => &ENVOY,
        Profile::Kong => &KONG,
        Profile::Apisix => &APISIX,
    }
}

/// The functions of module `wasi_snapshot_preview1`; the same everywhere, though they do different things.
#[must_use]
pub fn linkable_wasi() -> &'static [(&'static str, Signature)] {
    &WASI_FUNCTIONS
}

/// Checks the imports of a filter against all gateways.
///
/// # Errors
/// [`LoadError::Compile`] if the bytes are no module, [`LoadError::Imports`] with every import that some gateway
/// cannot link.
pub fn check_imports(wasm: &[u8]) -> Result<(), LoadError> {
    let engine = Engine::default();
    let module = Module::new(&engine, wasm).map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    let problems: Vec<_> = Profile::ALL.into_iter().flat_map(|profile| problems(profile, &module)).collect();
    if problems.is_empty() { Ok(()) } else { Err(LoadError::Imports(problems)) }
}

/// The imports of a module that one gateway cannot link.
pub(crate) fn problems(profile: Profile, module: &Module) -> Vec<ImportProblem> {
    let engine = module.engine();
    let check = |import: wasmtime::ImportType<'_>| {
        let (from, name) = (import.module(), import.name());
        let known = match from {
            ENV => linkable(profile),
            WASI => linkable_wasi(),
            _ => &[],
        };
        let (module, name) = (from.to_owned(), name.to_owned());
        let Some((_, signature)) = known.iter().find(|(known, _)| *known == name) else {
            return Some(ImportProblem::Missing { profile, module, name });
        };
        let linked = signature.func_type(engine);
        match import.ty() {
            ExternType::Func(wanted) if FuncType::eq(&wanted, &linked) => None,
            wanted => {
                let (linked, wanted) = (format!("{linked:?}"), format!("{wanted:?}"));
                Some(ImportProblem::Type { profile, module, name, linked, wanted })
            }
        }
    };
    module.imports().filter_map(check).collect()
}

impl Signature {
    pub(crate) fn func_type(&self, engine: &Engine) -> FuncType {
        let types = |letters: &'static str| {
            letters.chars().map(|letter| if letter == 'I' { ValType::I64 } else { ValType::I32 })
        };
        FuncType::new(engine, types(self.params), types(self.results))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_list_names_a_function_twice() {
        for profile in Profile::ALL {
            let mut names: Vec<_> = linkable(profile).iter().map(|(name, _)| *name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), linkable(profile).len(), "{profile:?}");
        }
    }
}
