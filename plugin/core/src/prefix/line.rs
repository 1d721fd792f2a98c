//! A line: what is remembered of one prompt, so that a later one can be told to begin like it, and how far.
//!
//! A prompt's elements are remembered by four bytes each; of a long prompt, by four bytes for as many in a row as make
//! it fit. So the first element that differs is known exactly in a prompt of up to [`POINTS_MAX`] elements, and by the
//! row it lies in beyond.
//! Invariants: bounded size.
//! Must not know: what providers cache.

use super::codec::Coded;

/// The most points that a line has.
const POINTS_MAX: usize = 128;

/// The elements of one prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Elements.
    length: u32,
    points: Vec<u32>,
}

impl Coded for Line {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.length.write(bytes);
        self.points.write(bytes);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self { length: Coded::read(bytes)?, points: Coded::read(bytes)? })
    }
}

impl Line {
    /// The line of these elements.
    pub(super) fn of(hashes: &[u32]) -> Self {
        let points = hashes.chunks(row(hashes.len())).map(point).collect();
        Self { length: u32::try_from(hashes.len()).unwrap_or(u32::MAX), points }
    }

    /// How many elements it has.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// How many elements these begin with that are the line's.
    pub(super) fn common(&self, hashes: &[u32]) -> usize {
        let (length, row) = (self.len(), row(self.len()));
        let mut common: usize = 0;
        for known in &self.points {
            let end = common.saturating_add(row).min(length);
            let is_same = hashes.get(common..end).is_some_and(|row| point(row) == *known);
            if !is_same {
                break;
            }
            common = end;
        }
        common
    }
}

/// How many elements share a point.
fn row(length: usize) -> usize {
    length.div_ceil(POINTS_MAX).max(1)
}

/// One element's own hash, or what several come to. The hashes are keyed; nobody can choose them.
fn point(row: &[u32]) -> u32 {
    match row {
        [only] => *only,
        row => row.iter().fold(0, |point, hash| (point.rotate_left(5) ^ hash).wrapping_mul(0x9E37_79B1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_element_that_differs_is_found() {
        let line = Line::of(&[1, 2, 3]);
        for (hashes, common) in [(&[1, 2, 3, 4][..], 3), (&[1, 2, 3], 3), (&[1, 2], 2), (&[1, 9, 3], 1), (&[], 0)] {
            assert_eq!(line.common(hashes), common, "{hashes:?}");
        }
        assert_eq!(Line::of(&[]).common(&[1]), 0);
    }

    proptest! {
        #[test]
        fn of_a_long_prompt_the_row_is_found(length in 1_u32..2_000, edit in 0_u32..2_000) {
            let hashes: Vec<u32> = (1..=length).collect();
            let hashes_end = hashes.len().saturating_sub(1);
            let line = Line::of(&hashes);
            prop_assert!(line.points.len() <= POINTS_MAX);
            prop_assert_eq!(line.common(&hashes), hashes.len());
            let mut edited = hashes;
            let edit = usize::try_from(edit).unwrap().min(hashes_end);
            edited[edit] = 0;
            let common = line.common(&edited);
            prop_assert!(common <= edit && edit < common.saturating_add(row(edited.len())), "{} of {}", common, edit);
        }
    }
}
