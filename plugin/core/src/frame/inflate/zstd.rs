//! Zstandard (RFC 8878): frames of blocks, and frames to be skipped.
//!
//! The decoder takes whole blocks, so each is held until it is complete; and it gives what has left its window, so
//! the rest of a frame comes at its end. Checksums are not compared.
//! Invariants: memory is one block of 128 KiB, and one window of at most [`WINDOW_MAX`], which grows with what is
//! decoded.

use super::{Decode, Fault, Sink};
use ruzstd::decoding::errors::{FrameDecoderError, FrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::Read;

/// The largest window: what RFC 9659 allows this coding to ask for.
const WINDOW_MAX: u64 = 8 * 1024 * 1024;
/// The largest block, by RFC 8878.
const BLOCK_MAX: usize = 128 * 1024;
const BLOCK_HEADER: usize = 3;
const CHECKSUM: usize = 4;
/// A block that ends a frame and holds nothing, with room for a checksum.
const LAST_BLOCK: [u8; BLOCK_HEADER + CHECKSUM] = [1, 0, 0, 0, 0, 0, 0];
/// Bytes that are given at once, at most.
const SCRATCH: usize = 16 * 1024;

/// A zstd stream.
#[derive(Default)]
pub(super) struct Zstd {
    /// The header or block that is not complete yet.
    held: Vec<u8>,
    frame: Option<Frame>,
    /// Bytes of a frame that are still to be skipped.
    skipped: u32,
}

struct Frame {
    decoder: FrameDecoder,
    has_checksum: bool,
    scratch: Vec<u8>,
}

impl Zstd {
    /// How many bytes make the next header or block complete, as far as is known by now.
    fn needed(&self) -> Result<usize, Fault> {
        match &self.frame {
            Some(frame) => frame.block_length(&self.held),
            None => Ok(header_length(&self.held)),
        }
    }

    /// Reads the header or block that is complete.
    fn step(&mut self, sink: Sink<'_>) -> Result<(), Fault> {
        if let Some(frame) = &mut self.frame {
            if frame.decode(&self.held, sink)? {
                self.frame = None;
            }
        } else if let Some(length) = skippable(&self.held) {
            self.skipped = length;
        } else {
            self.frame = Some(Frame::new(&self.held)?);
        }
        self.held.clear();
        Ok(())
    }
}

impl Decode for Zstd {
    fn feed(&mut self, piece: &[u8], sink: Sink<'_>) -> Result<(), Fault> {
        let mut rest = piece;
        while !rest.is_empty() {
            let needed = match self.skipped {
                0 => self.needed()?.saturating_sub(self.held.len()),
                left => usize::try_from(left).unwrap_or(usize::MAX),
            };
            let (part, behind) = rest.split_at_checked(needed).unwrap_or((rest, &[]));
            rest = behind;
            if self.skipped > 0 {
                self.skipped = self.skipped.saturating_sub(u32::try_from(part.len()).unwrap_or(u32::MAX));
                continue;
            }
            self.held.extend_from_slice(part);
            // What came may tell that more is needed.
            while self.held.len() >= self.needed()? && !self.held.is_empty() {
                self.step(sink)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, sink: Sink<'_>) -> Result<bool, Fault> {
        let is_whole = self.frame.is_none() && self.held.is_empty() && self.skipped == 0;
        if let Some(mut frame) = self.frame.take() {
            frame.decode(&LAST_BLOCK, sink)?;
        }
        Ok(is_whole)
    }
}

impl Frame {
    fn new(header: &[u8]) -> Result<Self, Fault> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW_MAX);
        decoder.reset(header).map_err(|error| match error {
            FrameDecoderError::WindowSizeTooBig { .. }
            | FrameDecoderError::FrameHeaderError(FrameHeaderError::WindowTooBig { .. }) => Fault::Limit,
            _ => Fault::Garbled,
        })?;
        let has_checksum = header.get(4).is_some_and(|descriptor| descriptor & 0b100 != 0);
        Ok(Self { decoder, has_checksum, scratch: vec![0; SCRATCH] })
    }

    /// The length of a block with its header, and with the checksum behind the last one.
    fn block_length(&self, held: &[u8]) -> Result<usize, Fault> {
        let [low, middle, high, ..] = held else { return Ok(BLOCK_HEADER) };
        let header = u32::from_le_bytes([*low, *middle, *high, 0]);
        let size = usize::try_from(header >> 3).unwrap_or(usize::MAX);
        // Of a byte that is repeated, only that byte is there.
        let content = if header >> 1 & 0b11 == 1 { 1 } else { size };
        let checksum = if header & 1 == 1 && self.has_checksum { CHECKSUM } else { 0 };
        match size {
            0..=BLOCK_MAX => Ok(content.saturating_add(BLOCK_HEADER).saturating_add(checksum)),
            _ => Err(Fault::Garbled),
        }
    }

    /// Decodes a block; `true` when it was the last. What was decoded before a fault is given all the same.
    fn decode(&mut self, block: &[u8], sink: Sink<'_>) -> Result<bool, Fault> {
        let decoded = self.decoder.decode_blocks(block, BlockDecodingStrategy::UptoBlocks(1));
        if decoded.is_err() {
            _ = self.decoder.decode_blocks(LAST_BLOCK.as_slice(), BlockDecodingStrategy::UptoBlocks(1));
        }
        while let Ok(length @ 1..) = self.decoder.read(&mut self.scratch) {
            sink(self.scratch.get(..length).unwrap_or_default())?;
        }
        decoded.map_err(|_| Fault::Garbled)
    }
}

/// The length of a frame's header, of one to be skipped too, as far as its first bytes tell.
fn header_length(held: &[u8]) -> usize {
    const MAGIC: usize = 4;
    let Some(descriptor) = held.get(MAGIC) else { return MAGIC + 1 };
    if matches!(held, [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..]) {
        return MAGIC + 4;
    }
    let is_single = descriptor & 0b10_0000 != 0;
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 0b11)).copied().unwrap_or(0);
    let size = match descriptor >> 6 {
        0 => usize::from(is_single),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    let window = usize::from(!is_single);
    [1, window, dictionary, size].iter().fold(MAGIC, |length, part| length.saturating_add(*part))
}

/// How long a frame is that is to be skipped; `None` when it is to be read.
fn skippable(header: &[u8]) -> Option<u32> {
    match header {
        [0x50..=0x5F, 0x2A, 0x4D, 0x18, length @ ..] => length.try_into().ok().map(u32::from_le_bytes),
        _ => None,
    }
}
