//! AWS event streams, cut into messages with a few headers and a payload each.
//!
//! A message is `total length, header length, checksum of the two, headers, payload, checksum of all`, the numbers in
//! four bytes each, the checksums CRC-32. A message is handed on once its checksum has proven it, as the provider's
//! own client does; only a payload larger than [`HELD_MAX`] is handed on as it arrives. Nothing behind a checksum that
//! differs, or a length that no message has, can be trusted: the stream is broken from there on and read no further.
//! Invariants: bounded memory; the same messages whatever the chunking.
//! Must not know: what headers and payloads mean.
#![deny(clippy::arithmetic_side_effects)]

use crc32fast::Hasher;

/// The longest message. Providers stay below 16 MiB, so a stream's first byte is zero, which no text starts with.
pub const MESSAGE_MAX: usize = 0x00FF_FFFF;
/// The most bytes of headers in a message, by the limit of the provider's clients.
pub const HEADERS_MAX: usize = 128 * 1024;
/// The longest payload that is held until its checksum is known.
pub const HELD_MAX: usize = 64 * 1024;

/// Two lengths and their checksum.
const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;

/// Receives the stream.
pub trait Visit {
    /// A message begins.
    fn opens(&mut self, headers: &Headers<'_>);
    /// A piece of its payload.
    fn payload(&mut self, piece: &[u8]);
    /// The message is complete and intact.
    fn ends(&mut self);
}

/// The headers of a message, as they lie on the wire.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a>(&'a [u8]);

impl<'a> Headers<'a> {
    /// The value of a header that is a string.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let mut rest = self.0;
        while let Some((header, after)) = Header::first(rest) {
            if header.kind == STRING && header.name == name.as_bytes() {
                return std::str::from_utf8(header.value).ok();
            }
            rest = after;
        }
        None
    }
}

struct Header<'a> {
    name: &'a [u8],
    kind: u8,
    value: &'a [u8],
}

/// The type of headers that are strings.
const STRING: u8 = 7;

