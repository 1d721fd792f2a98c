//! Undoing content codings: a compressed body, in pieces of any size, becomes the bytes it was made of.
//!
//! Only a copy is decoded, as it streams by; what the gateway passes on stays as it is. A body that does not begin as
//! its coding does is taken for what it then is, a plain one: such bodies are seen in real traffic.
//! Invariants: the same bytes whatever the chunking; memory bounded by one window per coding, [`CODINGS_MAX`]
//! of them; work bounded by [`DECODED_MAX`] and [`RATIO_MAX`].
//! Must not know: what the bytes mean, whose they are.

pub mod accept;
mod brotli;
mod coding;
mod deflate;
mod gzip;
mod sniff;
mod zstd;

pub use coding::{Coding, Codings, UnknownCoding};

use sniff::{Beginning, Sniff};

/// Codings that are undone one after the other, at most.
pub const CODINGS_MAX: usize = 3;
/// Bytes that are decoded of one body, at most.
pub const DECODED_MAX: u64 = 64 * 1024 * 1024;
/// Bytes that are decoded for each byte of a body, at most.
pub const RATIO_MAX: u64 = 200;
/// The ratio is taken over segments of this many bytes of the body, begun ones included: small bodies may be as dense
/// as they like, since the first segment allows 800 KiB.
const SEGMENT: u64 = 4096;
/// A body is decoded by this many bytes at once. So decoders see the same calls, and give the same at a fault and at a
/// body's sudden end, however the body is cut.
const UNIT: usize = 256;

/// Why a body is decoded no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not what its coding says.
    Garbled,
    /// It would take more than is granted: bytes, or a larger window.
    Limit,
}

/// How a coded body stands at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All of it was decoded.
    Whole,
    /// It is not over.
    Truncated,
    /// It was decoded up to a fault.
    Faulty(Fault),
}

/// Takes the bytes that a coding gives, in pieces of any size.
type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), Fault>;

