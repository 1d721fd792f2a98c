//! [`Guest`]: the filter's memory and the state behind it, as a host call sees them; [`Args`]: its arguments.

use std::cell::RefMut;

use wasmtime::{Caller, Extern, Memory, Val};

use super::{Answer, Refusal, Status};
use crate::gateway::{process::Process, vm::VmState};

/// The arguments of a host call.
#[derive(Clone, Copy)]
pub(super) struct Args<'a>(pub(super) &'a [Val]);

impl Args<'_> {
    /// An i32 argument as an unsigned number; 0 beyond the end.
    pub(super) fn u32(self, index: usize) -> u32 {
        self.0.get(index).and_then(Val::i32).map_or(0, i32::cast_unsigned)
    }

    /// An i64 argument.
    pub(super) fn i64(self, index: usize) -> i64 {
        self.0.get(index).and_then(Val::i64).unwrap_or(0)
    }
}

/// The calling filter.
pub(super) struct Guest<'a, 'b> {
    caller: &'a mut Caller<'b, VmState>,
}

impl<'a, 'b> Guest<'a, 'b> {
    pub(super) fn new(caller: &'a mut Caller<'b, VmState>) -> Self {
        Self { caller }
    }

    pub(super) fn state(&self) -> &VmState {
        self.caller.data()
    }

    pub(super) fn state_mut(&mut self) -> &mut VmState {
        self.caller.data_mut()
    }

    pub(super) fn process(&self) -> RefMut<'_, Process> {
        self.caller.data().process.borrow_mut()
    }

    pub(super) fn read(&mut self, at: u32, length: u32) -> Result<Vec<u8>, Refusal> {
        let memory = self.memory()?;
        let range = range(at, length).ok_or(Status::INVALID_MEMORY)?;
        Ok(memory.data(&*self.caller).get(range).ok_or(Status::INVALID_MEMORY)?.to_vec())
    }

    /// The text at two arguments, which must be UTF-8.
    pub(super) fn text(&mut self, at: u32, length: u32) -> Result<String, Refusal> {
        String::from_utf8(self.read(at, length)?).map_err(|_| Status::BAD_ARGUMENT.into())
    }

    pub(super) fn write(&mut self, at: u32, bytes: &[u8]) -> Answer {
        let memory = self.memory()?;
        let length = u32::try_from(bytes.len()).map_err(|_| Status::INVALID_MEMORY)?;
        let range = range(at, length).ok_or(Status::INVALID_MEMORY)?;
        memory.data_mut(&mut *self.caller).get_mut(range).ok_or(Status::INVALID_MEMORY)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn write_u32(&mut self, at: u32, value: u32) -> Answer {
        self.write(at, &value.to_le_bytes())
    }

    /// Allocates in the filter, copies `bytes` there, and writes where and how long. Nothing is a null pointer.
    pub(super) fn hand_over(&mut self, bytes: &[u8], pointer_at: u32, length_at: u32) -> Answer {
        let length = u32::try_from(bytes.len()).map_err(|_| Status::INVALID_MEMORY)?;
        let place = if length == 0 { 0 } else { self.allocate(length)? };
        if length != 0 {
            self.write(place, bytes)?;
        }
        self.write_u32(pointer_at, place)?;
        self.write_u32(length_at, length)
    }

    fn allocate(&mut self, length: u32) -> Result<u32, Refusal> {
        let allocator =
            ["proxy_on_memory_allocate", "malloc"].into_iter().find_map(|name| self.caller.get_export(name));
        let Some(Extern::Func(allocate)) = allocator else {
            return Err(Refusal::Trap("the filter exports no proxy_on_memory_allocate".to_owned()));
        };
        let mut place = [Val::I32(0)];
        let allocated = allocate.call(&mut *self.caller, &[Val::I32(length.cast_signed())], &mut place);
        allocated.map_err(|error| Refusal::Trap(format!("in the filter's allocator: {error:#}")))?;
        match place[0].i32().map_or(0, i32::cast_unsigned) {
            0 => Err(Status::INTERNAL_FAILURE.into()),
            place => Ok(place),
        }
    }

    fn memory(&mut self) -> Result<Memory, Refusal> {
        match self.caller.get_export("memory") {
            Some(Extern::Memory(memory)) => Ok(memory),
            _ => Err(Refusal::Trap("the filter exports no memory".to_owned())),
        }
    }
}

fn range(at: u32, length: u32) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(at).ok()?;
    Some(start..start.checked_add(usize::try_from(length).ok()?)?)
}
