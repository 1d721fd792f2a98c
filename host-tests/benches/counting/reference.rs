//! `tiktoken-rs` in wasmtime (`reference/`), so that both count in a sandbox.
//!
//! Must not know: what is measured.

use std::time::{Duration, Instant};
use wasmtime::{Engine, Linker, Memory, Module, Result, Store, TypedFunc};

/// One instance, its vocabulary loaded.
pub struct Reference {
    store: Store<()>,
    memory: Memory,
    allocate: TypedFunc<u32, u32>,
    count: TypedFunc<(u32, u32), u32>,
}

impl Reference {
    pub fn start(engine: &Engine, module: &Module) -> Result<Self> {
        let mut store = Store::new(engine, ());
        let mut linker = Linker::new(engine);
        linker.define_unknown_imports_as_default_values(&mut store, module)?;
        let instance = linker.instantiate(&mut store, module)?;
        let memory = instance.get_memory(&mut store, "memory").expect("memory");
        let allocate = instance.get_typed_func(&mut store, "allocate")?;
        let count = instance.get_typed_func(&mut store, "count")?;
        let mut reference = Self { store, memory, allocate, count };
        reference.count("Hello")?;
        Ok(reference)
    }

    /// The tokens of a text, and how long that took.
    pub fn count(&mut self, text: &str) -> Result<(u64, Duration)> {
        let size = u32::try_from(text.len())?;
        let place = self.allocate.call(&mut self.store, size)?;
        self.memory.write(&mut self.store, usize::try_from(place)?, text.as_bytes())?;
        let start = Instant::now();
        let tokens = self.count.call(&mut self.store, (place, size))?;
        Ok((tokens.into(), start.elapsed()))
    }
}
