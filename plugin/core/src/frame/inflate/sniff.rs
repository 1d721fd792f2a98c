//! Whether a body begins as its coding does.
//!
//! Gzip and zstd have a magic number, zlib a header that no text passes for. Brotli and raw deflate have nothing of
//! the kind: there, what begins as JSON or events do, and is printable to its last byte, is taken for text.
//! Must not know: how a coding is undone.

use super::Coding;

/// First bytes that tell, at most: that many coded ones are printable by chance once in a million times.
const SNIFFED: usize = 16;

const GZIP: &[u8] = &[0x1F, 0x8B];
const ZSTD: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];
/// Behind the first byte of a zstd frame that is to be skipped.
const SKIPPABLE: &[u8] = &[0x2A, 0x4D, 0x18];

/// What a body begins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    Plain,
    Gzip,
    /// Deflate with the header and checksum that RFC 9110 wants around it.
    Zlib,
    /// Deflate without.
    Deflate,
    Brotli,
    Zstd,
}

/// The first bytes of a body.
pub(super) struct Sniff {
    coding: Coding,
    /// Where a coding has no magic number, text is plain.
    knows_text: bool,
    held: Vec<u8>,
}

impl Sniff {
    pub(super) const fn new(coding: Coding) -> Self {
        Self { coding, knows_text: true, held: Vec::new() }
    }

    /// The same for a body of which nobody may believe that it is text: what decodes must be decoded.
    pub(super) const fn strict(coding: Coding) -> Self {
        Self { coding, knows_text: false, held: Vec::new() }
    }

    /// Reads on: what the body begins as, once that is clear, and what of the piece was not needed to tell.
    pub(super) fn feed<'a>(&mut self, piece: &'a [u8]) -> (Option<Beginning>, &'a [u8]) {
        let mut rest = piece;
        while let Some((byte, behind)) = rest.split_first() {
            self.held.push(*byte);
            rest = behind;
            if let beginning @ Some(_) = self.judge() {
                return (beginning, rest);
            }
        }
        (None, rest)
    }

    /// There is no more: what the little that there is begins as.
    pub(super) fn end(&self) -> Beginning {
        match self.coding {
            _ if self.held.is_empty() => Beginning::Plain,
            Coding::Gzip => Beginning::Gzip,
            Coding::Zstd => Beginning::Zstd,
            Coding::Deflate | Coding::Brotli if self.knows_text && is_text(&self.held) => Beginning::Plain,
            Coding::Deflate => Beginning::Deflate,
            Coding::Brotli => Beginning::Brotli,
        }
    }

    /// Takes what was held back.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    fn judge(&self) -> Option<Beginning> {
        match (self.coding, self.held.as_slice()) {
            (Coding::Gzip, held) => magic(held, GZIP, Beginning::Gzip),
            (Coding::Zstd, [0x50..=0x5F, held @ ..]) => magic(held, SKIPPABLE, Beginning::Zstd),
            (Coding::Zstd, held) => magic(held, ZSTD, Beginning::Zstd),
            (Coding::Deflate, [method, flags]) if is_zlib(*method, *flags) => Some(Beginning::Zlib),
            (Coding::Deflate, [] | [_]) => None,
            (Coding::Deflate, _) if !self.knows_text => Some(Beginning::Deflate),
            (Coding::Brotli, _) if !self.knows_text => Some(Beginning::Brotli),
            (Coding::Deflate, held) => text(held, Beginning::Deflate),
            (Coding::Brotli, held) => text(held, Beginning::Brotli),
        }
    }
}

/// Tells once all of the magic number is there, or something else is.
fn magic(held: &[u8], magic: &[u8], beginning: Beginning) -> Option<Beginning> {
    match (held == magic, magic.starts_with(held)) {
        (true, _) => Some(beginning),
        (false, true) => None,
        (false, false) => Some(Beginning::Plain),
    }
}

/// Tells once a byte is no text, or enough of them are.
fn text(held: &[u8], beginning: Beginning) -> Option<Beginning> {
    match (is_text(held), held.len() < SNIFFED) {
        (false, _) => Some(beginning),
        (true, true) => None,
        (true, false) => Some(Beginning::Plain),
    }
}

/// Whether JSON or events may begin like this: printable ASCII and white space, perhaps behind a byte order mark.
fn is_text(held: &[u8]) -> bool {
    let begins = held.first().is_none_or(|first| b"{[\"<:deir \t\n\r\xEF".contains(first));
    begins && held.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r' | 0xEF | 0xBB | 0xBF))
}

/// Method 8, a window of at most 32 KiB, no dictionary, and a check that holds.
fn is_zlib(method: u8, flags: u8) -> bool {
    let is_divisible = u16::from_be_bytes([method, flags]).is_multiple_of(31);
    method & 0x0F == 8 && method >> 4 <= 7 && flags & 0x20 == 0 && is_divisible
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a body begins as when it ends behind these bytes.
    fn begins(coding: Coding, bytes: &[u8]) -> Beginning {
        let mut sniff = Sniff::new(coding);
        let (beginning, _) = sniff.feed(bytes);
        beginning.unwrap_or_else(|| sniff.end())
    }

    #[test]
    fn text_is_plain_whatever_its_coding_is_said_to_be() {
        let texts: [&[u8]; 7] = [
            b"{\"usage\":{\"prompt_tokens\":8}}",
            b"[{}]",
            b"data: {}\n\n",
            b"event: x",
            b": keep-alive\n\n",
            b"",
            b"\xEF\xBB\xBF{}",
        ];
        for coding in Coding::ALL {
            for text in texts {
                // What is shorter than a magic number may be the beginning of one.
                let beginning = begins(coding, text);
                assert_eq!(beginning, Beginning::Plain, "{coding:?} {text:?}");
            }
        }
    }

    #[test]
    fn what_begins_as_its_coding_does_is_coded() {
        assert_eq!(begins(Coding::Gzip, &[0x1F, 0x8B, 8, 0]), Beginning::Gzip);
        assert_eq!(begins(Coding::Gzip, &[0x1F]), Beginning::Gzip, "cut short");
        assert_eq!(begins(Coding::Zstd, &[0x28, 0xB5, 0x2F, 0xFD]), Beginning::Zstd);
        assert_eq!(begins(Coding::Zstd, &[0x5B, 0x2A, 0x4D, 0x18]), Beginning::Zstd);
        assert_eq!(begins(Coding::Deflate, &[0x78, 0x9C]), Beginning::Zlib);
        assert_eq!(begins(Coding::Deflate, &[0xAB, 0x56]), Beginning::Deflate);
        // The window, and a last block of 64 KiB and more, look like a bracket.
        assert_eq!(begins(Coding::Brotli, &[b'[', 0xFF, 0xFF]), Beginning::Brotli);
    }
}
