//! Asking for what can be read: `accept-encoding`, narrowed to the codings that can be undone.
//!
//! The rules are those of RFC 9110, section 12.5.3. What is left asks for nothing that the client does not accept.
//! Must not know: when it is narrowed.

use super::Coding;

/// The header without the codings that cannot be undone; `None` where it has none, or where the client accepts nothing
/// else.
#[must_use]
pub fn narrowed<'a>(values: impl Iterator<Item = &'a str>) -> Option<String> {
    let elements = values.flat_map(|value| value.split(',')).map(Element::read);
    let asked: Vec<Element<'_>> = elements.filter(|element| !element.name.is_empty()).collect();
    let kept: Vec<Element<'_>> = asked.iter().flat_map(|element| element.kept(&asked)).collect();
    let is_plain_accepted = {
        let weight = |name: &str| asked.iter().find(|element| element.is(name)).map(Element::is_refused);
        !weight("identity").or_else(|| weight("*")).unwrap_or(false)
    };
    match kept.iter().any(|element| !element.is_refused()) {
        _ if kept == asked => None,
        true => Some(kept.iter().map(Element::written).collect::<Vec<_>>().join(", ")),
        false => is_plain_accepted.then(|| IDENTITY.to_owned()),
    }
}

const IDENTITY: &str = "identity";

/// An element of the header: a coding and how much it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Element<'a> {
    name: &'a str,
    /// What follows the name, as it is written: `;q=0.5`.
    weight: &'a str,
}

impl<'a> Element<'a> {
    fn read(element: &'a str) -> Self {
        let (name, weight) = element.trim().split_at(element.trim().find(';').unwrap_or(element.trim().len()));
        Self { name: name.trim(), weight }
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// A weight of zero says that the coding is not acceptable.
    fn is_refused(&self) -> bool {
        let weight = self.weight.split_once('=').map(|(_, weight)| weight.trim());
        weight.is_some_and(|weight| weight.starts_with('0') && weight.bytes().all(|byte| matches!(byte, b'0' | b'.')))
    }

    /// What of this element can be asked for.
    fn kept(&self, asked: &[Self]) -> Vec<Self> {
        let is_named = |coding: Coding| asked.iter().any(|element| Coding::named(element.name) == Some(coding));
        match Coding::named(self.name) {
            Some(_) => vec![*self],
            None if self.is(IDENTITY) || (self.is("*") && self.is_refused()) => vec![*self],
            // It stands for every coding that is not named.
            None if self.is("*") => {
                let unnamed = Coding::ALL.into_iter().filter(|coding| !is_named(*coding));
                unnamed.map(|coding| Self { name: coding.name(), ..*self }).collect()
            }
            None => Vec::new(),
        }
    }

    fn written(&self) -> String {
        format!("{}{}", self.name, self.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: Option<&str>) {
        assert_eq!(narrowed([header].into_iter()).as_deref(), expected, "{header}");
    }

    #[test]
    fn codings_that_can_be_undone_stay_with_their_weights() {
        check("gzip, deflate, br, zstd", None);
        check("gzip;q=1.0, identity; q=0.5, *;q=0", None);
        check("GZip, X-GZIP", None);
        check("identity", None);
        check("", None);
    }

    #[test]
    fn others_are_dropped() {
        check("gzip, compress, br;q=0.8, dcz", Some("gzip, br;q=0.8"));
        check("br;q=0.5,exi;q=1, identity;q=0", Some("br;q=0.5, identity;q=0"));
        assert_eq!(narrowed(["gzip", "compress"].into_iter()).as_deref(), Some("gzip"), "over two headers");
    }

    #[test]
    fn an_asterisk_stands_for_those_that_are_not_named() {
        check("*", Some("zstd, br, gzip, deflate"));
        check("gzip, *;q=0.1", Some("gzip, zstd;q=0.1, br;q=0.1, deflate;q=0.1"));
        check("br;q=0, *", Some("br;q=0, zstd, gzip, deflate"));
    }

    #[test]
    fn where_none_is_left_a_plain_answer_is_asked_for_unless_the_client_takes_none() {
        check("compress", Some("identity"));
        check("compress, gzip;q=0", Some("identity"));
        check("compress, identity;q=0", None);
        check("compress, *;q=0.0", None);
        check("compress, identity, *;q=0", Some("identity, *;q=0"));
    }
}
