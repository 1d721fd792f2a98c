//! JSON that is there as a whole, passed over once and looked into where that is worth it.
//!
//! An agent's request is long, and little of it is read: which parts there are, and where each begins and ends. So a
//! [`Cursor`] passes over values at the speed of memory, sixteen bytes at a time within strings, and a value that is not looked
//! into costs nothing but that.
//!
//! Invariants: what is passed over is JSON, by the grammar of RFC 8259; each byte is passed over once, unless a value is
//! taken and looked into later; nothing is copied; nesting costs one bit a level and no recursion.
//! Must not know: what a member means.

use super::marks::{BLOCK, clear, marks};
use std::borrow::Cow;

/// The text of one JSON value, without white space around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The text, where it is one JSON value and nothing else but white space.
    #[must_use]
    pub fn of(json: &'a str) -> Option<Self> {
        let mut cursor = Cursor::new(json);
        let value = cursor.raw()?;
        cursor.space();
        (cursor.at == json.len()).then_some(value)
    }

    /// The text.
    #[must_use]
    pub const fn get(self) -> &'a str {
        self.0
    }

    /// A cursor at its beginning.
    pub(crate) const fn cursor(self) -> Cursor<'a> {
        Cursor::new(self.0)
    }

    /// The text of a string, escapes undone; `None` for any other value.
    #[must_use]
    pub fn string(self) -> Option<Cow<'a, str>> {
        let inside = self.0.strip_prefix('"')?.strip_suffix('"')?;
        match memchr::memchr(b'\\', inside.as_bytes()) {
            None => Some(Cow::Borrowed(inside)),
            Some(_) => unescape(inside).map(Cow::Owned),
        }
    }
}

/// A place in a JSON text.
pub(crate) struct Cursor<'a> {
    json: &'a str,
    at: usize,
    /// What was passed over is no JSON. The cursor goes no further.
    is_broken: bool,
}

impl<'a> Cursor<'a> {
    /// At the beginning of a text.
    pub(crate) const fn new(json: &'a str) -> Self {
        Self { json, at: 0, is_broken: false }
    }

