//! Framing: the bytes of a body, in pieces of any size, become documents.
//!
//! Which framing a body has is read off its first byte, not its content type: streams labelled
//! `application/json` are seen in real traffic.
//! Invariants: constant memory; the same documents whatever the chunking.
//! Must not know: providers, fields.

mod envelope;
pub mod eventstream;
pub mod inflate;
pub mod json;
pub(crate) mod marks;
pub mod raw;
pub mod reduce;
pub mod sse;
pub mod withhold;

use envelope::Envelope;
use eventstream::{EventStream, Headers, State};
use json::{DocumentEnd, Scanner, Spot};

/// The framing of a body.
#[derive(Debug, Default)]
enum Framing {
    /// No byte but white space yet.
    #[default]
    Unknown,
    /// One JSON document, or several in a row (NDJSON).
    Json,
    /// Server-sent events, each with a JSON document.
    Events(sse::Sse),
    /// An AWS event stream, each message with a JSON document, or with an envelope around one.
    Messages(EventStream),
}

/// What can be said of a body besides its fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wellformedness {
    /// Documents that were complete JSON.
    pub documents: u64,
    /// The terminator of OpenAI-style streams, `data: [DONE]`, was seen.
    pub done: bool,
    /// A document ended early.
    pub truncated: bool,
    /// A document was not JSON, or a checksum differed.
    pub malformed: bool,
    /// The body is a stream of events.
    pub events: bool,
}

/// Documents of one body, scanned for the fields of a shape.
#[derive(Debug)]
pub struct Documents {
    framing: Framing,
    scanner: Scanner,
    terminator: Terminator,
    /// Around every document of an event stream.
    envelope: Option<Envelope>,
    wellformedness: Wellformedness,
}

impl Documents {
    /// Ready for a body whose documents have the shape under `root`.
    #[must_use]
    pub fn new(root: Spot) -> Self {
        Self {
            framing: Framing::default(),
            scanner: Scanner::new(root),
            terminator: Terminator::default(),
            envelope: None,
            wellformedness: Wellformedness::default(),
        }
    }

    /// The same for a body that, where it is an AWS event stream, wraps every document in `{"bytes": Base64}`.
    #[must_use]
    pub fn enveloped(root: Spot) -> Self {
        Self { envelope: Some(Envelope::default()), ..Self::new(root) }
    }

    /// Reads the next piece of the body.
    pub fn feed(&mut self, bytes: &[u8], visit: &mut dyn json::Visit<Spot>) {
        let mut bytes = bytes;
        if matches!(self.framing, Framing::Unknown) {
            // Texts may start with white space or a byte order mark, which say nothing.
            let blank = |byte: &u8| byte.is_ascii_whitespace() || BOM.contains(byte);
            let first = bytes.iter().position(|byte| !blank(byte)).unwrap_or(bytes.len());
            bytes = bytes.get(first..).unwrap_or(&[]);
            let Some(first) = bytes.first() else { return };
            self.framing = match first {
                b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'n' | b'<' => Framing::Json,
                // The first byte of a length; no text has it, and its checksum soon tells whether it is one.
                0 => {
                    self.wellformedness.events = true;
                    Framing::Messages(EventStream::default())
                }
                _ => {
                    self.wellformedness.events = true;
                    Framing::Events(sse::Sse::default())
                }
            };
        }
        let mut sink = Sink {
            scanner: &mut self.scanner,
            terminator: &mut self.terminator,
            envelope: self.envelope.as_mut(),
            wellformedness: &mut self.wellformedness,
            visit,
        };
        match &mut self.framing {
            Framing::Events(sse) => sse.feed(bytes, &mut sink),
            Framing::Messages(stream) => stream.feed(bytes, &mut sink),
            Framing::Json | Framing::Unknown => sink.scan(bytes),
        }
    }

    /// The body ends.
    pub fn end(&mut self, visit: &mut dyn json::Visit<Spot>) -> Wellformedness {
        let mut sink = Sink {
            scanner: &mut self.scanner,
            terminator: &mut self.terminator,
            envelope: self.envelope.as_mut(),
            wellformedness: &mut self.wellformedness,
            visit,
        };
        match &mut self.framing {
            Framing::Events(sse) => sse.end(&mut sink),
            Framing::Messages(stream) => {
                sink.document_ends();
                sink.wellformedness.truncated |= stream.state() == State::Inside;
                sink.wellformedness.malformed |= stream.state() == State::Broken;
            }
            Framing::Json | Framing::Unknown => sink.document_ends(),
        }
        self.wellformedness
    }

