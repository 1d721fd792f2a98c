//! Which codings a body has, as `content-encoding` lists them.
//!
//! Must not know: how they are undone.

use super::CODINGS_MAX;

/// A content coding that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950 as RFC 9110 has it, or RFC 1951 as some servers send it.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// Every one of them, best first.
    pub const ALL: [Self; 4] = [Self::Zstd, Self::Brotli, Self::Gzip, Self::Deflate];

    /// By its name in a header.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match () {
            () if is("gzip") || is("x-gzip") => Some(Self::Gzip),
            () if is("deflate") => Some(Self::Deflate),
            () if is("br") => Some(Self::Brotli),
            () if is("zstd") => Some(Self::Zstd),
            () => None,
        }
    }

    /// Its name in a header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// The codings of a body, in the order in which they were applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codings(Vec<Coding>);

/// A list of codings that cannot be undone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownCoding {
    /// One of them is none of those known.
    #[error("`{0}` is no content coding that can be undone")]
    Name(String),
    /// There are more than are undone.
    #[error("more than {CODINGS_MAX} content codings are not undone")]
    TooMany,
}

impl Codings {
    /// Reads the values of all `content-encoding` headers.
    ///
    /// # Errors
    /// When the list names an unknown coding, or too many.
    pub fn of<'a>(values: impl Iterator<Item = &'a str>) -> Result<Self, UnknownCoding> {
        /// As much of an unknown name as is repeated.
        const NAME_SHOWN: usize = 32;
        let mut codings = Vec::new();
        let names = values.flat_map(|value| value.split(',')).map(str::trim);
        for name in names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity")) {
            let unknown = || UnknownCoding::Name(name.chars().take(NAME_SHOWN).collect());
            codings.push(Coding::named(name).ok_or_else(unknown)?);
            if codings.len() > CODINGS_MAX {
                return Err(UnknownCoding::TooMany);
            }
        }
        Ok(Self(codings))
    }

    /// Whether the body is what it seems.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.0.is_empty()
    }

    /// The coding that was applied last comes first.
    pub(super) fn outermost_first(&self) -> impl Iterator<Item = Coding> {
        self.0.iter().rev().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Vec<Coding>, UnknownCoding> {
        Codings::of(values.iter().copied()).map(|codings| codings.0)
    }

    #[test]
    fn a_list_may_be_spread_over_headers_and_names_are_compared_without_case() {
        assert_eq!(read(&[]), Ok(vec![]));
        assert_eq!(read(&["", "identity", " , Identity"]), Ok(vec![]));
        assert_eq!(read(&["X-GZip"]), Ok(vec![Coding::Gzip]));
        assert_eq!(read(&["deflate, br", "ZSTD"]), Ok(vec![Coding::Deflate, Coding::Brotli, Coding::Zstd]));
    }

    #[test]
    fn what_cannot_be_undone_is_named() {
        assert_eq!(read(&["gzip, compress"]), Err(UnknownCoding::Name("compress".to_owned())));
        assert_eq!(read(&["gzip, gzip", "gzip, gzip"]), Err(UnknownCoding::TooMany));
    }
}
