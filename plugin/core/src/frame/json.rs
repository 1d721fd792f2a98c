//! A streaming JSON scanner that reports only the fields a shape asks for, in constant memory.
//!
//! A response of any size passes through in pieces; nothing of it is kept but the value being read. A [`Node`]
//! tree says which fields matter; everything else is skipped at the speed of a byte search. Arrays are
//! transparent: every item of an array stands where the array stands. Documents may follow each other (NDJSON).
//! Invariants: what is reported does not depend on where the input is cut; memory is bounded by the limits
//! below; malformed input ends the document and is reported as such, never a panic.
//! Must not know: SSE, providers, what a field means.

use super::marks;
use std::any::Any;
use std::fmt::{self, Debug, Formatter};
use std::marker::PhantomData;

/// The longest string or number reported whole; a longer one is reported as [`Value::TooLong`].
const VALUE_MAX: usize = 512;
/// How deep containers of interest may nest; what lies deeper is skipped.
const DEPTH_MAX: usize = 64;

/// What to report of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Nothing; the field only leads to others.
    Path,
    /// Strings, numbers and literals, whole.
    Value,
    /// Strings, in decoded fragments as they arrive, however long.
    Text,
    /// That an object opens and closes.
    Object,
    /// Objects as they are written, in pieces, for a scanner of their own; then that they close.
    Raw,
}

/// A place in a document that matters, and the places below it.
#[derive(Debug)]
pub struct Node<F: 'static> {
    /// The key in the enclosing object; unused for the root.
    pub key: &'static str,
    /// How the visitor calls the place.
    pub field: F,
    /// What to report there.
    pub take: Take,
    /// The places below, when the value is an object.
    pub fields: &'static [Node<F>],
}

/// A [`Node`] of any shape: what a scanner walks along, one program for all of them.
pub trait Shape: Any + Sync {
    /// The place itself.
    fn place(&'static self) -> Place;
    /// The place below that has this key.
    fn below(&self, key: &[u8]) -> Option<Place>;
}

/// A place in a document, as a scanner reports it.
pub type Spot = &'static dyn Shape;

/// A place, and all that a scanner asks of it, so that it asks once.
#[derive(Clone, Copy)]
pub struct Place {
    spot: Spot,
    take: Take,
    /// Nothing below it matters.
    is_leaf: bool,
}

/// Names of fields are nothing that the module must carry.
impl Debug for Place {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Place").field("take", &self.take).finish_non_exhaustive()
    }
}

impl<F: Sync + 'static> Shape for Node<F> {
    fn place(&'static self) -> Place {
        Place { spot: self, take: self.take, is_leaf: self.fields.is_empty() }
    }

    fn below(&self, key: &[u8]) -> Option<Place> {
        // Most keys are nobody's: their first bytes tell.
        let mut nodes = self.fields.iter().filter(|node| node.key.len() == key.len());
        nodes.find(|node| node.key.as_bytes().first() == key.first() && node.key.as_bytes() == key).map(Node::place)
    }
}

/// Tells a visitor of a shape's fields what a scanner reports of its places.
pub struct Fields<'a, F, V> {
    visit: &'a mut V,
    field: PhantomData<F>,
}

impl<'a, F: Copy + 'static, V: Visit<F>> Fields<'a, F, V> {
    /// For a visitor of the shape that the scanner has: places of others are none of its business.
    pub const fn new(visit: &'a mut V) -> Self {
        Self { visit, field: PhantomData }
    }

    fn tell(&mut self, spot: Spot, tell: impl FnOnce(&mut V, F)) {
        if let Some(node) = (spot as &dyn Any).downcast_ref::<Node<F>>() {
            tell(self.visit, node.field);
        }
    }
}

