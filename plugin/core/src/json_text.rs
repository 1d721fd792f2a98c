//! JSON text of whatever serde can serialize, in little code: every event is written by it.
//!
//! `serde_json` compiles its writer into each type anew; that was a twentieth of the filter, and a tenth of its work on a small
//! call. Here what a type adds is a call for each of its fields.
//! Invariants: the text is `serde_json`'s, byte for byte.
//! Must not know: what it writes.

use crate::frame::marks;
use serde::Serialize;
use serde::ser::{self, Serializer};
use std::fmt;

/// What has no JSON. No type of ours is such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// A map's key that is no text.
    #[error("a key that is no text has no JSON")]
    Key,
    /// Bytes.
    #[error("bytes have no JSON")]
    Bytes,
    /// The type says so itself.
    #[error("a value that cannot be serialized has no JSON")]
    Value,
}

impl ser::Error for Unwritable {
    // One byte, so that each field's result is a number and not a text to move about.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Value
    }
}

/// A value as JSON without a space in it.
///
/// # Errors
/// [`Unwritable`].
pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<String, Unwritable> {
    let mut writer = Writer { text: String::with_capacity(USUAL) };
    value.serialize(&mut writer)?;
    Ok(writer.text)
}

/// Bytes of an event of a usual call.
const USUAL: usize = 4096;

/// What is written so far.
struct Writer {
    text: String,
}

type Written = Result<(), Unwritable>;

impl Writer {
    #[inline(never)]
    fn literal(&mut self, text: &str) {
        self.text.push_str(text);
    }

    #[inline(never)]
    fn unsigned(&mut self, number: u64) {
        self.text.push_str(itoa::Buffer::new().format(number));
    }

    #[inline(never)]
    fn string(&mut self, text: &str) {
        self.text.push('"');
        let mut rest = text;
        loop {
            let (plain, marked) = rest.split_at_checked(marks::unmarked(rest.as_bytes())).unwrap_or((rest, ""));
            self.text.push_str(plain);
            let mut characters = marked.chars();
            match characters.next() {
                None => break,
                Some(character) => self.escape(character),
            }
            rest = characters.as_str();
        }
        self.text.push('"');
    }

    fn escape(&mut self, character: char) {
        let short = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            control => {
                // Control characters are below 0x20, so the fourth digit is all that one of 16 can be.
                self.text.push_str(if control < '\u{10}' { "\\u000" } else { "\\u001" });
                self.text.extend(char::from_digit(u32::from(control) % 16, 16));
                return;
            }
        };
        self.text.push_str(short);
    }

    /// What stands before a member or an item: nothing before the first, and no value ends as an object or a list begins.
    #[inline(never)]
    fn next(&mut self) {
        if !self.text.ends_with(['{', '[']) {
            self.text.push(',');
        }
    }

    /// What stands before the value of a field. Names of fields have nothing to escape.
    #[inline(never)]
    fn field(&mut self, name: &str) {
        self.next();
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    /// An object with one member, which is still to be written, then `}`.
    fn variant(&mut self, name: &str) {
        self.text.push('{');
        self.field(name);
    }
}

macro_rules! integers {
    ($($method:ident($kind:ty))*) => {
        $(fn $method(self, number: $kind) -> Written {
            self.serialize_i64(number.into())
        })*
    };
}

impl<'w> Serializer for &'w mut Writer {
    type Ok = ();
    type Error = Unwritable;
    type SerializeSeq = Within<'w>;
    type SerializeTuple = Within<'w>;
    type SerializeTupleStruct = Within<'w>;
    type SerializeTupleVariant = Within<'w>;
    type SerializeMap = Within<'w>;
    type SerializeStruct = Within<'w>;
    type SerializeStructVariant = Within<'w>;

