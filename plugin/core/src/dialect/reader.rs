//! Reading responses in pieces: what every dialect offers, and how shapes are written down.
//!
//! Must not know: single wire formats.

use super::{Answer, UsagePart};
use crate::frame::json::{Fields, Node, Take, Visit};
use crate::frame::{Documents, Wellformedness};
use crate::head::ResponseHead;
use crate::money::Usd;

/// Reads a response in pieces of any size.
pub trait ResponseReader {
    /// The response's head, before its body.
    fn head(&mut self, head: &ResponseHead<'_>);
    /// Reads the next piece of the body.
    fn feed(&mut self, bytes: &[u8]);
    /// The body ends, or is taken as it is.
    fn end(&mut self) -> Wellformedness;
    /// What was said so far besides usage.
    fn answer(&self) -> &Answer;
    /// How often usage was stated so far: while this stays, so does [`ResponseReader::usage`].
    fn statements(&self) -> u64;
    /// The usage reported so far, by model; `None` while the provider reported nothing.
    fn usage(&self) -> Option<Vec<UsagePart>>;
    /// What the provider says that the call costs; most say nothing.
    fn cost(&self) -> Option<Usd> {
        None
    }
    /// The usage reported is the output's alone; the input must be counted.
    fn omits_input(&self) -> bool {
        false
    }
}

/// The response side of one dialect: collects what the shape reports.
pub(super) trait Wire: Default + Visit<Self::Field> + 'static {
    type Field: Copy + Sync + 'static;
    const SHAPE: &'static Node<Self::Field>;

    fn head(&mut self, _head: &ResponseHead<'_>) {}
    fn omits_input(&self) -> bool {
        false
    }
    fn answer(&self) -> &Answer;
    fn statements(&self) -> u64;
    fn usage(&self) -> Option<Vec<UsagePart>>;
    /// Most providers state no cost.
    fn cost(&self) -> Option<Usd> {
        None
    }
}

pub(super) struct Reader<W: Wire> {
    pub(super) documents: Documents,
    pub(super) wire: W,
}

impl<W: Wire> Reader<W> {
    pub(super) fn boxed() -> Box<dyn ResponseReader> {
        Box::new(Self { documents: Documents::new(W::SHAPE), wire: W::default() })
    }

    /// A reader for documents of this shape, in envelopes where they are streamed.
    pub(super) fn enveloped(shape: &'static Node<W::Field>) -> Self {
        Self { documents: Documents::enveloped(shape), wire: W::default() }
    }
}

impl<W: Wire> ResponseReader for Reader<W> {
    fn head(&mut self, head: &ResponseHead<'_>) {
        self.wire.head(head);
    }

    fn omits_input(&self) -> bool {
        self.wire.omits_input()
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.documents.feed(bytes, &mut Fields::new(&mut self.wire));
    }

    fn end(&mut self) -> Wellformedness {
        self.documents.end(&mut Fields::new(&mut self.wire))
    }

    fn answer(&self) -> &Answer {
        self.wire.answer()
    }

    fn statements(&self) -> u64 {
        self.wire.statements()
    }

    fn usage(&self) -> Option<Vec<UsagePart>> {
        self.wire.usage()
    }

    fn cost(&self) -> Option<Usd> {
        self.wire.cost()
    }
}

/// A leaf of a shape whose value is reported whole.
pub(super) const fn value<F>(key: &'static str, field: F) -> Node<F> {
    Node { key, field, take: Take::Value, fields: &[] }
}

/// A leaf of a shape whose string is reported in fragments.
pub(super) const fn text<F>(key: &'static str, field: F) -> Node<F> {
    Node { key, field, take: Take::Text, fields: &[] }
}

/// A place of a shape whose objects are reported as they are written.
pub(super) const fn raw<F>(key: &'static str, field: F) -> Node<F> {
    Node { key, field, take: Take::Raw, fields: &[] }
}

/// A place of a shape that leads to others.
pub(super) const fn path<F>(key: &'static str, field: F, fields: &'static [Node<F>]) -> Node<F> {
    Node { key, field, take: Take::Path, fields }
}

/// A place of a shape whose opening and closing is reported.
pub(super) const fn object<F>(key: &'static str, field: F, fields: &'static [Node<F>]) -> Node<F> {
    Node { key, field, take: Take::Object, fields }
}