    /// Passes over the value that is next, and takes its text.
    pub(crate) fn raw(&mut self) -> Option<Raw<'a>> {
        self.space();
        self.unless_broken(Self::value)
    }

    /// Passes over the object that is next: with `each` at the value of every member, which it may look into. `false`
    /// where the value is no object, which is then still next, or no JSON.
    pub(crate) fn members(&mut self, mut each: impl FnMut(Cow<'a, str>, &mut Self)) -> bool {
        self.space();
        self.peek() == Some(b'{') && self.unless_broken(|cursor| cursor.each(b'}', &mut each)).is_some()
    }

    /// Passes over the array that is next: with `each` at every item, as [`members`](Self::members) does.
    pub(crate) fn items(&mut self, mut each: impl FnMut(&mut Self)) -> bool {
        self.space();
        self.peek() == Some(b'[') && self.unless_broken(|cursor| cursor.each(b']', &mut |_, item| each(item))).is_some()
    }

    /// Passes over the value that is next with `look`, which may look into it, and takes its text.
    pub(crate) fn raw_after(&mut self, look: impl FnOnce(&mut Self)) -> Option<Raw<'a>> {
        self.space();
        let start = self.at;
        look(self);
        self.unless_broken(|cursor| if cursor.at == start { cursor.value() } else { cursor.since(start) })
    }

    fn unless_broken<T>(&mut self, pass: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let passed = if self.is_broken { None } else { pass(self) };
        self.is_broken |= passed.is_none();
        passed
    }

    /// The members or items of the container that is next, up to its end. An item's key is empty.
    fn each(&mut self, end: u8, each: &mut impl FnMut(Cow<'a, str>, &mut Self)) -> Option<()> {
        self.step();
        self.space();
        if self.peek()? == end {
            self.step();
            return Some(());
        }
        loop {
            self.space();
            let key = if end == b'}' { self.key()? } else { Cow::Borrowed("") };
            self.raw_after(|cursor| each(key, cursor))?;
            self.space();
            match self.next()? {
                b',' => {}
                byte => return (byte == end).then_some(()),
            }
        }
    }

    /// Passes over one value, whatever it holds.
    fn value(&mut self) -> Option<Raw<'a>> {
        let start = self.at;
        let mut nesting = Nesting::default();
        loop {
            self.space();
            match self.peek()? {
                b'"' => _ = self.string()?,
                b'{' | b'[' => {
                    let is_object = self.next()? == b'{';
                    self.space();
                    nesting.push(is_object);
                    if !matches!((self.peek()?, is_object), (b'}', true) | (b']', false)) {
                        if is_object {
                            self.pass_key()?;
                        }
                        continue;
                    }
                }
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => self.number()?,
            }
            // A value is over; with it are all that end here.
            loop {
                let Some(is_object) = nesting.innermost() else { return self.since(start) };
                self.space();
                match (self.next()?, is_object) {
                    (b',', true) => self.pass_key()?,
                    (b',', false) => {}
                    (b'}', true) | (b']', false) => {
                        nesting.pop();
                        continue;
                    }
                    _ => return None,
                }
                break;
            }
        }
    }

    fn since(&self, start: usize) -> Option<Raw<'a>> {
        self.json.get(start..self.at).map(Raw)
    }

    /// A key and the colon behind it: its text, escapes undone.
    fn key(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at.saturating_add(1);
        let has_escapes = self.string()?;
        let inside = self.json.get(start..self.at.saturating_sub(1))?;
        self.colon()?;
        if has_escapes { unescape(inside).map(Cow::Owned) } else { Some(Cow::Borrowed(inside)) }
    }

    /// The same, without its text.
    fn pass_key(&mut self) -> Option<()> {
        self.space();
        self.string()?;
        self.colon()
    }

    fn colon(&mut self) -> Option<()> {
        self.space();
        (self.next()? == b':').then_some(())
    }

    /// A string, and whether there are escapes in it.
    fn string(&mut self) -> Option<bool> {
        let bytes = self.json.as_bytes();
        if self.next()? != b'"' {
            return None;
        }
        let mut has_escapes = false;
        loop {
            let mut marks = marks(bytes, self.at);
            if marks == 0 {
                self.at = self.at.saturating_add(BLOCK);
                self.at = self.at.saturating_add(clear(bytes, self.at));
                continue;
            }
            let mut passed = BLOCK;
            while marks != 0 {
                let offset = marks.trailing_zeros() as usize;
                let at = self.at.saturating_add(offset);
                let escape = match bytes.get(at..)? {
                    [b'"', ..] => {
                        self.at = at.saturating_add(1);
                        return Some(has_escapes);
                    }
                    [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
                    [b'\\', b'u', digits @ ..] => {
                        hexadecimal(*digits.first_chunk()?)?;
                        6
                    }
                    _ => return None,
                };
                has_escapes = true;
                // What was escaped is no mark, and may lie in the next block.
                let behind = offset.saturating_add(escape);
                marks &= u32::MAX << behind;
                passed = passed.max(behind);
            }
            self.at = self.at.saturating_add(passed);
        }
    }

    fn number(&mut self) -> Option<()> {
        if self.peek()? == b'-' {
            self.step();
        }
        // No number begins with a zero but one below one.
        if self.peek()? == b'0' {
            self.step()
        } else {
            self.digits()?
        }
        if self.peek() == Some(b'.') {
            self.step();
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.step();
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.step();
            }
            self.digits()?;
        }
        Some(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Option<()> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at = self.at.saturating_add(digits);
        (digits > 0).then_some(())
    }

    fn literal(&mut self, literal: &str) -> Option<()> {
        self.at = self.at.saturating_add(literal.len());
        self.json.get(..self.at)?.ends_with(literal).then_some(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.step();
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.json.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.step();
        Some(byte)
    }

    const fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }
}

