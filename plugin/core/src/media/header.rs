//! What the first bytes of a file tell: the size of an image, the length of a sound.
//!
//! Formats: PNG, GIF, WebP and JPEG; WAV and MP3. A file that is none of them, or broken, tells nothing.
//! Invariants: reads at most [`READ_MAX`] bytes; no byte of a file is trusted.
//! Must not know: what a size costs.

/// How many bytes of a file are read. The size in a JPEG stands behind its thumbnail and profiles.
pub(crate) const READ_MAX: usize = 48 << 10;

/// How many bytes of other files are read.
const HEADER: usize = 96;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Size {
    /// What an image is taken to be that is not shown.
    pub(crate) const ASSUMED: Self = Self { width: 1_024, height: 1_024 };

    /// Scaled down, in proportion, so that no side is longer than this.
    pub(crate) fn fitting(self, edge: u64) -> Self {
        self.scaled(edge, self.longest())
    }

    /// Scaled down, in proportion, so that the shorter side is no longer than this.
    pub(crate) fn with_short_side(self, edge: u64) -> Self {
        self.scaled(edge, self.shortest())
    }

    fn scaled(self, to: u64, from: u64) -> Self {
        if from <= to {
            return self;
        }
        let side = |side: u32| {
            let rounded = u64::from(side).saturating_mul(to).saturating_add(from / 2);
            let scaled = rounded.checked_div(from).unwrap_or(1).max(1);
            u32::try_from(scaled).unwrap_or(u32::MAX)
        };
        Self { width: side(self.width), height: side(self.height) }
    }

    pub(crate) fn longest(self) -> u64 {
        u64::from(self.width.max(self.height))
    }

    pub(crate) fn shortest(self) -> u64 {
        u64::from(self.width.min(self.height))
    }

    pub(crate) fn area(self) -> u64 {
        u64::from(self.width).saturating_mul(u64::from(self.height))
    }

    /// How many squares of this side cover it.
    pub(crate) fn squares(self, side: u64) -> u64 {
        let across = |length: u32| u64::from(length).div_ceil(side.max(1));
        across(self.width).saturating_mul(across(self.height))
    }
}

/// The size of an image in Base64; none of one that no provider would look at.
pub(crate) fn image_size(data: &str) -> Option<Size> {
    const SIDES: std::ops::RangeInclusive<u32> = 1..=65_535;
    stated_size(data).filter(|size| SIDES.contains(&size.width) && SIDES.contains(&size.height))
}

fn stated_size(data: &str) -> Option<Size> {
    let file = decoded(data, HEADER);
    let little = |at: usize| Some(u32::from(u16::from_le_bytes(*file.get(at..)?.first_chunk()?)));
    let big = |at: usize| Some(u32::from_be_bytes(*file.get(at..)?.first_chunk()?));
    match file.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => Some(Size { width: big(16)?, height: big(20)? }),
        [b'G', b'I', b'F', b'8', ..] => Some(Size { width: little(6)?, height: little(8)? }),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', rest @ ..] => webp_size(rest),
        [0xFF, 0xD8, ..] => jpeg_size(&decoded(data, READ_MAX)),
        _ => None,
    }
}

/// The three kinds of WebP: lossy, lossless, extended. `rest` starts with the first chunk.
fn webp_size(rest: &[u8]) -> Option<Size> {
    let byte = |at: usize| rest.get(at).map(|byte| u32::from(*byte));
    let fourteen_bits = |at: usize| Some((byte(at)? | byte(at.checked_add(1)?)? << 8) & 0x3FFF);
    match rest.first_chunk()? {
        b"VP8 " => Some(Size { width: fourteen_bits(14)?, height: fourteen_bits(16)? }),
        b"VP8L" => {
            let bits = u32::from_le_bytes(*rest.get(9..)?.first_chunk()?);
            Some(Size { width: (bits & 0x3FFF).saturating_add(1), height: (bits >> 14 & 0x3FFF).saturating_add(1) })
        }
        b"VP8X" => {
            let less_one =
                |at: usize| Some(byte(at)? | byte(at.checked_add(1)?)? << 8 | byte(at.checked_add(2)?)? << 16);
            Some(Size { width: less_one(12)?.saturating_add(1), height: less_one(15)?.saturating_add(1) })
        }
        _ => None,
    }
}

