//! From a JSON value to the types of the configuration, so that a mistake knows its place.
//!
//! A gateway compiles the whole filter before it serves, and decodes a configuration once. So this is made to be little
//! code, not to be fast: all structs go through one function, which sees their fields as trait objects; what serde derives
//! would be a function of its own for each of them, three times as large.
//! Invariants: a field is decoded, or the build fails; a mistake is told with the steps from the root to the value, or to the
//! key, that is mistaken, in serde's words.
//! Must not know: what the values mean, how mistakes are told.

use crate::attribution::Dimension;
use serde::de::{Error, Unexpected};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A step from a value into one that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// What is wrong, and where it is.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) message: String,
    /// From the mistake up to the root.
    outwards: Vec<Step>,
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

/// Something that a configuration holds.
pub(super) trait Decode {
    /// What to decode into: the default, where there is one.
    fn blank() -> Self
    where
        Self: Sized;

    /// Takes on what is written. After a mistake it is of no use.
    ///
    /// # Errors
    /// The first mistake.
    fn decode(&mut self, value: &Value) -> Result<(), Mistake>;
}

/// Decodes a value.
///
/// # Errors
/// The first mistake.
pub(super) fn decode<T: Decode>(value: &Value) -> Result<T, Mistake> {
    let mut decoded = T::blank();
    decoded.decode(value)?;
    Ok(decoded)
}