/// What four hexadecimal digits say.
fn hexadecimal(digits: [u8; 4]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |value, digit| {
        let digit = char::from(*digit).to_digit(16).and_then(|digit| u16::try_from(digit).ok())?;
        Some(value << 4 | digit)
    })
}

/// What is between the quotes of a string, escapes undone. Half a surrogate pair is no character; it becomes the
/// replacement character, and costs nothing else.
fn unescape(inside: &str) -> Option<String> {
    let mut text = Vec::with_capacity(inside.len());
    let mut rest = inside.as_bytes();
    loop {
        rest = match rest {
            [] => return String::from_utf8(text).ok(),
            [b'\\', b'u', after @ ..] => {
                let (character, after) = character(after)?;
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                after
            }
            [b'\\', mark, after @ ..] => {
                text.push(match mark {
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    // A quote, a backslash or a slash.
                    other => *other,
                });
                after
            }
            _ => {
                let (plain, after) = rest.split_at_checked(memchr::memchr(b'\\', rest).unwrap_or(rest.len()))?;
                text.extend_from_slice(plain);
                after
            }
        }
    }
}

/// The character that four hexadecimal digits say, or two times four with `\u` between them.
fn character(digits: &[u8]) -> Option<(char, &[u8])> {
    let (first, after) = digits.split_first_chunk::<4>()?;
    let first = hexadecimal(*first)?;
    let second = after.strip_prefix(b"\\u").and_then(|digits| digits.split_first_chunk::<4>());
    if let (0xD800..0xDC00, Some((second, after))) = (first, second)
        && let Some(low @ 0xDC00..0xE000) = hexadecimal(*second)
    {
        let pair = char::decode_utf16([first, low]).next()?.ok()?;
        return Some((pair, after));
    }
    Some((char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER), after))
}

/// The objects and arrays around a place, outermost first: a bit each, set for an object.
#[derive(Default)]
struct Nesting {
    innermost: u64,
    /// How many of these bits count.
    depth: u32,
    outer: Vec<u64>,
}

impl Nesting {
    fn push(&mut self, is_object: bool) {
        if self.depth == u64::BITS {
            self.outer.push(self.innermost);
            self.depth = 0;
        }
        self.innermost = self.innermost << 1 | u64::from(is_object);
        self.depth = self.depth.saturating_add(1);
    }

    const fn innermost(&self) -> Option<bool> {
        if self.depth == 0 { None } else { Some(self.innermost & 1 == 1) }
    }