/// A JPEG is a row of segments; the one that starts a frame states its size.
fn jpeg_size(file: &[u8]) -> Option<Size> {
    let mut rest = file.get(2..)?;
    loop {
        match rest {
            // Filling bytes may stand before a marker.
            [0xFF, 0xFF, ..] => rest = rest.get(1..)?,
            [0xFF, kind, high, low, body @ ..] => {
                if matches!(kind, 0xC0..=0xCF) && !matches!(kind, 0xC4 | 0xC8 | 0xCC) {
                    let side = |at: usize| Some(u32::from(u16::from_be_bytes(*body.get(at..)?.first_chunk()?)));
                    return Some(Size { height: side(1)?, width: side(3)? });
                }
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest = body.get(length.checked_sub(2)?..)?;
            }
            _ => return None,
        }
    }
}

/// The pages of a PDF in Base64, by the largest count that its page tree states; one where that lies in what is
/// compressed or not read. `None` of what is no PDF.
pub(crate) fn pages(data: &str) -> Option<u64> {
    const COUNT: &[u8] = b"/Count ";
    // `%PDF` in Base64.
    if !data.starts_with("JVBER") {
        return None;
    }
    let file = decoded(data, READ_MAX);
    let counts = memchr::memmem::find_iter(&file, COUNT).filter_map(|at| {
        let digits = file.get(at.checked_add(COUNT.len())?..)?.iter().take_while(|byte| byte.is_ascii_digit()).take(4);
        Some(
            digits.fold(0_u64, |count, digit| {
                count.saturating_mul(10).saturating_add(u64::from(digit.wrapping_sub(b'0')))
            }),
        )
    });
    Some(counts.max().unwrap_or(1).max(1))
}

/// The length of a sound in Base64, in milliseconds.
pub(crate) fn sound_length(data: &str) -> Option<u64> {
    let file = decoded(data, HEADER);
    match file.as_slice() {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', chunks @ ..] => wav_length(chunks),
        [b'I', b'D', b'3', ..] | [0xFF, 0xE0..=0xFF, ..] => mp3_length(&file, data.len()),
        _ => None,
    }
}

fn wav_length(mut chunks: &[u8]) -> Option<u64> {
    let mut bytes_per_second = None;
    loop {
        let (name, rest) = chunks.split_first_chunk::<4>()?;
        let (length, body) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        match name {
            b"fmt " => bytes_per_second = Some(u32::from_le_bytes(*body.get(8..)?.first_chunk()?)),
            b"data" => return u64::from(length).saturating_mul(1_000).checked_div(u64::from(bytes_per_second?)),
            _ => {}
        }
        chunks = body.get(usize::try_from(length).ok()?..)?;
    }
}

/// By the rate of the first frame, where the file starts with one; else, behind a tag, by the usual 128 kbit a second.
fn mp3_length(file: &[u8], base64_len: usize) -> Option<u64> {
    /// Kilobits a second by index, layer III: MPEG 1, and MPEG 2 and 2.5.
    const RATES: [[u64; 16]; 2] = [
        [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0],
        [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0],
    ];
    let rate = match file {
        [0xFF, version, rates, ..] => {
            let by_index = RATES.get(usize::from(version & 0b1_1000 != 0b1_1000))?;
            *by_index.get(usize::from(rates >> 4))?
        }
        _ => 128,
    };
    // Three bytes are four characters; a kilobit a second is an eighth of a byte a millisecond.
    u64::try_from(base64_len).ok()?.saturating_mul(6).checked_div(rate)
}