impl<F: Copy + 'static, V: Visit<F>> Visit<Spot> for Fields<'_, F, V> {
    fn open(&mut self, spot: Spot) {
        self.tell(spot, V::open);
    }
    fn close(&mut self, spot: Spot) {
        self.tell(spot, V::close);
    }
    fn value(&mut self, spot: Spot, value: Value<'_>) {
        self.tell(spot, |visit, field| visit.value(field, value));
    }
    fn text(&mut self, spot: Spot, fragment: &[u8]) {
        self.tell(spot, |visit, field| visit.text(field, fragment));
    }
    fn raw(&mut self, spot: Spot, fragment: &[u8]) {
        self.tell(spot, |visit, field| visit.raw(field, fragment));
    }
    fn document(&mut self) {
        self.visit.document();
    }
    fn exception(&mut self, kind: &str) {
        self.visit.exception(kind);
    }
}

/// A value, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A string, unescaped.
    Text(&'a str),
    /// A number as it is written.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// A string or number too long to be a value of interest (over 512 bytes), or not UTF-8.
    TooLong,
}

impl Value<'_> {
    /// The value as a count; `None` unless it is a non-negative whole number (`12`, `12.0`).
    #[must_use]
    pub fn count(self) -> Option<u64> {
        let Self::Number(text) = self else { return None };
        let whole = match text.split_once('.') {
            Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
            _ => text,
        };
        whole.parse().ok()
    }

    /// The value as a whole number, rounded up (`8.47` is 9); `None` unless it is a number that is not negative.
    #[must_use]
    pub fn rounded_up(self) -> Option<u64> {
        let Self::Number(text) = self else { return None };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_whole = fraction.bytes().all(|digit| digit == b'0');
        whole.parse::<u64>().ok()?.checked_add(u64::from(!is_whole))
    }

    /// The value as text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Receives what the shape asks for, in document order.
pub trait Visit<F> {
    /// An object opens at a [`Take::Object`] place.
    fn open(&mut self, _field: F) {}
    /// The object closes, also at a [`Take::Raw`] place.
    fn close(&mut self, _field: F) {}
    /// A scalar at a [`Take::Value`] place.
    fn value(&mut self, field: F, value: Value<'_>);
    /// A fragment of the string at a [`Take::Text`] place: unescaped bytes, cut anywhere.
    fn text(&mut self, _field: F, _fragment: &[u8]) {}
    /// A fragment of the object at a [`Take::Raw`] place: bytes as they are, cut anywhere.
    fn raw(&mut self, _field: F, _fragment: &[u8]) {}
    /// A document is complete.
    fn document(&mut self) {}
    /// The framing around the next document says that it is an error of this kind. A scanner never says so.
    fn exception(&mut self, _kind: &str) {}
}

/// How a document stood when its input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentEnd {
    /// Nothing but white space since the last complete document.
    Clean,
    /// In the middle of a document.
    Truncated,
    /// Not JSON.
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between documents.
    Start,
    /// A value must follow.
    Value,
    /// A value or the end of the array must follow.
    Item,
    /// A key or the end of the object must follow.
    KeyOrEnd,
    /// A key must follow.
    Key,
    Colon,
    /// A comma or the end of the container must follow.
    After,
    InString(Purpose),
    InNumber,
    InLiteral,
    /// Inside a value nobody asked for.
    Skip {
        depth: u32,
        string: bool,
        escaped: bool,
    },
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Key,
    Value,
    Text,
}

/// Where an escape sequence stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Backslash,
    Unicode {
        missing: u8,
        code: u16,
    },
}

#[derive(Debug)]
struct Level {
    object: bool,
    place: Place,
}

/// The scanner. Feed it pieces; call [`Scanner::end`] where the input of a document ends.
#[derive(Debug)]
pub struct Scanner {
    root: Place,
    state: State,
    levels: Vec<Level>,
    /// The place of the value that is being read or must follow.
    place: Place,
    value: Vec<u8>,
    too_long: bool,
    escape: Escape,
    high_surrogate: Option<u16>,
    /// What is skipped is handed over as it is.
    raw: bool,
}

