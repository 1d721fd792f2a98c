//! Splits a text into the pieces that byte pair encoding treats one by one, as the published patterns of o200k_base
//! and cl100k_base do, without a regular expression engine.
//!
//! o200k_base, with `U` = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, `L` = `[\p{Ll}\p{Lm}\p{Lo}\p{M}]` and
//! `C` = `(?i:'s|'t|'re|'ve|'m|'ll|'d)?`:
//! ```text
//! [^\r\n\p{L}\p{N}]? U* L+ C | [^\r\n\p{L}\p{N}]? U+ L* C | \p{N}{1,3} | ␠?[^\s\p{L}\p{N}]+[\r\n/]*
//! | \s*[\r\n]+ | \s+(?!\S) | \s+
//! ```
//! cl100k_base:
//! ```text
//! '(?i:[sdmt]|ll|ve|re) | [^\r\n\p{L}\p{N}]?+\p{L}++ | \p{N}{1,3}+ | ␠?[^\s\p{L}\p{N}]++[\r\n]*+
//! | \s++$ | \s*[\r\n] | \s+(?!\S) | \s
//! ```
//! Each function names the alternative it stands for and says where backtracking would have ended. The classes come
//! from the version of `regex-syntax` that the reference implementation itself is built with.
//! Invariants: pieces are not empty, are adjacent, and end where characters end; a text is read in time linear in its
//! length (no character is scanned more than three times, backtracking is arithmetic).
//! Must not know: tokens.
use super::layout::class::{BLANK, CASELESS, LOWER, MARK, NEWLINE, NUMBER, UPPER, WIDE};
use super::tables::{CLASS_OF_BYTE, class_of};

const LETTER: u8 = LOWER | UPPER | CASELESS;
/// `U` of o200k_base.
const UPPERISH: u8 = UPPER | CASELESS | MARK;
/// `L` of o200k_base.
const LOWERISH: u8 = LOWER | CASELESS | MARK;
const SPACE: u8 = BLANK | NEWLINE;
/// Any byte of class [`WIDE`].
const WIDE_BYTE: u8 = 0x80;

/// Which pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// That of o200k_base.
    O200k,
    /// That of cl100k_base.
    Cl100k,
}

/// Reads pieces off a text. The text may be the beginning of a longer one; then a piece for which [`Self::open`] is
/// set may have been another with the rest in view.
pub(super) struct Splitter<'a> {
    text: &'a [u8],
    /// Whether finding the last piece meant looking beyond the end of the text.
    pub(super) open: bool,
    /// Whether finding the last piece met characters of three bytes, such as Chinese ones.
    pub(super) wide: bool,
}

/// A character: its class, and its length in bytes, which is zero at the end of the text.
#[derive(Clone, Copy)]
struct Char {
    class: u8,
    len: usize,
}

impl Char {
    const fn is(self, classes: u8) -> bool {
        self.class & classes != 0
    }

    /// `[^\s\p{L}\p{N}]`.
    const fn is_symbol(self) -> bool {
        self.len > 0 && !self.is(SPACE | LETTER | NUMBER)
    }
}