/// The first bytes of a file in Base64, of either alphabet.
fn decoded(data: &str, limit: usize) -> Vec<u8> {
    let mut file = Vec::with_capacity(limit.min(data.len()));
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in data.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte.wrapping_sub(b'A'),
            b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(52),
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'\r' | b'\n' => continue,
            _ => break,
        };
        bits = bits << 6 | u32::from(six);
        held = held.wrapping_add(6);
        if held >= 8 {
            held = held.wrapping_sub(8);
            file.push(u8::try_from(bits >> held & 0xFF).unwrap_or(0));
            if file.len() >= limit {
                break;
            }
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use proptest::prelude::*;

    /// A JPEG whose frame stands behind a segment of this length.
    fn jpeg(thumbnail: u16) -> Vec<u8> {
        let mut file = vec![0xFF, 0xD8, 0xFF, 0xE1];
        file.extend((thumbnail + 2).to_be_bytes());
        file.extend(vec![0; usize::from(thumbnail)]);
        file.extend([0xFF, 0xC0, 0, 17, 8, 0x01, 0x2C, 0x02, 0x58, 3]);
        file
    }

    #[test]
    fn every_format_tells_its_size() {
        let lossy =
            [b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\x30\x01\0\x9d\x01\x2a".as_slice(), &[0x58, 0x02, 0x2C, 0x01]].concat();
        let lossless = [b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f".as_slice(), &(599_u32 | 299 << 14).to_le_bytes()].concat();
        let extended = [b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0".as_slice(), &[0x57, 0x02, 0, 0x2B, 0x01, 0]].concat();
        for file in [
            [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &600_u32.to_be_bytes(), &300_u32.to_be_bytes()].concat(),
            [b"GIF89a".as_slice(), &600_u16.to_le_bytes(), &300_u16.to_le_bytes()].concat(),
            jpeg(0),
            jpeg(40_000),
            lossy,
            lossless,
            extended,
        ] {
            for text in [STANDARD.encode(&file), URL_SAFE.encode(&file)] {
                assert_eq!(image_size(&text), Some(Size { width: 600, height: 300 }), "{:?}", file.get(..16));
            }
        }
        assert_eq!(image_size(&STANDARD.encode(jpeg(60_000))), None, "beyond what is read");
    }

    #[test]
    fn sounds_tell_their_length() {
        let wav = [
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0".as_slice(),
            &8_000_u32.to_le_bytes(),
            b"\x01\0\x08\0data",
            &20_000_u32.to_le_bytes(),
        ]
        .concat();
        assert_eq!(sound_length(&STANDARD.encode(wav)), Some(2_500));
        // MPEG 1 layer III at 128 kbit a second: 16 bytes a millisecond.
        let mp3 = [[0xFF, 0xFB, 0x90, 0].as_slice(), &vec![0; 47_996]].concat();
        assert_eq!(sound_length(&STANDARD.encode(mp3)), Some(3_000));
        assert_eq!(sound_length("https://example.com/a.wav"), None);
    }

    #[test]
    fn a_pdf_tells_its_pages_where_it_is_not_compressed() {
        let pdf = "%PDF-1.3\n2 0 obj <</Type /Pages /Count 12 /Kids [3 0 R]>> 3 0 obj <</Count 5>>";
        assert_eq!(pages(&STANDARD.encode(pdf)), Some(12));
        assert_eq!((pages(&STANDARD.encode("%PDF-1.7")), pages("aGVsbG8=")), (Some(1), None));
    }

    proptest! {
        #[test]
        fn no_file_is_trusted(start in 0_usize..6, noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let starts: [&[u8]; 6] =
                [b"\x89PNG", b"GIF8", b"RIFF\0\0\0\0WEBPVP8X", b"\xff\xd8", b"RIFF\0\0\0\0WAVE", b"\xff\xfb"];
            let text = STANDARD.encode([starts[start], &noise].concat());
            _ = (image_size(&text), sound_length(&text));
        }
    }
}
