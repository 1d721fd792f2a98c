//! From a JSON value to the types of the configuration, by serde, so that a mistake knows its place.
//!
//! What serde derives for the configuration is compiled once for every way to decode it, and again for whatever wraps that way.
//! So there is one way, with no more in it than a configuration needs: a struct is an object, an enum a name.
//! Invariants: a mistake is told with the steps from the root to the value, or to the key, that is mistaken.
//! Must not know: what the values mean, how mistakes are told.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::{Map, Value, map};
use std::fmt;
use std::slice;

/// A step from a value into one that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// What serde says of a mistake, and where it is.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) message: String,
    /// From the mistake up to the root.
    outwards: Vec<Step>,
}

/// Decodes a value.
///
/// # Errors
/// The first mistake.
#[inline(never)]
pub(super) fn decode<T: for<'v> Deserialize<'v>>(value: &Value) -> Result<T, Mistake> {
    T::deserialize(Json(value))
}

impl Mistake {
    /// The steps from the root to it.
    pub(super) fn place(self) -> Vec<Step> {
        self.outwards.into_iter().rev().collect()
    }

    #[inline(never)]
    fn within(mut self, step: Step) -> Self {
        self.outwards.push(step);
        self
    }

    fn at_key(self, key: &str) -> Self {
        self.within(Step::Key(key.to_owned()))
    }
}

impl Error for Mistake {
    #[inline(never)]
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), outwards: Vec::new() }
    }
}

impl std::error::Error for Mistake {}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A value, as serde decodes it.
#[derive(Clone, Copy)]
struct Json<'v>(&'v Value);

impl<'v> Json<'v> {
    fn scalar<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, Some(number)) => visitor.visit_f64(number),
                (None, None, None) => Err(self.mistyped(&visitor)),
            },
            Value::Null | Value::Array(_) | Value::Object(_) => Err(self.mistyped(&visitor)),
        }
    }

    #[inline(never)]
    fn list<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(Items { items: items.iter(), index: 0 }),
            _ => Err(self.mistyped(&visitor)),
        }
    }

    /// One function for each type: all in one, they would be the largest of the filter by far.
    #[inline(never)]
    fn object<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::Object(fields) => visitor.visit_map(Fields::of(fields)),
            _ => Err(self.mistyped(&visitor)),
        }
    }

    #[inline(never)]
    fn mistyped(self, expected: &dyn serde::de::Expected) -> Mistake {
        let unexpected = match self.0 {
            Value::Null => Unexpected::Other("null"),
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => match number.as_u64() {
                Some(number) => Unexpected::Unsigned(number),
                None => {
                    number.as_i64().map_or(Unexpected::Float(number.as_f64().unwrap_or_default()), Unexpected::Signed)
                }
            },
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        };
        Mistake::invalid_type(unexpected, expected)
    }
}

macro_rules! decode_as {
    ($way:ident: $($method:ident($($argument:ty),*))*) => {
        $(fn $method<V: Visitor<'v>>(self, $(_: $argument,)* visitor: V) -> Result<V::Value, Mistake> {
            self.$way(visitor)
        })*
    };
}

impl<'v> Deserializer<'v> for Json<'v> {
    type Error = Mistake;

    decode_as! { scalar: deserialize_any() deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
    deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_f32() deserialize_f64()
    deserialize_char() deserialize_str() deserialize_string() deserialize_bytes() deserialize_byte_buf()
    deserialize_unit() deserialize_unit_struct(&'static str) deserialize_identifier() deserialize_ignored_any() }
    decode_as! { list: deserialize_seq() deserialize_tuple(usize) deserialize_tuple_struct(&'static str, usize) }
    decode_as! { object: deserialize_map() deserialize_struct(&'static str, &'static [&'static str]) }

    fn deserialize_option<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Mistake> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'v>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'v>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
            _ => Err(self.mistyped(&visitor)),
        }
    }
}

/// The items of a list.
struct Items<'v> {
    items: slice::Iter<'v, Value>,
    index: usize,
}

impl<'v> SeqAccess<'v> for Items<'v> {
    type Error = Mistake;

    fn next_element_seed<S: DeserializeSeed<'v>>(&mut self, seed: S) -> Result<Option<S::Value>, Mistake> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index = index.saturating_add(1);
        seed.deserialize(Json(item)).map(Some).map_err(|mistake| mistake.within(Step::Index(index)))
    }
}

/// The fields of an object.
struct Fields<'v> {
    fields: map::Iter<'v>,
    /// The one whose key was decoded last.
    field: Option<(&'v str, &'v Value)>,
}

impl<'v> Fields<'v> {
    fn of(fields: &'v Map<String, Value>) -> Self {
        Self { fields: fields.iter(), field: None }
    }
}

impl<'v> MapAccess<'v> for Fields<'v> {
    type Error = Mistake;

    fn next_key_seed<S: DeserializeSeed<'v>>(&mut self, seed: S) -> Result<Option<S::Value>, Mistake> {
        let Some((key, value)) = self.fields.next() else { return Ok(None) };
        self.field = Some((key, value));
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some).map_err(|mistake: Mistake| mistake.at_key(key))
    }

    fn next_value_seed<S: DeserializeSeed<'v>>(&mut self, seed: S) -> Result<S::Value, Mistake> {
        let Some((key, value)) = self.field else { return Err(Mistake::custom("a value before its key")) };
        seed.deserialize(Json(value)).map_err(|mistake| mistake.at_key(key))
    }
}
