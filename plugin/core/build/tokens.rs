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

use layout::{SLOT_BYTES, class};
use regex_syntax::hir::{Class, HirKind};

/// Writes the tables of every encoding whose feature is on.
pub(crate) fn generate() {
    for file in ["build.rs", "build/tokens.rs", "src/tokens/layout.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    classes(&out);
    if std::env::var_os("CARGO_FEATURE_O200K_BASE").is_some() {
        Vocabulary::of("o200k_base", 199_998, &tiktoken_rs::o200k_base().expect("o200k_base")).write(
            &out,
            1 << 19,
            28_672,
        );
    }
    if std::env::var_os("CARGO_FEATURE_CL100K_BASE").is_some() {
        Vocabulary::of("cl100k_base", 100_256, &tiktoken_rs::cl100k_base().expect("cl100k_base")).write(
            &out,
            1 << 16,
            // Retired models and embeddings: not worth the bytes that speed costs.
            6_144,
        );
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

    /// Writes every table; the dictionary takes its words from the first `frequent` tokens, and all Chinese ones. More
    /// words are more speed on what was never seen, and more bytes: when 81,920 and 49,152 were halved, prose was counted
    /// a fifth slower and the module was 520 KB smaller.
    fn write(&self, out: &Path, span_bits: usize, frequent: usize) {
        let save = |table: &str, bytes: &[u8]| save(out, &format!("{}.{table}", self.name), bytes);
        // Every byte is a token, and the first 256 ids are the bytes.
        let bytes: Vec<u8> = (0..=255_u8).map(|byte| u8::try_from(self.ids[&[byte][..]]).expect("a byte id")).collect();
        save("bytes", &bytes);
        let (slots, pilots) = self.pair_table();
        save(
            "slots",
            &slots.iter().flat_map(|slot| slot.to_le_bytes().into_iter().take(SLOT_BYTES)).collect::<Vec<u8>>(),
        );
        save("pilots", &pilots);
        save("ascii", &le(&self.ascii_pairs()));
        let (spans, leads) = self.spans(span_bits);
        save("spans", &spans);
        save("leads", &leads.iter().flat_map(|mask| mask.to_le_bytes()).collect::<Vec<u8>>());
        // Chinese texts are cut into parts that are mostly one rare token or few, so all of theirs are words.
        let chinese = |token: &[u8]| token.chunks(3).all(|char| matches!(char, [0xE3..=0xE9, _, _]));
        let words = (0..)
            .zip(&self.tokens)
            .filter(|&(id, token)| (id < frequent || chinese(token)) && std::str::from_utf8(token).is_ok());
        let words = words.map(|(_, token)| token);
        let (short, long): (Vec<_>, Vec<_>) =
            words.filter(|token| token.len() <= layout::LONG_WORD).partition(|token| token.len() <= layout::SHORT_WORD);
        for (name, words, width) in [("short", short, 8), ("long", long, 16)] {
            let (slots, pilots) = dictionary(&words, width);
            save(&format!("{name}_words"), &slots);
            save(&format!("{name}_pilots"), &pilots);
        }
    }

    /// The one merge that makes each token of two or more bytes, under a perfect hash of its two parts.
    fn pair_table(&self) -> (Vec<u64>, Vec<u8>) {
        let merged = (0_u32..).zip(&self.tokens).filter(|(_, token)| token.len() > 1);
        let pairs: Vec<(u64, u32)> = merged
            .map(|(id, token)| {
                let (left, right) =
                    self.last_merge(token).unwrap_or_else(|| panic!("{}: {token:?} is unreachable", self.name));
                (layout::pair(left, right), id)
            })
            .collect();
        let (slots, buckets) = (pairs.len() * 100 / 97, pairs.len() / 5);
        assert!((1 << (layout::ID_BITS + 1)) / slots < 15, "a tag holds the turns and is never all ones");
        let (places, pilots) = perfect_hash(
            pairs.iter().map(|&(pair, _)| layout::bucket(pair, buckets)),
            buckets,
            |at, pilot| layout::place(pairs[at].0, pilot, slots).slot,
            slots,
        );
        let mut table = vec![layout::NO_PAIR; slots];
        for (&(pair, id), (slot, pilot)) in pairs.iter().zip(places) {
            table[slot] = (layout::place(pair, pilot, slots).tag << layout::ID_BITS) | u64::from(id);
        }
        (table, le(&pilots))
    }

    /// What two ASCII bytes merge into, at 128 times the first plus the second.
    fn ascii_pairs(&self) -> Vec<u16> {
        let pairs = (0..128_u8).flat_map(|left| (0..128_u8).map(move |right| [left, right]));
        pairs
            .map(|pair| match self.ids.get(&pair[..]) {
                Some(&id) => u16::try_from(id).unwrap_or(layout::ASCII_ELSEWHERE).min(layout::ASCII_ELSEWHERE),
                None => layout::ASCII_NONE,
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
}

/// The bytes and lengths of words under a perfect hash, in slots of `width` bytes.
fn dictionary(words: &[&Vec<u8>], width: usize) -> (Vec<u8>, Vec<u8>) {
    let (slots, buckets) = (words.len() * 100 / 97, words.len() / 5);
    let keys: Vec<Vec<u8>> = words
        .iter()
        .map(|word| {
            let mut key = word.to_vec();
            key.resize(width - 1, 0);
            key.push(word.len() as u8);
            key
        })
        .collect();
    let half = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let hashes: Vec<u64> = keys
        .iter()
        .map(|key| match key.split_at(8) {
            (low, []) => layout::short_hash(half(low)),
            (low, high) => layout::long_hash([half(low), half(high)]),
        })
        .collect();
    let (places, pilots) = perfect_hash(
        hashes.iter().map(|&hash| layout::word_bucket(hash, buckets)),
        buckets,
        |at, pilot| layout::word_slot(hashes[at], pilot, slots),
        slots,
    );
    let mut table = vec![0; slots * width];
    for (key, (slot, _)) in keys.iter().zip(places) {
        table[slot * width..(slot + 1) * width].copy_from_slice(key);
    }
    (table, le(&pilots))
}

/// Places keys in a table without collisions: each key has a bucket, and the bucket's pilot picks the slots of its
/// keys. Fullest buckets first, each takes the first pilot under which all its keys find free slots. Returns slot and
/// pilot of each key, and the pilot of each bucket.
fn perfect_hash(
    bucket_of: impl Iterator<Item = usize>,
    buckets: usize,
    slot_of: impl Fn(usize, u16) -> usize,
    slots: usize,
) -> (Vec<(usize, u16)>, Vec<u16>) {
    let mut members = vec![Vec::new(); buckets];
    for (key, bucket) in bucket_of.enumerate() {
        members[bucket].push(key);
    }
    let mut order: Vec<usize> = (0..buckets).collect();
    order.sort_by_key(|&bucket| (usize::MAX - members[bucket].len(), bucket));
    let (mut taken, mut pilots) = (vec![false; slots], vec![0; buckets]);
    let mut placed = vec![(0, 0); members.iter().map(Vec::len).sum()];
    let mut found = Vec::new();
    for bucket in order {
        let pilot = (0..=u16::MAX)
            .find(|&pilot| {
                found.clear();
                members[bucket].iter().all(|&key| {
                    let slot = slot_of(key, pilot);
                    let free = !taken[slot] && !found.contains(&slot);
                    found.push(slot);
                    free
                })
            })
            .expect("a pilot for every bucket");
        pilots[bucket] = pilot;
        for (&key, &slot) in members[bucket].iter().zip(&found) {
            taken[slot] = true;
            placed[key] = (slot, pilot);
        }
    }
    (placed, pilots)
}

fn le(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
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
