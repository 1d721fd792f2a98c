//! Byte pair encoding of one piece: how many tokens are left when nothing merges any more.
//!
//! The reference repeatedly joins the two adjacent parts whose joined bytes are the token of lowest id, the leftmost
//! of equals. Here a part is a token id, and joining looks up a pair of ids instead of bytes. That is exact, because
//! one pair per token is all there is:
//!
//! *Let the reference be about to join parts `a` and `b` into token `t`.* Nothing has been joined across the outer
//! ends of `a` and `b` so far, so every join inside of them depended on these bytes alone; and whenever one of them
//! was the best of the whole piece, it was the best among these bytes. So the reference, given the bytes of `t`
//! alone, makes the same joins and arrives at `a`, `b`. What it joins last for `t` alone is one fixed pair, which the
//! build script records, after checking for every token that the reference does arrive at it.
//!
//! Invariants: the count is that of the reference for every byte string; [`count`] takes O(n log n) steps.
//! Must not know: why a piece is a piece.
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::layout::ID_BITS;
use super::tables::{NO_ID, Vocabulary, merged, merged_bytes, token_of_byte};

/// The longest piece that is merged without a heap.
pub(super) const SHORT: usize = 62;

/// The number of tokens of a piece, which is not empty.
#[inline]
pub(super) fn count<V: Vocabulary>(piece: &[u8]) -> u64 {
    match piece.len() {
        0..=1 => piece.len() as u64,
        2..=6 => short::<V, 8>(piece),
        7..=14 => short::<V, 16>(piece),
        15..=30 => short::<V, 32>(piece),
        31..=SHORT => short::<V, 64>(piece),
        _ => long::<V>(piece),
    }
}

/// The id of what is not there: the neighbour of the first and the last part. Every id fits it, so that it is part of
/// no pair; with it, every part has two neighbours and no step has to ask.
const OUTSIDE: u32 = (1 << ID_BITS) - 1;

/// What no join is less than: a join is a merged id with its position below it, this has no id.
const NO_JOIN: u64 = (NO_ID as u64) << 32;

/// Up to `N - 2` bytes, `N` a power of two up to 64. The best join is the least of `N` numbers, the parts left are the
/// bits of a word, so that nothing ever moves. Joins have 64 bits because compilers leave their comparison scalar: a
/// vector of joins, one of which was just written, has to wait for the write (measured: a third slower).
#[expect(clippy::cast_possible_truncation, reason = "the halves of a join: a position below N, and an id")]
#[inline]
fn short<V: Vocabulary, const N: usize>(piece: &[u8]) -> u64 {
    const {
        assert!(N.is_power_of_two() && N <= 64);
    }
    let mut ids = [OUTSIDE; N];
    let mut joins = [NO_JOIN; N];
    for (id, byte) in ids.iter_mut().skip(1).zip(piece) {
        *id = token_of_byte::<V>(*byte);
    }
    for (at, pair) in piece.windows(2).enumerate() {
        if let [left, right] = *pair {
            note(&mut joins, at + 1, merged_bytes::<V>(left, right));
        }
    }
    // The parts at positions 1..=len, and what is outside before and behind them.
    let mut parts = u64::MAX >> (62 - piece.len().min(N - 2));
    loop {
        let best = joins.iter().fold(NO_JOIN, |best, &join| best.min(join));
        if best >= NO_JOIN {
            return u64::from(parts.count_ones()).saturating_sub(2);
        }
        let (left, joined) = ((best % N as u64) as usize, (best >> 32) as u32);
        let after_left = parts & (u64::MAX - 1) << left;
        let right = after_left.trailing_zeros() as usize;
        let after_right = after_left & after_left.wrapping_sub(1);
        let next = after_right.trailing_zeros() as usize;
        let previous = 63 - (parts & !(u64::MAX << left)).leading_zeros() as usize;
        parts ^= after_left ^ after_right;
        put(&mut ids, left, joined);
        put(&mut joins, right, NO_JOIN);
        join::<V, N>(&ids, &mut joins, left, next);
        join::<V, N>(&ids, &mut joins, previous, left);
    }
}

/// Notes what the adjacent parts at two positions join into.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "a number modulo N indexes an array of N")]
fn join<V: Vocabulary, const N: usize>(ids: &[u32; N], joins: &mut [u64; N], left: usize, right: usize) {
    note(joins, left, merged::<V>(ids[left % N], ids[right % N]));
}

/// Notes the id that the part at a position and the next one join into.
#[inline(always)]
fn note<const N: usize>(joins: &mut [u64; N], at: usize, id: u32) {
    put(joins, at, u64::from(id) << 32 | (at % N) as u64);
}

#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "a number modulo N indexes an array of N")]
const fn put<T: Copy, const N: usize>(array: &mut [T; N], at: usize, value: T) {
    array[at % N] = value;
}

/// A part of a long piece, linked to its neighbours by position. Gone parts have no join.
#[derive(Clone, Copy)]
struct Part {
    id: u32,
    /// What it and the next part join into.
    join: u32,
    previous: u32,
    next: u32,
}

/// Any length: the joins wait in a heap, and those that another join made void are skipped when they come up.
#[inline]
fn long<V: Vocabulary>(piece: &[u8]) -> u64 {
    let Ok(len) = u32::try_from(piece.len()) else { return piece.len() as u64 };
    let mut parts: Vec<Part> = (0..len)
        .zip(piece)
        .map(|(at, &byte)| Part {
            id: token_of_byte::<V>(byte),
            join: NO_ID,
            previous: at.wrapping_sub(1),
            next: at + 1,
        })
        .collect();
    let mut waiting = BinaryHeap::with_capacity(piece.len());
    for at in 0..len {
        offer::<V>(&mut parts, &mut waiting, at);
    }
    let mut count = u64::from(len);
    while let Some(Reverse((id, left))) = waiting.pop() {
        let Some(&part) = part_at(&parts, left).filter(|part| part.join == id) else { continue };
        let Some(&gone) = part_at(&parts, part.next) else { continue };
        if let Some(right) = parts.get_mut(part.next as usize) {
            right.join = NO_ID;
        }
        if let Some(after) = parts.get_mut(gone.next as usize) {
            after.previous = left;
        }
        if let Some(merged) = parts.get_mut(left as usize) {
            *merged = Part { id, next: gone.next, ..part };
        }
        count -= 1;
        offer::<V>(&mut parts, &mut waiting, left);
        offer::<V>(&mut parts, &mut waiting, part.previous);
    }
    count
}

/// Notes what the part at a position and the next one join into, if both exist.
#[inline]
fn offer<V: Vocabulary>(parts: &mut [Part], waiting: &mut BinaryHeap<Reverse<(u32, u32)>>, at: u32) {
    let Some(&Part { id, next, .. }) = part_at(parts, at) else { return };
    let join = part_at(parts, next).map_or(NO_ID, |next| merged::<V>(id, next.id));
    if let Some(part) = parts.get_mut(at as usize) {
        part.join = join;
    }
    if join != NO_ID {
        waiting.push(Reverse((join, at)));
    }
}

#[inline]
fn part_at(parts: &[Part], at: u32) -> Option<&Part> {
    parts.get(at as usize)
}