    fn pop(&mut self) {
        self.innermost >>= 1;
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0
            && let Some(outer) = self.outer.pop()
        {
            (self.innermost, self.depth) = (outer, u64::BITS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    /// What serde's own reader says of a text.
    fn expected(json: &str) -> Option<&str> {
        serde_json::from_str::<&RawValue>(json).ok().map(RawValue::get)
    }

    fn check(json: &str) {
        assert_eq!(Raw::of(json).map(Raw::get), expected(json), "{json}");
    }

    #[test]
    fn what_is_json_is_told_as_serde_tells_it() {
        for json in [
            "",
            " ",
            "{",
            "}",
            "[",
            "]",
            "{}",
            "[]",
            "[,]",
            "[1,]",
            "[1,2]",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1}"#,
            r#"{a:1}"#,
            r#"{"a" : [ {} , [] ] }"#,
            r#"{"a":[}"#,
            "[{]}",
            "0",
            "-",
            "-0",
            "01",
            "1.",
            "1.5e+3",
            "1e",
            "1e5",
            ".5",
            "+1",
            "tru",
            "true",
            "nul",
            "null",
            "nulll",
            "false",
            "false ",
            r#""a"#,
            r#""a""#,
            r#""\"""#,
            r#""\x""#,
            r#""\u12""#,
            r#""\u12g4""#,
            r#""\ud800""#,
            "\"\t\"",
            "\"\u{7f}é😀\"",
            "\"12345678\\\\\"",
            "1 2",
            "\u{a0}1",
        ] {
            check(json);
        }
    }

    #[test]
    fn escapes_are_undone() {
        let string = |json: &'static str| Raw::of(json).and_then(Raw::string);
        assert_eq!(string(r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\uDE00.""#).as_deref(), Some("\"\\/\u{8}\u{c}\n\r\té😀."));
        assert_eq!(string(r#""a\ud83db\ude00c\ud83d\u0041""#).as_deref(), Some("a\u{fffd}b\u{fffd}c\u{fffd}A"));
        assert!(matches!(string(r#""plain""#), Some(Cow::Borrowed("plain"))));
        assert_eq!((string("1"), string("[]"), string("null")), (None, None, None));
    }

    #[test]
    fn nesting_without_end_takes_a_bit_a_level() {
        let depth = 300_000;
        check(&format!("{}{}", "[".repeat(1_000), "]".repeat(1_000)));
        let mixed = format!("{}1{}", "[{\"a\":".repeat(depth), "}]".repeat(depth));
        assert_eq!(Raw::of(&mixed).map(Raw::get), Some(mixed.as_str()));
        assert_eq!(mixed.strip_suffix(']').and_then(Raw::of), None);
    }

    #[test]
    fn values_are_looked_into_or_passed_over() {
        let mut cursor = Cursor::new(r#" {"a" : [1, {"b":2} , [3]], "c\n" : "d" , "e":{"f":4}} "#);
        let (mut keys, mut items) = (Vec::new(), Vec::new());
        let is_object = cursor.members(|key, value| {
            if key == "a" {
                assert!(!value.members(|_, _| {}));
                assert!(value.items(|item| items.extend(item.raw().map(Raw::get))));
            }
            keys.push(key.into_owned());
        });
        assert!(is_object);
        assert_eq!(items, ["1", r#"{"b":2}"#, "[3]"]);
        assert_eq!(keys, ["a", "c\n", "e"]);
    }

    #[test]
    fn what_breaks_off_inside_breaks_all_around_it() {
        let mut cursor = Cursor::new(r#"{"a":[1,2"#);
        let mut seen = 0;
        assert!(!cursor.members(|_, value| assert!(!value.items(|_| seen += 1))));
        assert_eq!((seen, cursor.raw()), (2, None));
    }

    proptest! {
        #[test]
        fn texts_that_are_nearly_json_are_told_as_serde_tells_them(
            json in r#"([\[\]{},:"\\ untrealsfb0-9.eE+-]|\\u[0-9a-f]{3,4}|"[a-z\\"]{0,12}"|"[a-z]":|é|\PC){0,40}"#
        ) {
            prop_assert_eq!(Raw::of(&json).map(Raw::get), expected(&json));
        }

        #[test]
        fn json_with_a_byte_changed_is_told_as_serde_tells_it(
            texts in prop::collection::vec("(\\PC|[\"\\\\\n\u{1}]|[a-z ]{9}){0,20}", 0..5), at in any::<prop::sample::Index>(), byte in 0_u8..0x80
        ) {
            let json = serde_json::json!({"a": texts, "b": [1.5e9, {"c": null, "d": [true]}]}).to_string();
            prop_assert_eq!(Raw::of(&json).map(Raw::get), Some(json.as_str()));
            for text in &texts {
                let json = serde_json::to_string(text).expect("JSON");
                let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
                let escaped = format!("\"{escaped}\"");
                for json in [&json, &escaped] {
                    let read = Raw::of(json).and_then(Raw::string);
                    prop_assert_eq!(read.as_deref(), Some(text.as_str()));
                }
            }
            let mut changed = json.into_bytes();
            let at = at.index(changed.len());
            changed[at] = byte;
            if let Ok(changed) = std::str::from_utf8(&changed) {
                prop_assert_eq!(Raw::of(changed).map(Raw::get), expected(changed));
            }
        }
    }
}
