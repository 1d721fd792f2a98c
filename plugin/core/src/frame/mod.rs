//! Framing: the bytes of a body, in pieces of any size, become documents.
//!
//! Which framing a body has is read off its first byte, not its content type: streams labelled
//! `application/json` are seen in real traffic.
//! Invariants: constant memory; the same documents whatever the chunking.
//! Must not know: providers, fields.

pub mod json;
pub mod sse;
pub mod withhold;

use json::{DocumentEnd, Scanner};

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
    /// A document was not JSON.
    pub malformed: bool,
    /// The body is a stream of server-sent events.
    pub events: bool,
}

/// Documents of one body, scanned for the fields of a shape.
#[derive(Debug)]
pub struct Documents<F: 'static> {
    framing: Framing,
    scanner: Scanner<F>,
    terminator: Terminator,
    wellformedness: Wellformedness,
}

impl<F: Copy + 'static> Documents<F> {
    /// Ready for a body whose documents have the shape under `root`.
    #[must_use]
    pub fn new(root: &'static json::Node<F>) -> Self {
        Self {
            framing: Framing::default(),
            scanner: Scanner::new(root),
            terminator: Terminator::default(),
            wellformedness: Wellformedness::default(),
        }
    }

    /// Reads the next piece of the body.
    pub fn feed(&mut self, bytes: &[u8], visit: &mut impl json::Visit<F>) {
        let mut bytes = bytes;
        if matches!(self.framing, Framing::Unknown) {
            // Both framings may start with white space or a byte order mark, which say nothing.
            let blank = |byte: &u8| byte.is_ascii_whitespace() || BOM.contains(byte);
            let first = bytes.iter().position(|byte| !blank(byte)).unwrap_or(bytes.len());
            bytes = bytes.get(first..).unwrap_or(&[]);
            let Some(first) = bytes.first() else { return };
            self.framing = match first {
                b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'n' | b'<' => Framing::Json,
                _ => {
                    self.wellformedness.events = true;
                    Framing::Events(sse::Sse::default())
                }
            };
        }
        let mut sink = Sink {
            scanner: &mut self.scanner,
            terminator: &mut self.terminator,
            wellformedness: &mut self.wellformedness,
            visit,
        };
        match &mut self.framing {
            Framing::Events(sse) => sse.feed(bytes, &mut sink),
            Framing::Json | Framing::Unknown => sink.scan(bytes),
        }
    }

    /// The body ends.
    pub fn end(&mut self, visit: &mut impl json::Visit<F>) -> Wellformedness {
        let mut sink = Sink {
            scanner: &mut self.scanner,
            terminator: &mut self.terminator,
            wellformedness: &mut self.wellformedness,
            visit,
        };
        match &mut self.framing {
            Framing::Events(sse) => sse.end(&mut sink),
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

/// Where both framings hand their data.
struct Sink<'a, F: 'static, V> {
    scanner: &'a mut Scanner<F>,
    terminator: &'a mut Terminator,
    wellformedness: &'a mut Wellformedness,
    visit: &'a mut V,
}

impl<F: Copy + 'static, V: json::Visit<F>> Sink<'_, F, V> {
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
            DocumentEnd::Clean => {}
            _ if terminator.seen() => self.wellformedness.done = true,
            DocumentEnd::Truncated => self.wellformedness.truncated = true,
            DocumentEnd::Malformed => self.wellformedness.malformed = true,
        }
    }
}

impl<F: Copy + 'static, V: json::Visit<F>> sse::Visit for Sink<'_, F, V> {
    fn data(&mut self, piece: &[u8]) {
        self.scan(piece);
    }

    fn end(&mut self) {
        self.document_ends();
    }
}

/// Passes everything on and counts the documents.
struct Counted<'a, V> {
    visit: &'a mut V,
    documents: &'a mut u64,
}

impl<F, V: json::Visit<F>> json::Visit<F> for Counted<'_, V> {
    fn open(&mut self, field: F) {
        self.visit.open(field);
    }
    fn close(&mut self, field: F) {
        self.visit.close(field);
    }
    fn value(&mut self, field: F, value: json::Value<'_>) {
        self.visit.value(field, value);
    }
    fn text(&mut self, field: F, fragment: &[u8]) {
        self.visit.text(field, fragment);
    }
    fn document(&mut self) {
        *self.documents = self.documents.saturating_add(1);
        self.visit.document();
    }
}
