//! Which bytes of a JSON string do not mean themselves, sixteen bytes at a time and sixty-four.
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
        Some(block) => lanes::marks::<true>(block),
        None => of_last(rest),
    }
}

#[inline(never)]
fn of_last(rest: &[u8]) -> u32 {
    let mut block = [0; BLOCK];
    block.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    lanes::marks::<true>(&block)
}

/// Bytes from `at` on that lie before the four blocks with the next such byte, or before the last that are no four: where few
/// bytes are marked, four are looked at as fast as one.
#[inline(always)]
pub(super) fn clear(text: &[u8], at: usize) -> usize {
    let (groups, _) = text.get(at..).unwrap_or_default().as_chunks::<BLOCK>().0.as_chunks();
    groups.iter().take_while(|group| !lanes::any_marked(group)).count().saturating_mul(4 * BLOCK)
}

/// How many bytes, from the first, are neither a quote, a backslash nor a control character.
pub(crate) fn unmarked(text: &[u8]) -> usize {
    let mut at = 0_usize;
    loop {
        let marks = marks(text, at);
        if marks != 0 {
            return at.saturating_add(marks.trailing_zeros() as usize).min(text.len());
        }
        at = at.saturating_add(BLOCK);
        at = at.saturating_add(clear(text, at));
    }
}

/// How many bytes, from the first, are neither a quote nor a backslash.
#[inline(always)]
pub(super) fn unescaped(text: &[u8]) -> usize {
    let (blocks, rest) = text.as_chunks();
    let mut passed = 0_usize;
    for block in blocks {
        let stops = lanes::marks::<false>(block);
        if stops != 0 {
            return passed.saturating_add(stops.trailing_zeros() as usize);
        }
        passed = passed.saturating_add(BLOCK);
    }
    passed.saturating_add(rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\')).count())
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod lanes {
    use super::BLOCK;

    /// A bit for each byte of a block that is marked, the first byte's the lowest.
    pub(super) fn marks<const CONTROLS: bool>(block: &[u8; BLOCK]) -> u32 {
        let is_marked = |byte| matches!(byte, b'"' | b'\\') || (CONTROLS && byte < 0x20);
        block.iter().zip(0..).fold(0, |marks, (byte, at)| marks | u32::from(is_marked(*byte)) << at)
    }

    pub(super) fn any_marked(blocks: &[[u8; BLOCK]; 4]) -> bool {
        blocks.iter().any(|block| marks::<true>(block) != 0)
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod lanes {
    use super::BLOCK;
    use core::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_lt, u8x16_splat, v128, v128_any_true, v128_or};

    /// A bit for each byte of a block that is marked, the first byte's the lowest.
    #[inline(always)]
    pub(super) fn marks<const CONTROLS: bool>(block: &[u8; BLOCK]) -> u32 {
        u8x16_bitmask(of::<CONTROLS>(block)).into()
    }

    #[inline(always)]
    pub(super) fn any_marked([a, b, c, d]: &[[u8; BLOCK]; 4]) -> bool {
        v128_any_true(v128_or(v128_or(of::<true>(a), of::<true>(b)), v128_or(of::<true>(c), of::<true>(d))))
    }

    /// Every bit of the lanes whose byte is marked.
    #[inline(always)]
    fn of<const CONTROLS: bool>(block: &[u8; BLOCK]) -> v128 {
        let bytes: v128 = bytemuck::must_cast(*block);
        let is = |byte| u8x16_eq(bytes, u8x16_splat(byte));
        let stops = v128_or(is(b'"'), is(b'\\'));
        if CONTROLS { v128_or(stops, u8x16_lt(bytes, u8x16_splat(0x20))) } else { stops }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_up_to_the_first_byte_that_does_not_mean_itself_wherever_it_stands() {
        for length in 0..150 {
            for plain in [b'a', 0xE4, b' '] {
                let mut text = vec![plain; length];
                assert_eq!((unmarked(&text), unescaped(&text)), (length, length));
                for at in 0..length {
                    for (byte, is_control) in [(b'"', false), (b'\\', false), (b'\n', true)] {
                        text[at] = byte;
                        assert_eq!(unmarked(&text), at, "of {length}");
                        assert_eq!(unescaped(&text), if is_control { length } else { at }, "of {length}");
                        text[at] = plain;
                    }
                }
            }
        }
    }

    #[test]
    fn every_byte_that_does_not_mean_itself_is_marked_and_no_other() {
        for byte in 0..=u8::MAX {
            let is_marked = byte < 0x20 || byte == b'"' || byte == b'\\';
            for length in [1, 17, 90] {
                assert_eq!(unmarked(&vec![byte; length]), if is_marked { 0 } else { length }, "{byte:#x}");
            }
        }
    }
}