impl<'a> Header<'a> {
    /// The first header, and what follows it.
    fn first(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (length, rest) = bytes.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let (&kind, rest) = rest.split_first()?;
        let (size, rest) = match kind {
            // True and false have no value.
            0 | 1 => (0, rest),
            2 => (1, rest),
            3 => (2, rest),
            4 => (4, rest),
            5 | 8 => (8, rest),
            9 => (16, rest),
            6 | STRING => {
                let (size, rest) = rest.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(*size)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(size)?;
        Some((Self { name, kind, value }, rest))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Prelude,
    Headers,
    Payload,
    Checksum,
    /// Not an event stream, or not any more.
    Broken,
}

/// The framer. Feed it pieces; [`EventStream::state`] says how the stream stands.
#[derive(Debug)]
pub struct EventStream {
    part: Part,
    /// Bytes that the part still lacks.
    missing: usize,
    /// The part being read, where it is a prelude or a checksum.
    numbers: Vec<u8>,
    headers: Vec<u8>,
    /// The payload, where it is held.
    held: Vec<u8>,
    payload: usize,
    crc: u32,
}

/// How a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Between two messages.
    Clean,
    /// Inside a message.
    Inside,
    /// A checksum differs, or a length is impossible.
    Broken,
}

impl Default for EventStream {
    fn default() -> Self {
        Self {
            part: Part::Prelude,
            missing: PRELUDE,
            numbers: Vec::new(),
            headers: Vec::new(),
            held: Vec::new(),
            payload: 0,
            crc: 0,
        }
    }
}

impl EventStream {
    /// Reads the next piece of the stream.
    pub fn feed(&mut self, bytes: &[u8], visit: &mut impl Visit) {
        let mut rest = bytes;
        while !rest.is_empty() && self.part != Part::Broken {
            let (piece, after) = rest.split_at_checked(self.missing).unwrap_or((rest, &[]));
            self.missing = self.missing.saturating_sub(piece.len());
            match self.part {
                Part::Prelude | Part::Checksum => self.numbers.extend_from_slice(piece),
                Part::Headers => self.headers.extend_from_slice(piece),
                Part::Payload if self.is_held() => self.held.extend_from_slice(piece),
                Part::Payload => visit.payload(piece),
                Part::Broken => {}
            }
            if self.part != Part::Checksum {
                self.crc = checksum(self.crc, piece);
            }
            while self.missing == 0 && self.part != Part::Broken {
                self.part_ends(visit);
            }
            rest = after;
        }
    }

    /// How the stream stands.
    #[must_use]
    pub fn state(&self) -> State {
        match self.part {
            Part::Broken => State::Broken,
            Part::Prelude if self.numbers.is_empty() => State::Clean,
            _ => State::Inside,
        }
    }

    const fn is_held(&self) -> bool {
        self.payload <= HELD_MAX
    }

    /// A part is complete: on to the next, which may be empty.
    fn part_ends(&mut self, visit: &mut impl Visit) {
        (self.part, self.missing) = match self.part {
            Part::Prelude => match self.lengths() {
                Some((headers, payload)) => {
                    self.payload = payload;
                    (Part::Headers, headers)
                }
                None => (Part::Broken, 0),
            },
            Part::Headers => {
                if !self.is_held() {
                    visit.opens(&Headers(&self.headers));
                }
                (Part::Payload, self.payload)
            }
            Part::Payload => {
                self.numbers.clear();
                (Part::Checksum, CHECKSUM)
            }
            Part::Checksum if self.numbers == self.crc.to_be_bytes() => {
                self.message_ends(visit);
                (Part::Prelude, PRELUDE)
            }
            Part::Checksum | Part::Broken => (Part::Broken, 0),
        };
    }

    fn message_ends(&mut self, visit: &mut impl Visit) {
        if self.is_held() {
            visit.opens(&Headers(&self.headers));
            visit.payload(&self.held);
        }
        visit.ends();
        self.numbers.clear();
        self.headers.clear();
        self.held.clear();
        self.crc = 0;
    }

    /// Lengths of headers and payload, where the prelude is intact and they are possible.
    fn lengths(&self) -> Option<(usize, usize)> {
        let (lengths, crc) = self.numbers.split_first_chunk::<8>()?;
        let number = |bytes: &[u8]| usize::try_from(u32::from_be_bytes(bytes.try_into().ok()?)).ok();
        let (total, headers) = lengths.split_at_checked(4)?;
        let (total, headers) = (number(total)?, number(headers)?);
        let payload = total.checked_sub(headers)?.checked_sub(PRELUDE.saturating_add(CHECKSUM))?;
        let is_intact = crc == checksum(0, lengths).to_be_bytes();
        (is_intact && total <= MESSAGE_MAX && headers <= HEADERS_MAX).then_some((headers, payload))
    }
}

/// The checksum `crc` continued over more bytes.
fn checksum(crc: u32, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(crc);
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may overflow as it may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Seen {
        messages: Vec<(Option<String>, Vec<u8>)>,
        reading: Option<(Option<String>, Vec<u8>)>,
    }

    impl Visit for Seen {
        fn opens(&mut self, headers: &Headers<'_>) {
            self.reading = Some((headers.get(":event-type").map(str::to_owned), Vec::new()));
        }
        fn payload(&mut self, piece: &[u8]) {
            self.reading.as_mut().expect("an open message").1.extend_from_slice(piece);
        }
        fn ends(&mut self) {
            self.messages.extend(self.reading.take());
        }
    }

    fn frame<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Seen, State) {
        let (mut stream, mut seen) = (EventStream::default(), Seen::default());
        pieces.into_iter().for_each(|piece| stream.feed(piece, &mut seen));
        (seen, stream.state())
    }

    /// CRC-32 bit by bit, as the standard defines it.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
        })
    }

    /// A message with a header of every type, written from the definition of the format.
    fn encode(event: &str, payload: &[u8]) -> Vec<u8> {
        let mut headers = Vec::new();
        let values: [(u8, &[u8]); 8] = [
            (0, b""),
            (1, b""),
            (2, b"a"),
            (3, b"ab"),
            (4, b"abcd"),
            (5, b"abcdefgh"),
            (8, b"abcdefgh"),
            (9, &[7; 16]),
        ];
        for (kind, value) in values {
            headers.extend([&[1, b'x', kind][..], value].concat());
        }
        for (kind, name, value) in [(6, "bytes", ":event-type"), (7, ":event-type", event), (7, ":late", "")] {
            headers.push(u8::try_from(name.len()).unwrap());
            headers.extend([name.as_bytes(), &[kind]].concat());
            headers.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            headers.extend(value.as_bytes());
        }
        let number = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
        let mut message = [number(headers.len() + payload.len() + 16), number(headers.len())].concat();
        message.extend(crc(&message).to_be_bytes());
        message.extend(headers);
        message.extend(payload);
        message.extend(crc(&message).to_be_bytes());
        message
    }

    fn messages() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
        prop::collection::vec(("[a-zA-Z]{0,20}", prop::collection::vec(any::<u8>(), 0..200)), 0..6)
    }

    fn stream(messages: &[(String, Vec<u8>)]) -> Vec<u8> {
        messages.iter().flat_map(|(event, payload)| encode(event, payload)).collect()
    }

    #[test]
    fn a_message_without_headers_and_payload_is_a_message() {
        let mut message = vec![0, 0, 0, 16, 0, 0, 0, 0];
        message.extend(crc(&message).to_be_bytes());
        message.extend(crc(&message).to_be_bytes());
        let (seen, state) = frame(message.chunks(1));
        assert_eq!((seen.messages, state), (vec![(None, Vec::new())], State::Clean));
    }

    #[test]
    fn a_payload_too_large_to_hold_is_handed_on_as_it_arrives() {
        let payload = vec![b'x'; HELD_MAX + 1];
        let whole = encode("chunk", &payload);
        let (mut cut, mut seen) = (EventStream::default(), Seen::default());
        cut.feed(&whole[..HELD_MAX], &mut seen);
        assert!(seen.reading.is_some_and(|(event, payload)| event.as_deref() == Some("chunk") && !payload.is_empty()));
        assert!(cut.held.is_empty());
        assert_eq!(frame([&*whole]).0.messages, [(Some("chunk".to_owned()), payload)]);
    }

    #[test]
    fn lengths_that_no_message_has_break_the_stream() {
        for (total, headers) in [(15_u32, 0_u32), (20, 5), (u32::MAX, 0), (0x0100_0000, 0), (0x00FF_FFFF, 0x0002_0001)]
        {
            let mut prelude = [total.to_be_bytes(), headers.to_be_bytes()].concat();
            prelude.extend(crc(&prelude).to_be_bytes());
            assert_eq!(frame([&*prelude]).1, State::Broken, "{total} {headers}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(messages in messages()) {
            let (seen, state) = frame([&*stream(&messages)]);
            let expected: Vec<_> = messages.into_iter().map(|(event, payload)| (Some(event), payload)).collect();
            prop_assert_eq!((seen.messages, state), (expected, State::Clean));
        }

        #[test]
        fn any_chunking_gives_the_same_messages(messages in messages(), size in 1_usize..40) {
            let stream = stream(&messages);
            prop_assert_eq!(frame(stream.chunks(size)), frame([&*stream]));
        }

        #[test]
        fn a_byte_that_changed_is_noticed_and_its_message_not_handed_on(messages in messages(), at: prop::sample::Index, by in 1_u8..) {
            let mut stream = stream(&messages);
            prop_assume!(!stream.is_empty());
            let at = at.index(stream.len());
            stream[at] ^= by;
            let (seen, state) = frame([&*stream]);
            prop_assert_eq!(state, State::Broken);
            let intact = messages.into_iter().map(|(event, payload)| (Some(event), payload));
            prop_assert!(seen.reading.is_none() && intact.take(seen.messages.len()).eq(seen.messages));
        }

        #[test]
        fn a_cut_stream_is_inside_a_message_unless_it_is_cut_between_two(messages in messages(), at: prop::sample::Index) {
            let stream = stream(&messages);
            let at = at.index(stream.len() + 1);
            let mut ends = messages.iter().scan(0, |end, (event, payload)| {
                *end += encode(event, payload).len();
                Some(*end)
            });
            let expected = if at == 0 || ends.any(|end| end == at) { State::Clean } else { State::Inside };
            prop_assert_eq!(frame([&stream[..at]]).1, expected);
        }

        #[test]
        fn any_bytes_are_framed_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1_usize..20) {
            prop_assert_eq!(frame(bytes.chunks(size)), frame([&*bytes]));
        }
    }
}
