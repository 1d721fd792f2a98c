//! `tollgate.wasm`: the filter, from the gateway's callbacks to the meter and back.
//!
//! ```text
//! gateway <-> abi (raw calls, statuses) <-> contexts <-> root, http (callback -> meter -> effect) -> output
//!                                              |         host: what differs between gateways
//!                                              +-> brake -> store: what workers share; export: what a collector gets;
//!                                                                          fleet: what other gateways are told
//! ```
//! Everything that thinks is in `tollgate-core`. Invariants: the filter never traps; a host call that fails is
//! counted and the call goes on; `abi` is the only module with `unsafe`.

mod abi;
mod body;
mod brake;
mod contexts;
mod export;
mod fleet;
mod host;
mod http;
mod operator;
mod outcome;
mod output;
mod root;
mod store;
mod vm;