    integers! { serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) }

    fn serialize_i64(self, number: i64) -> Written {
        if number < 0 {
            self.literal("-");
        }
        self.serialize_u64(number.unsigned_abs())
    }

    fn serialize_u64(self, number: u64) -> Written {
        self.unsigned(number);
        Ok(())
    }

    fn serialize_f32(self, number: f32) -> Written {
        if number.is_finite() {
            self.literal(zmij::Buffer::new().format_finite(number));
            Ok(())
        } else {
            self.serialize_unit()
        }
    }

    fn serialize_f64(self, number: f64) -> Written {
        if number.is_finite() {
            self.literal(zmij::Buffer::new().format_finite(number));
            Ok(())
        } else {
            self.serialize_unit()
        }
    }

    fn serialize_bool(self, value: bool) -> Written {
        self.literal(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_char(self, character: char) -> Written {
        self.serialize_str(character.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Written {
        self.string(text);
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Written {
        Err(Unwritable::Bytes)
    }

    fn serialize_none(self) -> Written {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        self.literal("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        self.variant(variant);
        value.serialize(&mut *self)?;
        self.literal("}");
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Within<'w>, Unwritable> {
        self.literal("[");
        Ok(Within { writer: self, end: "]" })
    }

    fn serialize_tuple(self, length: usize) -> Result<Within<'w>, Unwritable> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Within<'w>, Unwritable> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Within<'w>, Unwritable> {
        self.variant(variant);
        self.literal("[");
        Ok(Within { writer: self, end: "]}" })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Within<'w>, Unwritable> {
        self.literal("{");
        Ok(Within { writer: self, end: "}" })
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Within<'w>, Unwritable> {
        self.serialize_map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Within<'w>, Unwritable> {
        self.variant(variant);
        self.literal("{");
        Ok(Within { writer: self, end: "}}" })
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Written {
        self.serialize_str(&value.to_string())
    }
}

/// Within a list or an object, which `end` closes.
struct Within<'w> {
    writer: &'w mut Writer,
    end: &'static str,
}

impl Within<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.writer.next();
        value.serialize(&mut *self.writer)
    }

    /// One function for each type of field, and not one for each field.
    #[inline(never)]
    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Written {
        self.writer.field(name);
        value.serialize(&mut *self.writer)
    }

    #[inline(never)]
    fn close(self) -> Written {
        self.writer.literal(self.end);
        Ok(())
    }
}

impl ser::SerializeMap for Within<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        self.writer.next();
        let start = self.writer.text.len();
        key.serialize(&mut *self.writer)?;
        let is_text = self.writer.text.get(start..).is_some_and(|key| key.starts_with('"'));
        if is_text { Ok(()) } else { Err(Unwritable::Key) }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.writer.literal(":");
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Written {
        self.close()
    }
}

macro_rules! within {
    ($($kind:ident::$method:ident($($name:ident)?) $write:ident;)*) => {
        $(impl ser::$kind for Within<'_> {
            type Ok = ();
            type Error = Unwritable;

            fn $method<T: Serialize + ?Sized>(&mut self, $($name: &'static str,)? value: &T) -> Written {
                self.$write($($name,)? value)
            }

            fn end(self) -> Written {
                self.close()
            }
        })*
    };
}

within! {
    SerializeSeq::serialize_element() item;
    SerializeTuple::serialize_element() item;
    SerializeTupleStruct::serialize_field() item;
    SerializeTupleVariant::serialize_field() item;
    SerializeStruct::serialize_field(name) field;
    SerializeStructVariant::serialize_field(name) field;
}

#[cfg(test)]
mod tests {
    use super::{Unwritable, of};
    use proptest::prelude::*;
    use serde::Serialize;
    use std::collections::BTreeMap;

    /// Every shape that serde tells apart.
    #[derive(Clone, Debug, Serialize)]
    enum Shape {
        Unit,
        Newtype(String),
        Tuple(i8, u64),
        Struct { first: Option<f64>, second: Vec<Shape> },
        Map(BTreeMap<String, Shape>),
        Numbers(i64, f32, bool, char, u8, ()),
    }

    fn shape() -> impl Strategy<Value = Shape> {
        let leaf = prop_oneof![
            Just(Shape::Unit),
            ".{0,40}".prop_map(Shape::Newtype),
            "[\u{0}-\u{7f}]{0,40}".prop_map(Shape::Newtype),
            any::<(i8, u64)>().prop_map(|(small, large)| Shape::Tuple(small, large)),
            any::<(i64, f32, bool, char, u8)>().prop_map(|(a, b, c, d, e)| Shape::Numbers(a, b, c, d, e, ())),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                (any::<Option<f64>>(), prop::collection::vec(inner.clone(), 0..5))
                    .prop_map(|(first, second)| Shape::Struct { first, second }),
                prop::collection::btree_map(".{0,20}", inner, 0..5).prop_map(Shape::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_serde_json_writes(shape in shape()) {
            prop_assert_eq!(of(&shape).expect("JSON"), serde_json::to_string(&shape).expect("JSON"));
        }
    }

    #[test]
    fn every_character_below_128_is_written_as_serde_json_does() {
        for byte in 0..128_u8 {
            let text = char::from(byte).to_string();
            assert_eq!(of(&text).expect("JSON"), serde_json::to_string(&text).expect("JSON"));
        }
    }

    #[test]
    fn what_json_cannot_say_is_an_error_and_infinity_null_as_in_serde_json() {
        assert_eq!(of(&f64::INFINITY).expect("JSON"), "null");
        assert_eq!(of(&BTreeMap::from([(1, 2)])), Err(Unwritable::Key));
    }
}