impl Scanner {
    /// A scanner for documents of the shape under `root`.
    #[must_use]
    pub fn new(root: Spot) -> Self {
        let root = root.place();
        Self {
            root,
            state: State::Start,
            levels: Vec::new(),
            place: root,
            value: Vec::new(),
            too_long: false,
            escape: Escape::None,
            high_surrogate: None,
            raw: false,
        }
    }

    /// Reads the next piece of input.
    pub fn feed(&mut self, bytes: &[u8], visit: &mut dyn Visit<Spot>) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            rest = match self.state {
                State::Skip { depth, string, escaped } => self.skip(rest, depth, string, escaped, visit),
                State::InString(purpose) => self.string(rest, purpose, visit),
                State::InNumber | State::InLiteral if is_word(byte) => {
                    let length = rest.iter().take_while(|byte| is_word(**byte)).count();
                    let (word, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
                    self.keep(word);
                    after
                }
                State::InNumber => self.number_ends(rest, visit),
                State::InLiteral => self.literal_ends(rest, visit),
                State::Malformed => return,
                _ if byte.is_ascii_whitespace() => after,
                State::Start | State::Value | State::Item => self.value_starts(byte, rest, after, visit),
                State::KeyOrEnd if byte == b'}' => self.container_ends(after, visit),
                State::KeyOrEnd | State::Key if byte == b'"' => self.string_starts(Purpose::Key, after),
                State::Colon if byte == b':' => {
                    self.state = State::Value;
                    after
                }
                State::After => self.after_value(byte, after, visit),
                State::KeyOrEnd | State::Key | State::Colon => self.malformed(),
            };
        }
    }

    /// The input of the current document ends; the scanner is ready for another.
    pub fn end(&mut self, visit: &mut dyn Visit<Spot>) -> DocumentEnd {
        // A number at the top level ends only here.
        match self.state {
            State::InNumber if self.levels.is_empty() => _ = self.number_ends(&[], visit),
            State::InLiteral if self.levels.is_empty() => _ = self.literal_ends(&[], visit),
            State::Skip { depth: 0, string: false, .. } if self.levels.is_empty() => self.value_ends(visit),
            _ => {}
        }
        let end = match self.state {
            State::Start => DocumentEnd::Clean,
            State::Malformed => DocumentEnd::Malformed,
            _ => DocumentEnd::Truncated,
        };
        // The buffers stay: a stream ends a document with every event.
        self.levels.clear();
        self.value.clear();
        self.state = State::Start;
        self.place = self.root;
        self.raw = false;
        end
    }

    fn value_starts<'a>(&mut self, byte: u8, rest: &'a [u8], after: &'a [u8], visit: &mut dyn Visit<Spot>) -> &'a [u8] {
        let too_deep = self.levels.len() >= DEPTH_MAX;
        match byte {
            b']' if self.state == State::Item => return self.container_ends(after, visit),
            b'{' if self.place.take == Take::Raw => {
                self.raw = true;
                return self.skip(rest, 0, false, false, visit);
            }
            b'{' | b'[' if too_deep || (self.place.is_leaf && self.place.take == Take::Path) => {
                return self.skip(rest, 0, false, false, visit);
            }
            b'{' => {
                if self.place.take == Take::Object {
                    visit.open(self.place.spot);
                }
                self.levels.push(Level { object: true, place: self.place });
                self.state = State::KeyOrEnd;
            }
            b'[' => {
                self.levels.push(Level { object: false, place: self.place });
                self.state = State::Item;
            }
            b'"' => {
                let purpose = match self.place.take {
                    Take::Value => Purpose::Value,
                    Take::Text => Purpose::Text,
                    Take::Path | Take::Object | Take::Raw => return self.skip(rest, 0, false, false, visit),
                };
                return self.string_starts(purpose, after);
            }
            b'-' | b'0'..=b'9' => {
                self.keep_first(byte);
                self.state = State::InNumber;
            }
            b't' | b'f' | b'n' => {
                self.keep_first(byte);
                self.state = State::InLiteral;
            }
            _ => return self.malformed(),
        }
        after
    }

    fn after_value<'a>(&mut self, byte: u8, after: &'a [u8], visit: &mut dyn Visit<Spot>) -> &'a [u8] {
        let Some(level) = self.levels.last() else { return self.malformed() };
        match (byte, level.object) {
            (b',', true) => self.state = State::Key,
            (b',', false) => {
                self.place = level.place;
                self.state = State::Value;
            }
            (b'}', true) | (b']', false) => return self.container_ends(after, visit),
            _ => return self.malformed(),
        }
        after
    }

    fn container_ends<'a>(&mut self, after: &'a [u8], visit: &mut dyn Visit<Spot>) -> &'a [u8] {
        if let Some(Level { object: true, place }) = self.levels.pop()
            && place.take == Take::Object
        {
            visit.close(place.spot);
        }
        self.value_ends(visit);
        after
    }

    /// A value of any kind is complete: on to what may follow it.
    fn value_ends(&mut self, visit: &mut dyn Visit<Spot>) {
        if self.levels.is_empty() {
            self.place = self.root;
            self.state = State::Start;
            visit.document();
        } else {
            self.state = State::After;
        }
    }

    fn number_ends<'a>(&mut self, rest: &'a [u8], visit: &mut dyn Visit<Spot>) -> &'a [u8] {
        match std::str::from_utf8(&self.value) {
            Ok(text) if is_number(text) => {
                if self.place.take == Take::Value {
                    visit.value(self.place.spot, if self.too_long { Value::TooLong } else { Value::Number(text) });
                }
                self.value_ends(visit);
                rest
            }
            _ => self.malformed(),
        }
    }

    fn literal_ends<'a>(&mut self, rest: &'a [u8], visit: &mut dyn Visit<Spot>) -> &'a [u8] {
        let value = match self.value.as_slice() {
            b"true" => Value::Bool(true),
            b"false" => Value::Bool(false),
            b"null" => Value::Null,
            _ => return self.malformed(),
        };
        if self.place.take == Take::Value {
            visit.value(self.place.spot, value);
        }
        self.value_ends(visit);
        rest
    }

    fn string_starts<'a>(&mut self, purpose: Purpose, after: &'a [u8]) -> &'a [u8] {
        self.value.clear();
        self.too_long = false;
        self.escape = Escape::None;
        self.high_surrogate = None;
        self.state = State::InString(purpose);
        after
    }

    fn string<'a>(&mut self, rest: &'a [u8], purpose: Purpose, visit: &mut dyn Visit<Spot>) -> &'a [u8] {
        if self.escape != Escape::None {
            return self.escaped(rest, purpose, visit);
        }
        let (run, rest) = rest.split_at_checked(marks::unescaped(rest)).unwrap_or((rest, &[]));
        let is_first = self.value.is_empty() && !self.too_long && self.high_surrogate.is_none();
        match rest {
            // The whole string is in view, as nearly all are.
            [b'"', after @ ..] if is_first && purpose != Purpose::Text => {
                self.string_ends(run, run.len() > VALUE_MAX, purpose, visit);
                return after;
            }
            _ if run.is_empty() => {}
            _ => {
                self.lone_surrogate(purpose, visit);
                self.take(run, purpose, visit);
            }
        }
        match rest.split_first() {
            Some((b'\\', after)) => {
                self.escape = Escape::Backslash;
                after
            }
            Some((_, after)) => {
                self.lone_surrogate(purpose, visit);
                let value = std::mem::take(&mut self.value);
                self.string_ends(&value, self.too_long, purpose, visit);
                self.value = value;
                after
            }
            None => rest,
        }
    }

    fn string_ends(&mut self, string: &[u8], too_long: bool, purpose: Purpose, visit: &mut dyn Visit<Spot>) {
        match purpose {
            Purpose::Key => {
                let level = self.levels.last().map_or(self.root, |level| level.place);
                match level.spot.below(string).filter(|_| !too_long) {
                    Some(place) => {
                        self.place = place;
                        self.state = State::Colon;
                    }
                    // The colon belongs to what is skipped; a value that follows it ends the skipping.
                    None => self.state = State::Skip { depth: 0, string: false, escaped: false },
                }
            }
            Purpose::Value => {
                let text = std::str::from_utf8(string).ok().filter(|_| !too_long);
                visit.value(self.place.spot, text.map_or(Value::TooLong, Value::Text));
                self.value_ends(visit);
            }
            Purpose::Text => self.value_ends(visit),
        }
    }

    fn escaped<'a>(&mut self, rest: &'a [u8], purpose: Purpose, visit: &mut dyn Visit<Spot>) -> &'a [u8] {
        let Some((&byte, after)) = rest.split_first() else { return rest };
        match self.escape {
            Escape::Unicode { missing, code } => {
                let Some(digit) = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok()) else {
                    return self.malformed();
                };
                let code = (code << 4) | digit;
                self.escape = match missing {
                    1 => {
                        self.code_unit(code, purpose, visit);
                        Escape::None
                    }
                    _ => Escape::Unicode { missing: missing.saturating_sub(1), code },
                };
            }
            Escape::Backslash | Escape::None => {
                let plain = match byte {
                    b'u' => {
                        self.escape = Escape::Unicode { missing: 4, code: 0 };
                        return after;
                    }
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'b' => 0x08,
                    b'f' => 0x0c,
                    b'"' | b'\\' | b'/' => byte,
                    _ => return self.malformed(),
                };
                self.escape = Escape::None;
                self.lone_surrogate(purpose, visit);
                self.take(&[plain], purpose, visit);
            }
        }
        after
    }

    /// A `\uXXXX` is complete: pairs surrogates, replaces lone ones with U+FFFD.
    fn code_unit(&mut self, code: u16, purpose: Purpose, visit: &mut dyn Visit<Spot>) {
        let unit = match self.high_surrogate.take() {
            Some(high) if (0xDC00..0xE000).contains(&code) => {
                char::decode_utf16([high, code]).next().and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            pending => {
                if pending.is_some() {
                    self.take_char(char::REPLACEMENT_CHARACTER, purpose, visit);
                }
                if (0xD800..0xDC00).contains(&code) {
                    self.high_surrogate = Some(code);
                    return;
                }
                char::from_u32(u32::from(code)).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
        };
        self.take_char(unit, purpose, visit);
    }

    fn lone_surrogate(&mut self, purpose: Purpose, visit: &mut dyn Visit<Spot>) {
        if self.high_surrogate.take().is_some() {
            self.take_char(char::REPLACEMENT_CHARACTER, purpose, visit);
        }
    }

    fn take_char(&mut self, unit: char, purpose: Purpose, visit: &mut dyn Visit<Spot>) {
        self.take(unit.encode_utf8(&mut [0; 4]).as_bytes(), purpose, visit);
    }

    fn take(&mut self, bytes: &[u8], purpose: Purpose, visit: &mut dyn Visit<Spot>) {
        match purpose {
            Purpose::Text => visit.text(self.place.spot, bytes),
            Purpose::Key | Purpose::Value => self.keep(bytes),
        }
    }

    fn keep_first(&mut self, byte: u8) {
        self.value.clear();
        self.too_long = false;
        self.value.push(byte);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = VALUE_MAX.saturating_sub(self.value.len());
        self.value.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.too_long |= bytes.len() > room;
    }

    /// Passes over a value whose inside nobody asked for; hands it over where it was asked for as it is.
    fn skip<'a>(
        &mut self,
        bytes: &'a [u8],
        depth: u32,
        string: bool,
        escaped: bool,
        visit: &mut dyn Visit<Spot>,
    ) -> &'a [u8] {
        let rest = self.pass(bytes, depth, string, escaped, visit);
        if self.raw {
            let passed = bytes.len().saturating_sub(rest.len());
            visit.raw(self.place.spot, bytes.get(..passed).unwrap_or(&[]));
            if !matches!(self.state, State::Skip { .. }) {
                self.raw = false;
                visit.close(self.place.spot);
            }
        }
        rest
    }

    /// Stops in front of the byte that ends the value, or behind its last byte.
    fn pass<'a>(
        &mut self,
        bytes: &'a [u8],
        mut depth: u32,
        mut string: bool,
        mut escaped: bool,
        visit: &mut dyn Visit<Spot>,
    ) -> &'a [u8] {
        let mut rest = bytes;
        loop {
            if string {
                if escaped && !rest.is_empty() {
                    escaped = false;
                    rest = rest.get(1..).unwrap_or(&[]);
                }
                let Some(stop) = memchr::memchr2(b'"', b'\\', rest) else { break };
                if rest.get(stop) == Some(&b'"') {
                    string = false;
                } else {
                    escaped = true;
                }
                rest = rest.get(stop.saturating_add(1)..).unwrap_or(&[]);
                if string || depth > 0 {
                    continue;
                }
                // A whole document that is a string ends here; inside a container a comma or an end follows.
                if self.levels.is_empty() {
                    self.value_ends(visit);
                    return rest;
                }
                continue;
            }
            let Some((&byte, after)) = rest.split_first() else { break };
            match byte {
                b'"' => string = true,
                b'{' | b'[' => depth = depth.saturating_add(1),
                b'}' | b']' | b',' if depth == 0 => {
                    self.state = State::After;
                    return rest;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 && self.levels.is_empty() {
                        self.value_ends(visit);
                        return after;
                    }
                }
                _ => {}
            }
            rest = after;
        }
        self.state = State::Skip { depth, string, escaped };
        &[]
    }

    fn malformed<'a>(&mut self) -> &'a [u8] {
        self.state = State::Malformed;
        &[]
    }
}

