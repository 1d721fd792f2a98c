//! Which bytes of a JSON string do not mean themselves, sixteen bytes at a time.
//!
//! Most of a prompt lies within strings, so this is what reading a long request comes down to. Compilers make no vector
//! code of it, so in WebAssembly it is spelled out.
//! Invariants: the same answer on every target.
//! Must not know: what a string stands for.

/// Bytes looked at together.
pub(super) const BLOCK: usize = 16;

/// The bytes of the block at `at` that are a quote, a backslash or a control character, a bit each, the first byte's the
/// lowest. What is behind the text is taken for control characters.
#[inline(always)]
pub(super) fn marks(text: &[u8], at: usize) -> u32 {
    let rest = text.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(block) => of_block::<true>(block),
        None => of_last(rest),
    }
}

/// How many bytes, from the first, are neither a quote nor a backslash.
#[inline(always)]
pub(super) fn unescaped(text: &[u8]) -> usize {
    let (blocks, rest) = text.as_chunks();
    let mut passed = 0_usize;
    for block in blocks {
        let stops = of_block::<false>(block);
        if stops != 0 {
            return passed.saturating_add(stops.trailing_zeros() as usize);
        }
        passed = passed.saturating_add(BLOCK);
    }
    passed.saturating_add(rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\')).count())
}

#[inline(never)]
fn of_last(rest: &[u8]) -> u32 {
    let mut block = [0; BLOCK];
    block.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    of_block::<true>(&block)
}

/// A bit for each quote and backslash of a block, and for each control character if `CONTROLS`.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
fn of_block<const CONTROLS: bool>(block: &[u8; BLOCK]) -> u32 {
    let is_marked = |byte| matches!(byte, b'"' | b'\\') || (CONTROLS && byte < 0x20);
    block.iter().zip(0..).fold(0, |marks, (byte, at)| marks | u32::from(is_marked(*byte)) << at)
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[inline(always)]
fn of_block<const CONTROLS: bool>(block: &[u8; BLOCK]) -> u32 {
    use core::arch::wasm32::{u8x16, u8x16_bitmask, u8x16_eq, u8x16_lt, u8x16_splat, v128_or};
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *block;
    let bytes = u8x16(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p);
    let is = |byte| u8x16_eq(bytes, u8x16_splat(byte));
    let stops = v128_or(is(b'"'), is(b'\\'));
    let marks = if CONTROLS { v128_or(stops, u8x16_lt(bytes, u8x16_splat(0x20))) } else { stops };
    u8x16_bitmask(marks).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_that_does_not_mean_itself_is_marked_and_no_other() {
        for byte in 0..=u8::MAX {
            let is_marked = byte < 0x20 || byte == b'"' || byte == b'\\';
            for at in 0..20 {
                let mut text = [0xE4; 20];
                text[at] = byte;
                let expected = if at < BLOCK && is_marked { 1 << at } else { 0 };
                assert_eq!(marks(&text, 0), expected, "{byte:#x} at {at}");
            }
        }
        assert_eq!(marks(b"ab\"c", 1), 0xFFFA);
        assert_eq!(marks(b"ab", 3), 0xFFFF);
    }

    #[test]
    fn text_goes_up_to_the_first_quote_or_backslash_wherever_it_stands() {
        for length in 0..50 {
            assert_eq!(unescaped(&vec![b'\n'; length]), length);
            for (at, stop) in (0..length).flat_map(|at| [(at, b'"'), (at, b'\\')]) {
                let mut text = vec![0xE4; length];
                text[at] = stop;
                assert_eq!(unescaped(&text), at, "of {length}");
            }
        }
    }
}