/// Undoes one coding.
trait Decode {
    /// Decodes the next piece.
    fn feed(&mut self, piece: &[u8], sink: Sink<'_>) -> Result<(), Fault>;
    /// The body ends: gives what is left. `true` when it ends where the coding does.
    fn end(&mut self, sink: Sink<'_>) -> Result<bool, Fault>;
}

/// A body whose codings are undone; without any, its bytes pass as they are.
pub struct Inflate {
    /// The outermost coding, which was applied last, comes first.
    stages: Vec<Stage>,
    /// What there is of the next unit.
    held: Vec<u8>,
    /// Bytes of the body that were decoded.
    taken: u64,
    /// Bytes that each coding may give in all.
    most: u64,
    fault: Option<Fault>,
}

impl Default for Inflate {
    fn default() -> Self {
        Self::new(&Codings::default())
    }
}

impl Inflate {
    /// Ready for a body with these codings.
    #[must_use]
    pub fn new(codings: &Codings) -> Self {
        let stages = codings.outermost_first().map(|coding| Stage::new(Sniff::new(coding))).collect();
        Self { stages, held: Vec::new(), taken: 0, most: DECODED_MAX, fault: None }
    }

    /// A body that is there as a whole, decoded to at most `most` bytes.
    ///
    /// Text is not taken for plain here: whoever reads the body next decodes it by what its head says.
    ///
    /// # Errors
    /// [`Fault`] when it is not what its codings say, ends early, or would take more than is granted.
    pub fn whole(codings: &Codings, body: &[u8], most: u64) -> Result<Vec<u8>, Fault> {
        let stages = codings.outermost_first().map(|coding| Stage::new(Sniff::strict(coding))).collect();
        let mut inflate = Self { stages, most: most.min(DECODED_MAX), ..Self::default() };
        let mut decoded = Vec::new();
        inflate.feed(body, &mut |bytes| decoded.extend_from_slice(bytes));
        match inflate.end(&mut |bytes| decoded.extend_from_slice(bytes)) {
            Ending::Whole => Ok(decoded),
            Ending::Truncated => Err(Fault::Garbled),
            Ending::Faulty(fault) => Err(fault),
        }
    }

    /// Decodes the next piece of the body.
    pub fn feed(&mut self, piece: &[u8], sink: &mut dyn FnMut(&[u8])) {
        if self.stages.is_empty() {
            return sink(piece);
        }
        let mut piece = piece;
        while self.fault.is_none() && !piece.is_empty() {
            let missing = UNIT.saturating_sub(self.held.len());
            let (part, rest) = piece.split_at_checked(missing).unwrap_or((piece, &[]));
            piece = rest;
            self.held.extend_from_slice(part);
            if self.held.len() == UNIT {
                self.decode(sink);
            }
        }
    }

    /// The body ends, or is taken as it is.
    pub fn end(&mut self, sink: &mut dyn FnMut(&[u8])) -> Ending {
        self.decode(sink);
        let granted = self.granted();
        // After a fault nothing more is given; what was decoded before it counts.
        let ended = self.fault.map_or_else(|| end(&mut self.stages, granted, &mut infallibly(sink)), Err);
        self.fault = ended.err();
        match ended {
            Ok(true) => Ending::Whole,
            Ok(false) => Ending::Truncated,
            Err(fault) => Ending::Faulty(fault),
        }
    }

    /// Decodes what is held.
    fn decode(&mut self, sink: &mut dyn FnMut(&[u8])) {
        self.taken = self.taken.saturating_add(u64::try_from(self.held.len()).unwrap_or(u64::MAX));
        let granted = self.granted();
        if self.fault.is_none() {
            self.fault = feed(&mut self.stages, &self.held, granted, &mut infallibly(sink)).err();
        }
        self.held.clear();
    }

    /// Whether the last coding gave anything so far.
    #[must_use]
    pub fn has_given(&self) -> bool {
        self.stages.last().map_or(self.taken, |stage| stage.given) > 0
    }

    /// Bytes that each coding may give by now.
    fn granted(&self) -> u64 {
        let segments = self.taken.div_ceil(SEGMENT);
        segments.saturating_mul(SEGMENT).saturating_mul(RATIO_MAX).min(self.most)
    }
}

/// One coding of a body.
struct Stage {
    state: State,
    /// Bytes that it gave so far.
    given: u64,
}

enum State {
    /// Its first bytes, which tell whether the body has the coding at all.
    Beginning(Sniff),
    Coded(Box<dyn Decode>),
    Plain,
}

impl Stage {
    const fn new(sniff: Sniff) -> Self {
        Self { state: State::Beginning(sniff), given: 0 }
    }

    fn begin(beginning: Beginning) -> State {
        match beginning {
            Beginning::Plain => State::Plain,
            Beginning::Gzip => State::Coded(Box::new(gzip::Gzip::default())),
            Beginning::Zlib => State::Coded(Box::new(deflate::Deflate::zlib())),
            Beginning::Deflate => State::Coded(Box::new(deflate::Deflate::raw())),
            Beginning::Brotli => State::Coded(Box::new(brotli::Brotli::new())),
            Beginning::Zstd => State::Coded(Box::new(zstd::Zstd::default())),
        }
    }
}

/// A sink that takes whatever comes.
fn infallibly(sink: &mut dyn FnMut(&[u8])) -> impl FnMut(&[u8]) -> Result<(), Fault> {
    |bytes| {
        sink(bytes);
        Ok(())
    }
}

/// Feeds a piece to the first of these codings, and what it gives to the others.
fn feed(stages: &mut [Stage], piece: &[u8], granted: u64, last: Sink<'_>) -> Result<(), Fault> {
    let Some((Stage { state, given }, others)) = stages.split_first_mut() else { return last(piece) };
    let mut pass = |bytes: &[u8]| grant(given, bytes, granted, &mut |bytes| feed(others, bytes, granted, last));
    let State::Beginning(sniff) = state else { return decode(state, piece, &mut pass) };
    let (beginning, rest) = sniff.feed(piece);
    let Some(beginning) = beginning else { return Ok(()) };
    let held = sniff.take();
    *state = Stage::begin(beginning);
    decode(state, &held, &mut pass)?;
    decode(state, rest, &mut pass)
}

/// Ends the first of these codings, then the others.
fn end(stages: &mut [Stage], granted: u64, last: Sink<'_>) -> Result<bool, Fault> {
    let Some((Stage { state, given }, others)) = stages.split_first_mut() else { return Ok(true) };
    let mut pass = |bytes: &[u8]| grant(given, bytes, granted, &mut |bytes| feed(others, bytes, granted, last));
    if let State::Beginning(sniff) = state {
        let beginning = sniff.end();
        let held = sniff.take();
        *state = Stage::begin(beginning);
        decode(state, &held, &mut pass)?;
    }
    let is_over = match state {
        State::Coded(decoder) => decoder.end(&mut pass)?,
        State::Beginning(_) | State::Plain => true,
    };
    Ok(end(others, granted, last)? && is_over)
}

fn decode(state: &mut State, piece: &[u8], sink: Sink<'_>) -> Result<(), Fault> {
    match state {
        State::Coded(decoder) => decoder.feed(piece, sink),
        State::Plain => sink(piece),
        State::Beginning(_) => Ok(()),
    }
}

/// Passes on what is granted; what is beyond is a fault.
fn grant(given: &mut u64, bytes: &[u8], granted: u64, sink: Sink<'_>) -> Result<(), Fault> {
    let left = usize::try_from(granted.saturating_sub(*given)).unwrap_or(usize::MAX);
    let allowed = bytes.get(..left).unwrap_or(bytes);
    *given = given.saturating_add(u64::try_from(allowed.len()).unwrap_or(u64::MAX));
    sink(allowed)?;
    if allowed.len() < bytes.len() { Err(Fault::Limit) } else { Ok(()) }
}
