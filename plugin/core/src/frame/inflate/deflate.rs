//! Deflate (RFC 1951), bare or in a zlib wrapper (RFC 1950).
//!
//! Invariants: memory is one window of 32 KiB and the decoder's tables, 44 KiB in all.
//! Must not know: gzip.

use super::{Decode, Fault, Sink};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

/// The longest distance that deflate can look back.
const WINDOW: usize = 32 * 1024;

/// A deflate stream.
pub(super) struct Deflate {
    decoder: Box<DecompressorOxide>,
    /// The last bytes given, as a ring.
    window: Vec<u8>,
    at: usize,
    flags: u32,
    is_over: bool,
}

impl Deflate {
    pub(super) fn raw() -> Self {
        Self::new(inflate_flags::TINFL_FLAG_IGNORE_ADLER32)
    }

    pub(super) fn zlib() -> Self {
        Self::new(inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER)
    }

    fn new(flags: u32) -> Self {
        let flags = flags | inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
        Self { decoder: Box::default(), window: vec![0; WINDOW], at: 0, flags, is_over: false }
    }

    /// Ready for another stream.
    pub(super) fn restart(&mut self) {
        self.decoder.init();
        self.at = 0;
        self.is_over = false;
    }

    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Decodes a piece; returns what lies behind the end of the stream.
    pub(super) fn inflate<'a>(&mut self, piece: &'a [u8], sink: Sink<'_>) -> Result<&'a [u8], Fault> {
        let mut rest = piece;
        while !self.is_over {
            let (status, read, written) = decompress(&mut self.decoder, rest, &mut self.window, self.at, self.flags);
            rest = rest.get(read..).unwrap_or_default();
            let end = self.at.saturating_add(written);
            sink(self.window.get(self.at..end).unwrap_or_default())?;
            self.at = end % WINDOW;
            match status {
                TINFLStatus::Done => self.is_over = true,
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::NeedsMoreInput => break,
                _ => return Err(Fault::Garbled),
            }
        }
        Ok(rest)
    }
}

impl Decode for Deflate {
    fn feed(&mut self, piece: &[u8], sink: Sink<'_>) -> Result<(), Fault> {
        self.inflate(piece, sink).map(|_| ())
    }

    fn end(&mut self, _sink: Sink<'_>) -> Result<bool, Fault> {
        Ok(self.is_over)
    }
}
