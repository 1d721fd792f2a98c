//! The filter in wasmtime, without the fuel and the bookkeeping of the test gateway: as fast as it gets.
//!
//! A request is shown to it up to the end of its body; every other host function does nothing and says that all went well.
//! Must not know: what is measured.

use std::time::{Duration, Instant};
use tollgate_core::names::state;
use wasmtime::{Caller, Engine, Extern, Instance, Linker, Module, Result, Store, TypedFunc};

/// The root context; requests count up from here.
const ROOT: u32 = 1;
const HEADERS: [(&str, &str); 4] = [
    (":method", "POST"),
    (":path", "/v1/chat/completions"),
    (":authority", "api.openai.com"),
    ("content-type", "application/json"),
];

/// What host functions show and hear.
#[derive(Default)]
struct Host {
    body: Vec<u8>,
    input_tokens: Option<u64>,
}

/// One VM.
pub struct Vm {
    store: Store<Host>,
    instance: Instance,
    context: u32,
}

/// What came of a request.
pub struct Admitted {
    /// How long the filter took once the body was there.
    pub took: Duration,
    /// The tokens that it made of it.
    pub input_tokens: u64,
}

impl Vm {
    pub fn start(engine: &Engine, module: &Module) -> Result<Self> {
        let mut store = Store::new(engine, Host::default());
        let mut linker = Linker::new(engine);
        linker.func_wrap("env", "proxy_get_header_map_pairs", |mut caller: Caller<'_, Host>, _: u32, to, length| {
            hand_over(&mut caller, &pairs(), to, length)
        })?;
        linker.func_wrap(
            "env",
            "proxy_get_buffer_bytes",
            |mut caller: Caller<'_, Host>, _: u32, _: u32, _: u32, to, length| {
                let body = caller.data().body.clone();
                hand_over(&mut caller, &body, to, length)
            },
        )?;
        linker.func_wrap(
            "env",
            "proxy_set_property",
            |mut caller: Caller<'_, Host>, name, name_length, value, length| {
                if read(&mut caller, name, name_length)? == state::INPUT_TOKENS {
                    caller.data_mut().input_tokens = read(&mut caller, value, length)?.parse().ok();
                }
                Ok(0_u32)
            },
        )?;
        linker.define_unknown_imports_as_default_values(&mut store, module)?;
        let instance = linker.instantiate(&mut store, module)?;
        let mut vm = Self { store, instance, context: ROOT };
        vm.export::<(), ()>("_initialize")?.call(&mut vm.store, ())?;
        vm.export::<_, ()>("proxy_on_context_create")?.call(&mut vm.store, (ROOT, 0_u32))?;
        vm.export::<_, u32>("proxy_on_configure")?.call(&mut vm.store, (ROOT, 0_u32))?;
        Ok(vm)
    }

    /// Shows the filter a request, which then ends.
    pub fn admit(&mut self, body: &[u8]) -> Result<Admitted> {
        self.context += 1;
        let (context, size) = (self.context, u32::try_from(body.len())?);
        self.store.data_mut().body = body.to_vec();
        self.export::<_, ()>("proxy_on_context_create")?.call(&mut self.store, (context, ROOT))?;
        let headers = self.export::<_, u32>("proxy_on_request_headers")?;
        headers.call(&mut self.store, (context, u32::try_from(HEADERS.len())?, 0_u32))?;
        let on_body = self.export::<_, u32>("proxy_on_request_body")?;
        let start = Instant::now();
        on_body.call(&mut self.store, (context, size, 1_u32))?;
        let took = start.elapsed();
        let input_tokens = self.store.data_mut().input_tokens.take().expect("the filter counts");
        self.export::<_, ()>("proxy_on_delete")?.call(&mut self.store, context)?;
        Ok(Admitted { took, input_tokens })
    }

    fn export<P: wasmtime::WasmParams, R: wasmtime::WasmResults>(&mut self, name: &str) -> Result<TypedFunc<P, R>> {
        self.instance.get_typed_func(&mut self.store, name)
    }
}

/// Headers as the ABI serialises them: a count, lengths, texts that end in a zero byte.
fn pairs() -> Vec<u8> {
    let word = |length: usize| u32::try_from(length).expect("short").to_le_bytes();
    let mut bytes = word(HEADERS.len()).to_vec();
    HEADERS.iter().for_each(|(name, value)| bytes.extend([word(name.len()), word(value.len())].concat()));
    HEADERS.iter().for_each(|(name, value)| bytes.extend(format!("{name}\0{value}\0").bytes()));
    bytes
}

/// Copies bytes into memory that the filter allocates, and tells it where.
fn hand_over(caller: &mut Caller<'_, Host>, bytes: &[u8], to: u32, length: u32) -> Result<u32> {
    let size = u32::try_from(bytes.len())?;
    let Some(Extern::Func(allocate)) = caller.get_export("proxy_on_memory_allocate") else { return Ok(1) };
    let place = allocate.typed::<u32, u32>(&caller)?.call(&mut *caller, size)?;
    write(caller, place, bytes)?;
    write(caller, to, &place.to_le_bytes())?;
    write(caller, length, &size.to_le_bytes())?;
    Ok(0)
}

fn write(caller: &mut Caller<'_, Host>, at: u32, bytes: &[u8]) -> Result<()> {
    let memory = caller.get_export("memory").and_then(Extern::into_memory).expect("memory");
    Ok(memory.write(caller, usize::try_from(at)?, bytes)?)
}

fn read(caller: &mut Caller<'_, Host>, at: u32, length: u32) -> Result<String> {
    let memory = caller.get_export("memory").and_then(Extern::into_memory).expect("memory");
    let mut bytes = vec![0; usize::try_from(length)?];
    memory.read(caller, usize::try_from(at)?, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
