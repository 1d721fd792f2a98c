//! Brotli (RFC 7932).
//!
//! Invariants: memory is one window of at most [`WINDOW_BITS_MAX`] bits, which grows with what is decoded, and the
//! tables of one block, less than 4 MiB.

use super::{Decode, Fault, Sink};
use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

/// The largest window, 4 MiB: what encoders take unless told otherwise. Two larger ones exist.
const WINDOW_BITS_MAX: u8 = 22;
/// Bytes that are given at once, at most.
const SCRATCH: usize = 16 * 1024;

/// A brotli stream.
pub(super) struct Brotli {
    decoder: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    scratch: Vec<u8>,
    is_begun: bool,
    is_over: bool,
}

impl Brotli {
    pub(super) fn new() -> Self {
        let [bytes, numbers, codes] = [(); 3].map(|()| StandardAlloc::default());
        // Strict: without the windows up to 1 GiB that RFC 7932 does not have.
        let decoder = Box::new(BrotliState::new_strict(bytes, numbers, codes));
        Self { decoder, scratch: vec![0; SCRATCH], is_begun: false, is_over: false }
    }
}

impl Decode for Brotli {
    fn feed(&mut self, piece: &[u8], sink: Sink<'_>) -> Result<(), Fault> {
        let Some(first) = piece.first() else { return Ok(()) };
        if !std::mem::replace(&mut self.is_begun, true) && window_bits(*first) > WINDOW_BITS_MAX {
            return Err(Fault::Limit);
        }
        let (mut unread, mut read, mut total) = (piece.len(), 0, 0);
        while !self.is_over {
            let (mut room, mut written) = (self.scratch.len(), 0);
            let result = BrotliDecompressStream(
                &mut unread,
                &mut read,
                piece,
                &mut room,
                &mut written,
                &mut self.scratch,
                &mut total,
                &mut self.decoder,
            );
            sink(self.scratch.get(..written).unwrap_or_default())?;
            match result {
                BrotliResult::ResultSuccess => self.is_over = true,
                // Where there was no room left, there may be more to write.
                BrotliResult::NeedsMoreInput if room > 0 => break,
                BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
                BrotliResult::ResultFailure => return Err(Fault::Garbled),
            }
        }
        Ok(())
    }

    fn end(&mut self, _sink: Sink<'_>) -> Result<bool, Fault> {
        Ok(self.is_over)
    }
}

/// The window that the first byte of a stream asks for; of the smaller ones only that they are.
const fn window_bits(first: u8) -> u8 {
    match first & 0b1111 {
        0b1111 => 24,
        0b1101 => 23,
        _ => WINDOW_BITS_MAX,
    }
}