/// Decodes a struct from an object. `object!(Type { all, fields, matching as "match" })` begins with the type's default. Where
/// there is none, `object!(Type requires { these, fields } { others })`: the others begin with theirs.
macro_rules! object {
    ($type:ident { $($field:ident $(as $name:literal)?),* $(,)? }) => {
        $crate::config::decode::object!(@ $type, Self::default(), [], $($field $(as $name)?),*);
    };
    ($type:ident requires { $($required:ident),* $(,)? } { $($field:ident),* $(,)? }) => {
        $crate::config::decode::object!(
            @ $type,
            Self {
                $($required: $crate::config::decode::Decode::blank(),)*
                $($field: Default::default(),)*
            },
            [$(stringify!($required)),*],
            $($required,)* $($field),*
        );
    };
    (@ $type:ident, $blank:expr, [$($required:expr),*], $($field:ident $(as $name:literal)?),* $(,)?) => {
        impl $crate::config::decode::Decode for $type {
            fn blank() -> Self {
                $blank
            }

            fn decode(&mut self, value: &serde_json::Value) -> Result<(), $crate::config::decode::Mistake> {
                const NAMES: &[&str] = &[$($crate::config::decode::object!(@name $field $($name)?)),*];
                // Without `..`: a field that is not named to the macro does not compile.
                let Self { $($field),* } = self;
                let expected = concat!("struct ", stringify!($type));
                $crate::config::decode::fields(value, expected, NAMES, &[$($required),*], &mut [$($field),*])
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
}
pub(super) use object;

/// Decodes an enum from the name of one of its variants, in snake case: `choice!(Type: All, Variants)`.
macro_rules! choice {
    ($type:ident: $first:ident $(, $variant:ident)*) => {
        impl $crate::config::decode::Decode for $type {
            fn blank() -> Self {
                Self::$first
            }

            fn decode(&mut self, value: &serde_json::Value) -> Result<(), $crate::config::decode::Mistake> {
                // A variant that is not named to the macro does not compile.
                let _: fn(Self) = |one| match one { Self::$first $(| Self::$variant)* => () };
                let expected = concat!("enum ", stringify!($type));
                let index = $crate::config::decode::variant(value, expected, &[stringify!($first) $(, stringify!($variant))*])?;
                *self = *[Self::$first $(, Self::$variant)*].get(index).unwrap_or(self);
                Ok(())
            }
        }
    };
}
pub(super) use choice;

/// Decodes the fields of an object.
#[inline(never)]
pub(super) fn fields(
    value: &Value,
    expected: &'static str,
    names: &'static [&'static str],
    required: &[&'static str],
    places: &mut [&mut dyn Decode],
) -> Result<(), Mistake> {
    members(value, expected, &mut |key, value| {
        let index = names.iter().position(|name| *name == key);
        match index.and_then(|index| places.get_mut(index)) {
            Some(place) => place.decode(value),
            None => Err(Mistake::unknown_field(key, names)),
        }
    })?;
    match required.iter().find(|name| value.get(name).is_none()) {
        Some(name) => Err(Mistake::missing_field(name)),
        None => Ok(()),
    }
}

#[inline(never)]
fn members(
    value: &Value,
    expected: &'static str,
    each: &mut dyn FnMut(&str, &Value) -> Result<(), Mistake>,
) -> Result<(), Mistake> {
    let Value::Object(members) = value else { return Err(mistyped(value, expected)) };
    members.iter().try_for_each(|(key, value)| each(key, value).map_err(|mistake| mistake.at_key(key)))
}

#[inline(never)]
fn items(value: &Value, each: &mut dyn FnMut(&Value) -> Result<(), Mistake>) -> Result<(), Mistake> {
    let Value::Array(items) = value else { return Err(mistyped(value, "a sequence")) };
    let mut items = items.iter().enumerate();
    items.try_for_each(|(index, item)| each(item).map_err(|mistake| mistake.within(Step::Index(index))))
}

/// Which of the variants of an enum is named.
#[inline(never)]
pub(super) fn variant(value: &Value, expected: &'static str, variants: &[&str]) -> Result<usize, Mistake> {
    let Value::String(name) = value else { return Err(mistyped(value, expected)) };
    let names: Vec<_> = variants.iter().map(|variant| snake_case(variant)).collect();
    index_of(name, &names)
}

/// Which of the names it is.
#[inline(never)]
pub(super) fn index_of<N: AsRef<str>>(name: &str, names: &[N]) -> Result<usize, Mistake> {
    names.iter().position(|known| known.as_ref() == name).ok_or_else(|| {
        let quoted: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
        let expected = match quoted.as_slice() {
            [one, other] => format!("{one} or {other}"),
            all => format!("one of {}", all.join(", ")),
        };
        Mistake::custom(format_args!("unknown variant `{name}`, expected {expected}"))
    })
}

/// `AtOnce` is `at_once`.
fn snake_case(variant: &str) -> String {
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[inline(never)]
pub(super) fn mistyped(value: &Value, expected: &'static str) -> Mistake {
    Mistake::invalid_type(unexpected(value), &expected)
}

fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Other("null"),
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Unexpected::Unsigned(number),
            (_, Some(number)) => Unexpected::Signed(number),
            (None, None) => Unexpected::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

impl Decode for bool {
    fn blank() -> Self {
        false
    }

    fn decode(&mut self, value: &Value) -> Result<(), Mistake> {
        *self = value.as_bool().ok_or_else(|| mistyped(value, "a boolean"))?;
        Ok(())
    }
}

/// Numbers without a fraction.
macro_rules! whole {
    ($($type:ident)*) => {
        $(impl Decode for $type {
            fn blank() -> Self {
                0
            }

            fn decode(&mut self, value: &Value) -> Result<(), Mistake> {
                let number = value.as_u64().and_then(|number| number.try_into().ok());
                *self = number.ok_or_else(|| not_whole(value, stringify!($type)))?;
                Ok(())
            }
        })*
    };
}
whole! { u16 u32 u64 }

#[inline(never)]
fn not_whole(value: &Value, expected: &'static str) -> Mistake {
    if value.is_i64() || value.is_u64() {
        Mistake::invalid_value(unexpected(value), &expected)
    } else {
        mistyped(value, expected)
    }
}

impl Decode for String {
    fn blank() -> Self {
        Self::new()
    }

    fn decode(&mut self, value: &Value) -> Result<(), Mistake> {
        value.as_str().ok_or_else(|| mistyped(value, "a string"))?.clone_into(self);
        Ok(())
    }
}

impl Decode for Dimension {
    fn blank() -> Self {
        Self::App
    }

    fn decode(&mut self, value: &Value) -> Result<(), Mistake> {
        let name = value.as_str().ok_or_else(|| mistyped(value, "enum Dimension"))?;
        *self = dimension(name)?;
        Ok(())
    }
}

#[inline(never)]
fn dimension(name: &str) -> Result<Dimension, Mistake> {
    let index = index_of(name, &Dimension::ALL.map(Dimension::name))?;
    Dimension::ALL.get(index).copied().ok_or_else(|| Mistake::custom("no dimension"))
}

impl<T: Decode> Decode for Option<T> {
    fn blank() -> Self {
        None
    }

    fn decode(&mut self, value: &Value) -> Result<(), Mistake> {
        *self = None;
        if value.is_null() { Ok(()) } else { self.insert(T::blank()).decode(value) }
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn blank() -> Self {
        Self::new()
    }

    fn decode(&mut self, value: &Value) -> Result<(), Mistake> {
        self.clear();
        items(value, &mut |item| {
            self.push(decode(item)?);
            Ok(())
        })
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn blank() -> Self {
        Self::new()
    }

    fn decode(&mut self, value: &Value) -> Result<(), Mistake> {
        self.clear();
        members(value, "a map", &mut |key, value| {
            self.insert(key.to_owned(), decode(value)?);
            Ok(())
        })
    }
}

impl<T: Decode> Decode for BTreeMap<Dimension, T> {
    fn blank() -> Self {
        Self::new()
    }

    fn decode(&mut self, value: &Value) -> Result<(), Mistake> {
        self.clear();
        members(value, "a map", &mut |key, value| self.entry(dimension(key)?).or_insert_with(T::blank).decode(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::raw::RawConfig;
    use serde_json::json;

    /// Names are given to serde, which writes, and to the macros, which read.
    #[test]
    fn what_is_written_out_in_full_is_read_again() {
        let written = json!({
            "limits": [{"id": "a", "match": {"attribution": {"app": "x"}}, "key": ["model", "api_key"], "limit": "1.50"}],
            "attribution": {"task_type": {"headers": ["x"], "claims": true, "policy": "hmac"}},
            "prices": [{"model": "m", "gpu": {
                "usd_per_hour": 2.5, "count": 8, "input_tokens_per_second": 1000, "output_tokens_per_second": 100,
            }}],
            "discounts": [{"percent": 5}],
            "monthly_costs": [{"item": "a", "usd": 1}],
            "fallback_price": {"input_per_million": 1, "output_per_million": "2"},
            "downgrades": [{"model": "m", "to": "n", "capabilities": ["json_schema"]}],
            "otlp": {}, "store": {"kind": "upstash"}, "operator": {}, "routes": [{"ignore": true}],
        });
        let config: RawConfig = decode(&written).expect("a configuration");
        let full = serde_json::to_value(&config).expect("JSON");
        assert_eq!(decode::<RawConfig>(&full).expect("a configuration"), config);
    }

    #[test]
    fn what_is_not_said_is_as_the_type_says_and_null_is_nothing() {
        let config: RawConfig =
            decode(&json!({"otlp": {"traces": false}, "limits": [{"burst": null}]})).expect("valid");
        let otlp = config.otlp.expect("a collector");
        assert_eq!((otlp.traces, otlp.logs, otlp.interval_ms), (false, true, 1_000));
        assert_eq!(config.limits.first().map(|limit| (limit.burst.clone(), limit.thresholds.len())), Some((None, 3)));
    }
}