/// A byte that a number or literal may consist of.
const fn is_word(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.')
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok()
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Place {
        Root,
        A,
        B,
        Text,
        Item,
        Raw,
    }

    const fn leaf(key: &'static str, field: Place, take: Take) -> Node<Place> {
        Node { key, field, take, fields: &[] }
    }

    static SHAPE: Node<Place> = Node {
        key: "",
        field: Place::Root,
        take: Take::Path,
        fields: &[
            leaf("a", Place::A, Take::Value),
            leaf("text", Place::Text, Take::Text),
            leaf("raw", Place::Raw, Take::Raw),
            Node {
                key: "items",
                field: Place::Item,
                take: Take::Object,
                fields: &[leaf("b", Place::B, Take::Value), leaf("a", Place::A, Take::Value)],
            },
        ],
    };

    /// What a document reported, text fragments joined.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Seen(Vec<String>);

    impl Visit<Place> for Seen {
        fn open(&mut self, field: Place) {
            self.0.push(format!("{field:?} {{"));
        }
        fn close(&mut self, field: Place) {
            if field != Place::Raw {
                return self.0.push(format!("}} {field:?}"));
            }
            // However it is written, it is the same object.
            let raw = self.0.pop().unwrap_or_default();
            // One character a byte.
            let raw: Vec<u8> = raw.chars().skip(1).map(|byte| u8::try_from(byte).unwrap()).collect();
            let object: serde_json::Value = serde_json::from_slice(&raw).unwrap();
            self.0.push(format!("Raw is {object}"));
        }
        fn raw(&mut self, _field: Place, fragment: &[u8]) {
            let fragment: String = fragment.iter().copied().map(char::from).collect();
            match self.0.last_mut() {
                Some(last) if last.starts_with('^') => last.push_str(&fragment),
                _ => self.0.push(format!("^{fragment}")),
            }
        }
        fn value(&mut self, field: Place, value: Value<'_>) {
            self.0.push(format!("{field:?}={value:?}"));
        }
        fn text(&mut self, field: Place, fragment: &[u8]) {
            let prefix = format!("{field:?}~");
            let fragment: String = fragment.iter().map(|byte| format!("{byte:02x}")).collect();
            match self.0.last_mut() {
                Some(last) if last.starts_with(&prefix) => last.push_str(&fragment),
                _ => self.0.push(prefix + &fragment),
            }
        }
        fn document(&mut self) {
            self.0.push("document".to_owned());
        }
    }

    fn scan(pieces: &[&[u8]]) -> (Vec<String>, DocumentEnd) {
        let mut scanner = Scanner::new(&SHAPE);
        let mut seen = Seen::default();
        for piece in pieces {
            scanner.feed(piece, &mut Fields::new(&mut seen));
        }
        let end = scanner.end(&mut Fields::new(&mut seen));
        (seen.0, end)
    }

    fn check(document: &str, expected: &[&str]) {
        let (whole, end) = scan(&[document.as_bytes()]);
        assert_eq!(whole, expected, "{document}");
        let bytes: Vec<&[u8]> = document.as_bytes().chunks(1).collect();
        assert_eq!(scan(&bytes), (whole, end), "byte by byte: {document}");
    }

    #[test]
    fn fields_of_the_shape_are_reported_and_all_else_is_skipped() {
        check(
            r#" {"x":{"a":1,"s":"}\"]"},"a":12,"y":[1,[2],{"a":3}],"items":[{"b":"q","z":{}},{"b":null}],"w":"","a":true} "#,
            &[
                "A=Number(\"12\")",
                "Item {",
                "B=Text(\"q\")",
                "} Item",
                "Item {",
                "B=Null",
                "} Item",
                "A=Bool(true)",
                "document",
            ],
        );
    }

    #[test]
    fn escapes_and_surrogate_pairs_decode_whatever_the_chunking() {
        check(r#"{"a":"\u00e9\ud83d\ude00\n\"\/"}"#, &["A=Text(\"é😀\\n\\\"/\")", "document"]);
        check(r#"{"\u0061":"\ud83dx\ud83d"}"#, &["A=Text(\"\u{fffd}x\u{fffd}\")", "document"]);
        check(r#"{"text":"h\u00e9"}"#, &["Text~68c3a9", "document"]);
    }

    #[test]
    fn an_object_is_handed_over_as_it_is_written_and_every_item_of_an_array_by_itself() {
        check(
            r#"{"raw":[{"a":"}\"","b":[{}]} , {} ],"a":1,"x":{"a":2},"raw":3,"items":{"raw":{"q":0}}}"#,
            &[r#"Raw is {"a":"}\"","b":[{}]}"#, "Raw is {}", "A=Number(\"1\")", "Item {", "} Item", "document"],
        );
    }

    #[test]
    fn documents_may_follow_each_other() {
        check(
            "{\"a\":1}\n{\"a\":2}\n[{\"a\":3}]\"s\" 4",
            &[
                "A=Number(\"1\")",
                "document",
                "A=Number(\"2\")",
                "document",
                "A=Number(\"3\")",
                "document",
                "document",
                "document",
            ],
        );
    }

    #[test]
    fn an_unfinished_document_is_truncated_and_garbage_is_malformed() {
        for text in ["{", "{\"a\"", "{\"a\":1", "[", "{\"q\":[1,2", "\"abc", "{\"text\":\"ab\\"] {
            assert_eq!(scan(&[text.as_bytes()]).1, DocumentEnd::Truncated, "{text}");
        }
        for text in ["<html>", "[DONE]", "{a:1}", "{\"a\":01x}", "{\"a\":nul}", "}", "{\"a\":\"\\x\"}", "{\"a\" 1}"] {
            assert_eq!(scan(&[text.as_bytes()]).1, DocumentEnd::Malformed, "{text}");
        }
        for text in ["", " \n", "{}", "[]", "12", "null", "\"a\"", "{\"q\":{}}"] {
            assert_eq!(scan(&[text.as_bytes()]).1, DocumentEnd::Clean, "{text}");
        }
    }

    #[test]
    fn a_value_that_is_too_long_is_said_to_be_so_instead_of_being_cut() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(VALUE_MAX + 1));
        check(&long, &["A=TooLong", "document"]);
    }

    #[test]
    fn nesting_beyond_the_limit_is_skipped_in_bounded_memory() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let mut scanner = Scanner::new(&SHAPE);
        scanner.feed(deep.as_bytes(), &mut Fields::new(&mut Seen::default()));
        assert!(scanner.levels.capacity() <= 2 * DEPTH_MAX);
        assert_eq!(scanner.end(&mut Fields::new(&mut Seen::default())), DocumentEnd::Clean);
    }

    #[test]
    fn counts_are_whole_and_not_negative() {
        for (text, count) in [("0", Some(0)), ("12.0", Some(12)), ("1.5", None), ("-1", None), ("1e3", None)] {
            assert_eq!(Value::Number(text).count(), count, "{text}");
        }
    }

    #[test]
    fn measures_are_rounded_up() {
        for (text, whole) in [("7", Some(7)), ("8.000", Some(8)), ("8.47", Some(9)), ("-1.5", None), ("1e3", None)] {
            assert_eq!(Value::Number(text).rounded_up(), whole, "{text}");
        }
    }

    /// What the scanner must report of a document, read off a parsed tree.
    fn walk(value: &serde_json::Value, node: &'static Node<Place>, seen: &mut Seen) {
        match value {
            serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, node, seen)),
            serde_json::Value::Object(_) if node.take == Take::Raw => seen.0.push(format!("Raw is {value}")),
            serde_json::Value::Object(object) => {
                if node.take == Take::Object {
                    seen.open(node.field);
                }
                for (key, value) in object {
                    if let Some(node) = node.fields.iter().find(|node| node.key == key) {
                        walk(value, node, seen);
                    }
                }
                if node.take == Take::Object {
                    seen.close(node.field);
                }
            }
            serde_json::Value::String(text) if node.take == Take::Text && !text.is_empty() => {
                seen.text(node.field, text.as_bytes());
            }
            serde_json::Value::String(text) if node.take == Take::Value => seen.value(node.field, Value::Text(text)),
            serde_json::Value::Number(number) if node.take == Take::Value => {
                seen.value(node.field, Value::Number(&number.to_string()));
            }
            serde_json::Value::Bool(value) if node.take == Take::Value => seen.value(node.field, Value::Bool(*value)),
            serde_json::Value::Null if node.take == Take::Value => seen.value(node.field, Value::Null),
            _ => {}
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let scalar = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "[ -~é😀\"\\\\\n]{0,12}".prop_map(Into::into),
        ];
        let key = prop_oneof![Just("a"), Just("b"), Just("text"), Just("items"), Just("raw"), Just("x\"y")];
        scalar.prop_recursive(5, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::vec((key.clone(), inner), 0..5).prop_map(|pairs| {
                    serde_json::Value::Object(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_scanner_reports_what_a_parsed_tree_holds(value in any_json(), pretty: bool, size in 1_usize..9) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let mut expected = Seen::default();
            walk(&value, &SHAPE, &mut expected);
            expected.0.push("document".to_owned());
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(scan(&pieces), (expected.0, DocumentEnd::Clean));
        }

        #[test]
        fn arbitrary_bytes_report_the_same_whatever_the_chunking(bytes: Vec<u8>, size in 1_usize..9) {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(scan(&pieces), scan(&[&bytes]));
        }
    }
}