    /// What can be said so far.
    #[must_use]
    pub const fn wellformedness(&self) -> Wellformedness {
        self.wellformedness
    }
}

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Recognises `[DONE]`, which is data but no document.
#[derive(Debug, Default)]
struct Terminator {
    matched: usize,
    differs: bool,
}

impl Terminator {
    const TEXT: &'static [u8] = b"[DONE]";

    fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().filter(|byte| !byte.is_ascii_whitespace()) {
            if self.differs {
                return;
            }
            self.differs = Self::TEXT.get(self.matched) != Some(byte);
            self.matched = self.matched.saturating_add(1);
        }
    }

    fn seen(&self) -> bool {
        !self.differs && self.matched == Self::TEXT.len()
    }
}

/// Where the framings hand their data.
struct Sink<'a> {
    scanner: &'a mut Scanner,
    terminator: &'a mut Terminator,
    envelope: Option<&'a mut Envelope>,
    wellformedness: &'a mut Wellformedness,
    visit: &'a mut dyn json::Visit<Spot>,
}

impl Sink<'_> {
    fn scan(&mut self, bytes: &[u8]) {
        self.terminator.feed(bytes);
        let mut counted = Counted { visit: self.visit, documents: &mut self.wellformedness.documents };
        self.scanner.feed(bytes, &mut counted);
    }

    fn document_ends(&mut self) {
        let mut counted = Counted { visit: self.visit, documents: &mut self.wellformedness.documents };
        let end = self.scanner.end(&mut counted);
        let terminator = std::mem::take(self.terminator);
        match end {
            _ if end != DocumentEnd::Clean && terminator.seen() => self.wellformedness.done = true,
            end => self.note(end),
        }
    }

    fn note(&mut self, end: DocumentEnd) {
        self.wellformedness.truncated |= end == DocumentEnd::Truncated;
        self.wellformedness.malformed |= end == DocumentEnd::Malformed;
    }
}

impl eventstream::Visit for Sink<'_> {
    fn opens(&mut self, headers: &Headers<'_>) {
        // Exceptions are declared by an API, errors by no one.
        let name = match headers.get(":message-type") {
            Some("exception") => ":exception-type",
            Some("error") => ":error-code",
            _ => return,
        };
        self.visit.exception(headers.get(name).unwrap_or_default());
    }

    fn payload(&mut self, piece: &[u8]) {
        match self.envelope.take() {
            Some(envelope) => {
                envelope.feed(piece, &mut |inner| self.scan(inner));
                self.envelope = Some(envelope);
            }
            None => self.scan(piece),
        }
    }

    fn ends(&mut self) {
        if let Some(envelope) = self.envelope.take() {
            let end = envelope.end(&mut |inner| self.scan(inner));
            self.note(end);
            self.envelope = Some(envelope);
        }
        self.document_ends();
    }
}

impl sse::Visit for Sink<'_> {
    fn data(&mut self, piece: &[u8]) {
        self.scan(piece);
    }

    fn end(&mut self) {
        self.document_ends();
    }
}

/// Passes everything on and counts the documents.
struct Counted<'a> {
    visit: &'a mut dyn json::Visit<Spot>,
    documents: &'a mut u64,
}

impl json::Visit<Spot> for Counted<'_> {
    fn open(&mut self, spot: Spot) {
        self.visit.open(spot);
    }
    fn close(&mut self, spot: Spot) {
        self.visit.close(spot);
    }
    fn value(&mut self, spot: Spot, value: json::Value<'_>) {
        self.visit.value(spot, value);
    }
    fn text(&mut self, spot: Spot, fragment: &[u8]) {
        self.visit.text(spot, fragment);
    }
    fn raw(&mut self, spot: Spot, fragment: &[u8]) {
        self.visit.raw(spot, fragment);
    }
    fn exception(&mut self, kind: &str) {
        self.visit.exception(kind);
    }
    fn document(&mut self) {
        *self.documents = self.documents.saturating_add(1);
        self.visit.document();
    }
}