impl<'a> Splitter<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { text, open: false, wide: false }
    }

    /// The end of the piece that starts at `at`, which is inside the text.
    #[inline(always)]
    pub(super) fn end_of_piece(&mut self, pattern: Pattern, at: usize) -> usize {
        self.open = false;
        self.wide = false;
        match (self.plain_word(pattern, at), pattern) {
            (Some(end), _) => end,
            (None, Pattern::O200k) => self.o200k(at),
            (None, Pattern::Cl100k) => self.cl100k(at),
        }
    }

    /// The most frequent shape, eight bytes at a time: an optional ASCII character that is neither letter, digit nor
    /// line end, then ASCII letters, then an ASCII character that ends the piece under every alternative. In
    /// o200k_base the letters are at most one capital and one or more small ones, and an apostrophe, which may start
    /// a contraction, is left to [`Self::word`]. In cl100k_base a leading apostrophe is left to [`Self::contraction`].
    #[inline(always)]
    fn plain_word(&self, pattern: Pattern, at: usize) -> Option<usize> {
        let first = *self.text.get(at)?;
        let prefix = class_of_byte(first) & (LETTER | NUMBER | NEWLINE | WIDE) == 0;
        if pattern == Pattern::Cl100k && first == b'\'' {
            return None;
        }
        let letters = at + usize::from(prefix);
        let mut end = letters;
        if pattern == Pattern::O200k {
            end += usize::from(class_of_byte(*self.text.get(letters)?) == UPPER);
        }
        let small = end;
        loop {
            let eight = u64::from_le_bytes(*self.text.get(end..)?.first_chunk()?);
            let run = match pattern {
                Pattern::O200k => small_letters(eight),
                Pattern::Cl100k => small_letters(eight | 0x2020_2020_2020_2020),
            };
            end += run;
            if run < 8 {
                break;
            }
        }
        let next = *self.text.get(end)?;
        let ends = next < 0x80 && (pattern == Pattern::Cl100k || next != b'\'');
        (end > small && ends).then_some(end)
    }

    #[inline]
    fn o200k(&mut self, at: usize) -> usize {
        let first = self.char_at(at);
        let second = self.text.get(at + first.len).copied().unwrap_or(WIDE_BYTE);
        if first.is(LETTER) {
            if let Some((end, _)) = self.word(at) {
                return end;
            }
        } else if class_of_byte(second) & (LETTER | WIDE) == 0 {
            // No letter and no mark follows, so that only a mark itself could start a word.
            if first.is(MARK)
                && let Some((end, _)) = self.word(at)
            {
                return end;
            }
        } else if !first.is(NUMBER | NEWLINE) {
            // The optional character is taken if the rest then matches. A mark may also be the first of `U*` or `L+`:
            // the first alternative without the optional character comes before the second alternative with it.
            match self.word(at + first.len) {
                Some((end, Alternative::First)) => return end,
                Some((end, Alternative::Second)) if !first.is(MARK) => return end,
                _ => {
                    if first.is(MARK)
                        && let Some((end, _)) = self.word(at)
                    {
                        return end;
                    }
                }
            }
        }
        self.number(at, first)
            .or_else(|| self.symbols(at, first, |byte| matches!(byte, b'\r' | b'\n' | b'/')))
            .unwrap_or_else(|| self.space(at, Pattern::O200k))
    }

    #[inline]
    fn cl100k(&mut self, at: usize) -> usize {
        let first = self.char_at(at);
        let end = self.contraction(at);
        if end > at {
            return end;
        }
        // `[^\r\n\p{L}\p{N}]?+\p{L}++`, nothing to backtrack into
        let letters = if first.is(LETTER | NUMBER | NEWLINE) { at } else { at + first.len };
        let end = self.run(letters, LETTER);
        if end > letters {
            return end;
        }
        self.number(at, first)
            .or_else(|| self.symbols(at, first, |byte| matches!(byte, b'\r' | b'\n')))
            .unwrap_or_else(|| self.space(at, Pattern::Cl100k))
    }

    /// `U* L+ C`, else `U+ L* C`.
    ///
    /// `U*` takes all it can. If `\p{Ll}` follows, `L+` takes what it can from there. Otherwise `U*` gives characters
    /// back until one is in `L` too: the last such one, and `L+` ends right after it, because whatever came behind it
    /// was not in `L`. If there is none, the second alternative takes the run, and `L*` finds nothing more.
    #[inline]
    fn word(&mut self, at: usize) -> Option<(usize, Alternative)> {
        let mut end = at;
        let mut after_caseless = None;
        loop {
            let char = self.char_at(end);
            if char.is(UPPERISH) {
                end += char.len;
                if !char.is(UPPER) {
                    after_caseless = Some(end);
                }
            } else if char.is(LOWER) {
                let end = self.run(end, LOWERISH);
                return Some((self.contraction(end), Alternative::First));
            } else if let Some(end) = after_caseless {
                return Some((self.contraction(end), Alternative::First));
            } else if end > at {
                return Some((self.contraction(end), Alternative::Second));
            } else {
                return None;
            }
        }
    }

    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)?`: the end of a contraction that starts at `at`, else `at`. Without case, `s` is
    /// also U+017F.
    #[inline]
    fn contraction(&mut self, at: usize) -> usize {
        if self.text.get(at) != Some(&b'\'') {
            return at;
        }
        let lower = |at: usize| self.text.get(at).map(|byte| byte | 0x20);
        let end = match (lower(at + 1), lower(at + 2)) {
            (Some(b's' | b't' | b'm' | b'd'), _) => at + 2,
            (Some(b'r' | b'v'), Some(b'e')) | (Some(b'l'), Some(b'l')) => at + 3,
            _ if self.text.get(at + 1..at + 3) == Some("ſ".as_bytes()) => at + 3,
            _ => at,
        };
        self.open |= at + 2 >= self.text.len();
        end
    }

    /// `\p{N}{1,3}`.
    #[inline]
    fn number(&mut self, at: usize, first: Char) -> Option<usize> {
        if !first.is(NUMBER) {
            return None;
        }
        let mut end = at + first.len;
        for _ in 0..2 {
            let next = self.char_at(end);
            if !next.is(NUMBER) {
                break;
            }
            end += next.len;
        }
        Some(end)
    }

    /// ` ?[^\s\p{L}\p{N}]+` and then any of `trailing`.
    #[inline]
    fn symbols(&mut self, at: usize, first: Char, trailing: impl Fn(u8) -> bool) -> Option<usize> {
        let start = if self.text.get(at) == Some(&b' ') { at + first.len } else { at };
        let mut end = start;
        loop {
            let char = self.char_at(end);
            if !char.is_symbol() {
                break;
            }
            end += char.len;
        }
        if end == start {
            return None;
        }
        while self.text.get(end).is_some_and(|&byte| trailing(byte)) {
            end += 1;
        }
        self.open |= end == self.text.len();
        Some(end)
    }

    /// White space that no other alternative took: up to the last line end of the run (`\s*[\r\n]+`); without one, the
    /// run at the end of the text, else the run but for its last character (`\s+(?!\S)`), which the next piece may
    /// begin with, unless it is the only one (`\s+`). cl100k_base looks for the end of the text first (`\s++$`).
    #[inline]
    fn space(&mut self, at: usize, pattern: Pattern) -> usize {
        let (mut end, mut last, mut after_newline) = (at, at, None);
        loop {
            let char = self.char_at(end);
            if !char.is(SPACE) {
                break;
            }
            last = end;
            end += char.len;
            if char.is(NEWLINE) {
                after_newline = Some(end);
            }
        }
        let at_end = end == self.text.len();
        match after_newline {
            _ if at_end && pattern == Pattern::Cl100k => end,
            Some(end) => end,
            None if at_end || last == at => end,
            None => last,
        }
    }

    /// The end of the run of characters of these classes.
    #[inline]
    fn run(&mut self, at: usize, classes: u8) -> usize {
        let mut end = at;
        loop {
            let char = self.char_at(end);
            if !char.is(classes) {
                return end;
            }
            end += char.len;
        }
    }

    /// The character at `at`, which is where one starts or the end.
    #[inline(always)]
    fn char_at(&mut self, at: usize) -> Char {
        match self.text.get(at) {
            Some(&byte) if byte < 0x80 => Char { class: class_of_byte(byte), len: 1 },
            Some(&byte) => self.wide_char_at(at, byte),
            None => self.end(),
        }
    }

    /// A character of two to four bytes. The text is valid UTF-8, but may end inside of a character.
    #[inline]
    fn wide_char_at(&mut self, at: usize, first: u8) -> Char {
        let six = |byte: u8| u32::from(byte & 0x3F);
        let rest = self.text.get(at + 1..).unwrap_or_default();
        let (code, len) = match (first, rest) {
            (..0xE0, &[second, ..]) => (u32::from(first & 0x1F) << 6 | six(second), 2),
            (0xE0..0xF0, &[second, third, ..]) => {
                self.wide = true;
                (u32::from(first & 0x0F) << 12 | six(second) << 6 | six(third), 3)
            }
            (0xF0.., &[second, third, fourth, ..]) => {
                (u32::from(first & 0x07) << 18 | six(second) << 12 | six(third) << 6 | six(fourth), 4)
            }
            _ => return self.end(),
        };
        Char { class: class_of(code), len }
    }

    #[inline]
    const fn end(&mut self) -> Char {
        self.open = true;
        Char { class: 0, len: 0 }
    }
}

/// Which alternative of o200k_base matched a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alternative {
    First,
    Second,
}

#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "the table has an entry for every byte")]
fn class_of_byte(byte: u8) -> u8 {
    CLASS_OF_BYTE[usize::from(byte)]
}

/// How many of eight bytes, from the first, are in `a..=z`.
#[inline(always)]
const fn small_letters(eight: u64) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    // Per byte, of its low seven bits: bit 7 of the sum tells whether they reach `a`, and whether they pass `z`.
    let low = eight & !HIGH;
    let from_a = low + (0x80 - b'a' as u64) * ONES;
    let past_z = low + (0x7F - b'z' as u64) * ONES;
    let other = (!from_a | past_z | eight) & HIGH;
    (other.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(pattern: Pattern, text: &str) -> Vec<&str> {
        let mut splitter = Splitter::new(text.as_bytes());
        let (mut at, mut pieces) = (0, Vec::new());
        while at < text.len() {
            let end = splitter.end_of_piece(pattern, at);
            pieces.push(text.get(at..end).expect("pieces end where characters end"));
            at = end;
        }
        pieces
    }

    #[test]
    fn o200k_base_splits_where_backtracking_ends() {
        for (text, expected) in [
            ("Hello world's 12345!\n", vec!["Hello", " world's", " ", "123", "45", "!\n"]),
            ("getUserID don'T we'Re", vec!["get", "User", "ID", " don'T", " we'Re"]),
            ("中A1", vec!["中", "A", "1"]),
            ("\u{301}ABC", vec!["\u{301}", "ABC"]),
            ("!\u{301}a", vec!["!\u{301}a"]),
            ("x'ſy", vec!["x'ſ", "y"]),
            ("  a  \n  b  ", vec![" ", " a", "  \n", " ", " b", "  "]),
            ("a//\n/b", vec!["a", "//\n/", "b"]),
        ] {
            assert_eq!(pieces(Pattern::O200k, text), expected);
        }
    }

    #[test]
    fn cl100k_base_splits_where_its_possessive_pattern_does() {
        for (text, expected) in [
            ("Hello world's 12345!\n", vec!["Hello", " world", "'s", " ", "123", "45", "!\n"]),
            ("getUserID don'T", vec!["getUserID", " don", "'T"]),
            ("'sab 'ſx", vec!["'s", "ab", " '", "ſx"]),
            ("a\u{301}b", vec!["a", "\u{301}b"]),
            ("a \n \n ", vec!["a", " \n \n "]),
        ] {
            assert_eq!(pieces(Pattern::Cl100k, text), expected);
        }
    }

    #[test]
    fn a_beginning_of_a_text_splits_like_the_text_until_a_piece_is_open() {
        let text = "I'll say: naïve  \n\n 中文字符 don't x1234 ----- \u{3000}\u{3000}'re 👍🏽!";
        for pattern in [Pattern::O200k, Pattern::Cl100k] {
            let whole = pieces(pattern, text);
            for cut in 0..text.len() {
                let mut splitter = Splitter::new(&text.as_bytes()[..cut]);
                let mut at = 0;
                for piece in &whole {
                    if at >= cut {
                        break;
                    }
                    let end = splitter.end_of_piece(pattern, at);
                    if splitter.open || end <= at {
                        break;
                    }
                    assert_eq!(end - at, piece.len(), "{pattern:?} of {cut} bytes, at {at}");
                    at = end;
                }
            }
        }
    }
}
