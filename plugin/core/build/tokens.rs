//! Writes the tables of `src/tokens/` into `OUT_DIR` from the vocabularies that `tiktoken-rs` carries.
//!
//! Deterministic: no hash map is ever iterated, every choice goes by token id. Checked: the build fails unless byte
//! pair encoding turns the bytes of every token into exactly that token, which is what makes one merge rule per
//! token sufficient (see `src/tokens/merge.rs`).
//! Must not know: how texts are counted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a build script reports what is wrong by stopping the build"
)]

#[path = "../src/tokens/layout.rs"]
#[allow(dead_code, reason = "the reader's half")]
mod layout;

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::{Path, PathBuf};

use layout::class;
use regex_syntax::hir::{Class, HirKind};

/// Writes the tables of every encoding whose feature is on.
pub(crate) fn generate() {
    for file in ["build.rs", "build/tokens.rs", "src/tokens/layout.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    classes(&out);
    if std::env::var_os("CARGO_FEATURE_O200K_BASE").is_some() {
        Vocabulary::of("o200k_base", 199_998, &tiktoken_rs::o200k_base().expect("o200k_base")).write(&out, 1 << 18);
    }
    if std::env::var_os("CARGO_FEATURE_CL100K_BASE").is_some() {
        Vocabulary::of("cl100k_base", 100_256, &tiktoken_rs::cl100k_base().expect("cl100k_base")).write(&out, 1 << 16);
    }
}

/// The class of every character, in two stages: `classes1` gives the block of 128 characters, `classes2` the blocks.
fn classes(out: &Path) {
    let mut of = vec![0_u8; 0x11_0000];
    for (pattern, bits) in [
        (r"\p{Ll}", class::LOWER),
        (r"[\p{Lu}\p{Lt}]", class::UPPER),
        (r"[\p{Lm}\p{Lo}]", class::CASELESS),
        (r"\p{M}", class::MARK),
        (r"\p{N}", class::NUMBER),
        (r"[\r\n]", class::NEWLINE),
        (r"[\s--[\r\n]]", class::BLANK),
    ] {
        let hir = regex_syntax::parse(pattern).expect(pattern);
        let HirKind::Class(Class::Unicode(ranges)) = hir.kind() else { panic!("{pattern} is no class") };
        for range in ranges.iter() {
            for class in &mut of[range.start() as usize..=range.end() as usize] {
                assert_eq!(*class, 0, "the classes are disjoint");
                *class = bits;
            }
        }
    }
    let (mut stage1, mut stage2) = (Vec::new(), Vec::<u8>::new());
    for block in of.chunks(layout::CLASS_BLOCK) {
        let known = stage2.chunks(layout::CLASS_BLOCK).position(|seen| seen == block);
        let index = known.unwrap_or_else(|| {
            stage2.extend_from_slice(block);
            stage2.len() / layout::CLASS_BLOCK - 1
        });
        stage1.push(u8::try_from(index).expect("at most 256 different blocks"));
    }
    save(out, "classes1", &stage1);
    save(out, "classes2", &stage2);
}

/// A vocabulary: the bytes of every token, and the token of every byte string.
struct Vocabulary {
    name: &'static str,
    tokens: Vec<Vec<u8>>,
    ids: HashMap<Vec<u8>, u32, BuildHasherDefault<Fnv>>,
}

impl Vocabulary {
    fn of(name: &'static str, size: u32, bpe: &tiktoken_rs::CoreBPE) -> Self {
        let tokens: Vec<_> = (0..size).map(|id| bpe.decode_bytes(&[id]).expect("ids are contiguous")).collect();
        let ids: HashMap<_, _, _> = (0..size).map(|id| (tokens[id as usize].clone(), id)).collect();
        assert_eq!(ids.len(), tokens.len(), "{name}: no two tokens have the same bytes");
        Self { name, tokens, ids }
    }

    fn write(&self, out: &Path, span_bits: usize) {
        let save = |table: &str, bytes: &[u8]| save(out, &format!("{}.{table}", self.name), bytes);
        // Every byte is a token, and the first 256 ids are the bytes.
        let bytes: Vec<u8> = (0..=255_u8).map(|byte| u8::try_from(self.ids[&[byte][..]]).expect("a byte id")).collect();
        save("bytes", &bytes);
        let (slots, pilots) = perfect_hash(&self.pairs());
        save("slots", &slots.iter().flat_map(|slot| slot.to_le_bytes()).collect::<Vec<u8>>());
        save("pilots", &pilots.iter().flat_map(|pilot| pilot.to_le_bytes()).collect::<Vec<u8>>());
        let (spans, leads) = self.spans(span_bits);
        save("spans", &spans);
        save("leads", &leads.iter().flat_map(|mask| mask.to_le_bytes()).collect::<Vec<u8>>());
        save("words", &self.words());
    }

    /// The one merge that makes each token of two or more bytes: `(key of the pair, merged id)`.
    fn pairs(&self) -> Vec<(u64, u32)> {
        let merged = (0..).zip(&self.tokens).filter(|(_, token)| token.len() > 1);
        merged
            .map(|(id, token)| {
                let (left, right) =
                    self.last_merge(token).unwrap_or_else(|| panic!("{}: {token:?} is unreachable", self.name));
                (layout::pair_key(left, right), id)
            })
            .collect()
    }

    /// Byte pair encoding of a token's bytes as tiktoken does it, looking up bytes; the last two parts it joins.
    fn last_merge(&self, token: &[u8]) -> Option<(u32, u32)> {
        let mut ends: Vec<usize> = (0..=token.len()).collect();
        // The id that joining the parts `at` and `at + 1` makes.
        let joined = |ends: &[usize], at: usize| {
            ends.get(at + 2).and_then(|&end| self.ids.get(&token[ends[at]..end]).copied()).unwrap_or(u32::MAX)
        };
        let mut ranks: Vec<u32> = (0..token.len()).map(|at| joined(&ends, at)).collect();
        while ends.len() > 3 {
            let (rank, at) = ranks.iter().copied().zip(0..).min()?;
            if rank == u32::MAX {
                return None;
            }
            ends.remove(at + 1);
            ranks.remove(at + 1);
            ranks[at] = joined(&ends, at);
            if at > 0 {
                ranks[at - 1] = joined(&ends, at - 1);
            }
        }
        let part = |from: usize, to: usize| self.ids.get(&token[ends[from]..ends[to]]).copied();
        Some((part(0, 1)?, part(1, 2)?))
    }

    /// The boundaries between two characters of three bytes that a token may span: a hashed set of (last two bytes of
    /// the left character, right character), and per first byte of the right character (0xE0..=0xEF) the last bytes
    /// of left characters, for tokens that know no more than that.
    fn spans(&self, bits: usize) -> (Vec<u8>, [u64; 16]) {
        let (mut set, mut leads) = (vec![0_u8; bits / 8], [0_u64; 16]);
        for token in &self.tokens {
            for at in 1..token.len() {
                let (left, right) = (&token[..at], &token[at..]);
                if !matches!(right[0], 0xE0..=0xEF) || left[at - 1] & 0xC0 != 0x80 {
                    continue; // the right part does not start such a character, or the left one does not end one
                }
                let rights: Vec<[u8; 3]> = match *right {
                    [first] => {
                        leads[usize::from(first & 15)] |= 1 << (left[at - 1] & 63);
                        continue;
                    }
                    [first, second] => (0x80..0xC0).map(|third| [first, second, third]).collect(),
                    [first, second, third, ..] => vec![[first, second, third]],
                    [] => continue,
                };
                let lefts: Vec<[u8; 2]> = match *left {
                    [.., second, third] => vec![[second, third]],
                    [third] => (0x80..0xC0).map(|second| [second, third]).collect(),
                    [] => continue,
                };
                for &left in &lefts {
                    for &right in &rights {
                        let bit = layout::span_bit(left, right, bits);
                        set[bit / 8] |= 1 << (bit % 8);
                    }
                }
            }
        }
        (set, leads)
    }

    /// What the word cache starts with: short tokens, the most frequent (lowest id) first, one per slot, each as its
    /// length and its bytes.
    fn words(&self) -> Vec<u8> {
        let mut taken = vec![false; layout::WORD_SLOTS];
        let mut words = Vec::new();
        for token in self.tokens.iter().take(layout::WORD_SLOTS) {
            if token.len() > layout::WORD_BYTES || std::str::from_utf8(token).is_err() {
                continue;
            }
            let mut key = [0_u8; 16];
            key[..token.len()].copy_from_slice(token);
            key[15] = token.len() as u8;
            let (low, high) = key.split_at(8);
            let key = [low, high].map(|half| u64::from_le_bytes(half.try_into().expect("eight bytes")));
            let slot = &mut taken[layout::word_slot(key)];
            if !std::mem::replace(slot, true) {
                words.push(token.len() as u8);
                words.extend_from_slice(token);
            }
        }
        words
    }
}

/// Places every key in a table without collisions: a hash picks a bucket, the bucket's pilot picks the slots of its
/// keys. Fullest buckets first, each takes the first pilot under which all its keys find free slots.
fn perfect_hash(pairs: &[(u64, u32)]) -> (Vec<u64>, Vec<u16>) {
    let (slots, buckets) = (pairs.len() * 100 / 97, pairs.len() / 5);
    let mut by_bucket = vec![Vec::new(); buckets];
    for &(key, id) in pairs {
        by_bucket[layout::pair_bucket(layout::pair_hash(key), buckets)].push((key, id));
    }
    let mut order: Vec<usize> = (0..buckets).collect();
    order.sort_by_key(|&bucket| (usize::MAX - by_bucket[bucket].len(), bucket));
    let (mut table, mut pilots) = (vec![layout::NO_PAIR; slots], vec![0_u16; buckets]);
    for bucket in order {
        let keys = &by_bucket[bucket];
        let mut places = Vec::with_capacity(keys.len());
        pilots[bucket] = (0..=u16::MAX)
            .find(|&pilot| {
                places.clear();
                keys.iter().all(|&(key, _)| {
                    let place = layout::pair_slot(layout::pair_hash(key), pilot, slots);
                    let free = table[place] == layout::NO_PAIR && !places.contains(&place);
                    places.push(place);
                    free
                })
            })
            .expect("a pilot for every bucket");
        for (place, &(key, id)) in places.into_iter().zip(keys) {
            table[place] = (key << layout::ID_BITS) | u64::from(id);
        }
    }
    (table, pilots)
}

fn save(out: &Path, table: &str, bytes: &[u8]) {
    fs::write(out.join(format!("tokens.{table}.bin")), bytes).expect("OUT_DIR is writable");
}

/// FNV-1a: short byte strings, no adversary.
#[derive(Default)]
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
