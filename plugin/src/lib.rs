//! `tollgate.wasm`: the filter.
