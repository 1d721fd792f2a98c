//! Gzip (RFC 1952): members of deflate, each with a header and a checksum.
//!
//! What lies behind the last member and is none is ignored, as gzip itself does.
//! Must not know: deflate.

use super::deflate::Deflate;
use super::{Decode, Fault, Sink};

/// Flags of a header.
mod flag {
    pub(super) const CHECKSUM: u8 = 1 << 1;
    pub(super) const EXTRA: u8 = 1 << 2;
    pub(super) const NAME: u8 = 1 << 3;
    pub(super) const COMMENT: u8 = 1 << 4;
    pub(super) const RESERVED: u8 = 0b1110_0000;
}

/// A gzip stream.
pub(super) struct Gzip {
    part: Part,
    /// What the header announces and is still to come.
    flags: u8,
    deflate: Deflate,
    checksum: crc32fast::Hasher,
    length: u32,
    is_first: bool,
}

/// Where in a member the stream is. Numbers count the bytes of a part that were seen.
#[derive(Clone, Copy, Debug)]
enum Part {
    Header(u8),
    ExtraLength(u8, u16),
    Extra(u16),
    Name,
    Comment,
    HeaderChecksum(u8),
    Data,
    /// Checksum and length, little-endian.
    Trailer(u8, u64),
    /// Behind the last member.
    Over,
}

impl Default for Gzip {
    fn default() -> Self {
        Self {
            part: Part::Header(0),
            flags: 0,
            deflate: Deflate::raw(),
            checksum: crc32fast::Hasher::new(),
            length: 0,
            is_first: true,
        }
    }
}

impl Gzip {
    /// Reads a byte of anything but the data.
    fn step(&mut self, byte: u8) -> Result<(), Fault> {
        self.part = match self.part {
            Part::Header(0) if byte == 0x1F => Part::Header(1),
            Part::Header(1) if byte == 0x8B => Part::Header(2),
            Part::Header(0 | 1) if !self.is_first => Part::Over,
            Part::Header(2) if byte == 8 => Part::Header(3),
            Part::Header(3) if byte & flag::RESERVED == 0 => {
                self.flags = byte;
                Part::Header(4)
            }
            Part::Header(0..=3) => return Err(Fault::Garbled),
            Part::Header(9..) => self.next(),
            Part::Header(seen) => Part::Header(seen.saturating_add(1)),
            Part::ExtraLength(0, _) => Part::ExtraLength(1, u16::from(byte)),
            Part::ExtraLength(_, low) => self.extra(u16::from_le_bytes([low.to_le_bytes()[0], byte])),
            Part::Extra(left) => self.extra(left.saturating_sub(1)),
            Part::Name | Part::Comment if byte == 0 => self.next(),
            Part::HeaderChecksum(0) => Part::HeaderChecksum(1),
            Part::HeaderChecksum(_) => self.next(),
            Part::Trailer(seen, value) => self.trailer(seen, value, byte)?,
            same @ (Part::Name | Part::Comment | Part::Data | Part::Over) => same,
        };
        Ok(())
    }

    /// The next part of the header that was announced.
    fn next(&mut self) -> Part {
        let parts = [
            (flag::EXTRA, Part::ExtraLength(0, 0)),
            (flag::NAME, Part::Name),
            (flag::COMMENT, Part::Comment),
            (flag::CHECKSUM, Part::HeaderChecksum(0)),
        ];
        match parts.into_iter().find(|(flag, _)| self.flags & flag != 0) {
            Some((flag, part)) => {
                self.flags &= !flag;
                part
            }
            None => Part::Data,
        }
    }

    fn extra(&mut self, left: u16) -> Part {
        if left == 0 { self.next() } else { Part::Extra(left) }
    }

    fn trailer(&mut self, seen: u8, value: u64, byte: u8) -> Result<Part, Fault> {
        let value = value | u64::from(byte) << (u32::from(seen) * 8);
        if seen < 7 {
            return Ok(Part::Trailer(seen.saturating_add(1), value));
        }
        let checksum = std::mem::take(&mut self.checksum).finalize();
        if value != u64::from(self.length) << 32 | u64::from(checksum) {
            return Err(Fault::Garbled);
        }
        self.length = 0;
        self.is_first = false;
        self.deflate.restart();
        Ok(Part::Header(0))
    }
}

impl Decode for Gzip {
    fn feed(&mut self, piece: &[u8], sink: Sink<'_>) -> Result<(), Fault> {
        let mut rest = piece;
        while let Some((byte, behind)) = rest.split_first() {
            if !matches!(self.part, Part::Data) {
                self.step(*byte)?;
                rest = behind;
                continue;
            }
            let Self { deflate, checksum, length, .. } = self;
            rest = deflate.inflate(rest, &mut |bytes| {
                checksum.update(bytes);
                // The trailer has the length modulo 2^32.
                *length = length.wrapping_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                sink(bytes)
            })?;
            if self.deflate.is_over() {
                self.part = Part::Trailer(0, 0);
            }
        }
        Ok(())
    }

    fn end(&mut self, _sink: Sink<'_>) -> Result<bool, Fault> {
        Ok(matches!(self.part, Part::Over) || (matches!(self.part, Part::Header(0)) && !self.is_first))
    }
}
