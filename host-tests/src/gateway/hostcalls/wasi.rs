//! WASI preview 1 as gateways offer it to a filter: output goes to the log, the clock is the gateway's, random bytes
//! come from the seed, the environment is what the gateway lets through, and there are no files.

use super::{Refusal, guest::Args, guest::Guest};
use crate::gateway::vm::VmState;

const SUCCESS: i32 = 0;
const BAD_FILE: i32 = 8;
const FAULT: i32 = 21;
const NOT_SUPPORTED: i32 = 58;

/// Does one WASI call; the error is a trap.
pub(super) fn call(guest: &mut Guest<'_, '_>, name: &str, args: Args<'_>) -> wasmtime::Result<i32> {
    let done = match name {
        "fd_write" => write(guest, args),
        "clock_time_get" => {
            let now_ns = guest.process().now_ns;
            guest.write(args.u32(2), &now_ns.to_le_bytes())
        }
        "random_get" => {
            let bytes: Vec<u8> = {
                let mut process = guest.process();
                (0..args.u32(1)).map(|_| process.random_byte()).collect()
            };
            guest.write(args.u32(0), &bytes)
        }
        "environ_sizes_get" => {
            let entries = environment(guest.state());
            let bytes: usize = entries.iter().map(Vec::len).sum();
            guest.write_u32(args.u32(0), size(entries.len())).and_then(|()| guest.write_u32(args.u32(1), size(bytes)))
        }
        "environ_get" => environ_get(guest, args),
        "args_sizes_get" => guest.write_u32(args.u32(0), 0).and_then(|()| guest.write_u32(args.u32(1), 0)),
        "args_get" | "sched_yield" => Ok(()),
        // a character device, so that the standard library does not buffer oddly
        "fd_fdstat_get" if args.u32(0) <= 2 => {
            let mut stat = [0_u8; 24];
            stat[0] = 2;
            guest.write(args.u32(1), &stat)
        }
        "proc_exit" => {
            return Err(wasmtime::Error::msg(format!("the filter called proc_exit({})", args.u32(0))));
        }
        name if name.starts_with("fd_") => return Ok(BAD_FILE),
        _ => return Ok(NOT_SUPPORTED),
    };
    match done {
        Ok(()) => Ok(SUCCESS),
        Err(Refusal::Status(_)) => Ok(FAULT),
        Err(Refusal::Trap(reason)) => Err(wasmtime::Error::msg(reason)),
    }
}

fn write(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Result<(), Refusal> {
    let (file, vectors, count, written_at) = (args.u32(0), args.u32(1), args.u32(2), args.u32(3));
    let mut text = Vec::new();
    for index in 0..count {
        let vector = guest.read(vectors.wrapping_add(index.wrapping_mul(8)), 8)?;
        let word = |at: usize| {
            let bytes = vector.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            u32::from_le_bytes(bytes.unwrap_or_default())
        };
        text.extend(guest.read(word(0), word(4))?);
    }
    let (worker, level) = (guest.state().worker, if file == 2 { 4 } else { 2 });
    guest.process().log(worker, level, text.trim_ascii_end());
    guest.write_u32(written_at, size(text.len()))
}

fn environ_get(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Result<(), Refusal> {
    let (mut pointer_at, mut at) = (args.u32(0), args.u32(1));
    for entry in environment(guest.state()) {
        guest.write_u32(pointer_at, at)?;
        guest.write(at, &entry)?;
        pointer_at = pointer_at.wrapping_add(4);
        at = at.wrapping_add(size(entry.len()));
    }
    Ok(())
}

fn environment(state: &VmState) -> Vec<Vec<u8>> {
    let entry = |(name, value): &(String, String)| format!("{name}={value}\0").into_bytes();
    state.settings.environment.iter().map(entry).collect()
}

fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
