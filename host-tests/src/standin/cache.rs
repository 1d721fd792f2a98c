//! The providers' prompt caches: which part of a prompt was seen before.
//!
//! - OpenAI: automatic. From 1,024 tokens on, the longest known prefix counts, in steps of 128 tokens.
//! - Anthropic: explicit. A request marks breakpoints; a prefix is written at each (once it reaches the model's minimum length)
//!   and found again at a breakpoint or up to 20 blocks before it. Entries live five minutes or an hour; a hit renews them.
//!
//! Invariants: the parts of a [`Split`] sum to the prompt; time is an argument. Must not know: wire formats.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

const AUTOMATIC_MINIMUM: usize = 1024;
const AUTOMATIC_STEP: usize = 128;
const LOOK_BACK: usize = 20;

/// How long an explicit entry lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Five minutes.
    Minutes5,
    /// One hour.
    Hour1,
}

impl Lifetime {
    const fn duration(self) -> Duration {
        match self {
            Self::Minutes5 => Duration::from_secs(300),
            Self::Hour1 => Duration::from_secs(3600),
        }
    }
}

/// One block of a prompt.
#[derive(Clone, Debug, Default)]
pub struct Segment {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Set when the request asks to cache everything up to here.
    pub breakpoint: Option<Lifetime>,
}

/// The tokens of a prompt by what the cache did with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Neither read nor written.
    pub uncached: u64,
    /// Read.
    pub read: u64,
    /// Written for five minutes.
    pub write_5m: u64,
    /// Written for an hour.
    pub write_1h: u64,
}

/// Known prefixes, by hash of scope and tokens.
#[derive(Debug, Default)]
pub struct PrefixCache {
    entries: HashMap<u64, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    expires: Instant,
    lifetime: Duration,
}

impl PrefixCache {
    /// OpenAI's cache: looks up and remembers without being asked.
    pub fn automatic(&mut self, scope: &str, prompt: &[Segment], now: Instant) -> Split {
        let tokens: Vec<u32> = prompt.iter().flat_map(|segment| segment.tokens.iter().copied()).collect();
        let mut hash = start(scope);
        let (mut read, mut live) = (0, true);
        for (index, token) in tokens.iter().enumerate() {
            token.hash(&mut hash);
            let length = index + 1;
            if length < AUTOMATIC_MINIMUM || !(length - AUTOMATIC_MINIMUM).is_multiple_of(AUTOMATIC_STEP) {
                continue;
            }
            // The last token is always computed, so a prompt is never read whole.
            live = live && length < tokens.len() && self.renew(hash.finish(), now);
            if live {
                read = length;
            }
            self.write(hash.finish(), Lifetime::Minutes5.duration(), now);
        }
        Split { uncached: (tokens.len() - read) as u64, read: read as u64, ..Split::default() }
    }

    /// Anthropic's cache: only what the request marks, from `minimum` tokens on.
    pub fn explicit(&mut self, scope: &str, prompt: &[Segment], minimum: u64, now: Instant) -> Split {
        let mut hash = start(scope);
        let mut total = 0;
        // After each block: the prefix's hash, its length, and whether it is a breakpoint.
        let mut prefixes = Vec::new();
        for segment in prompt {
            segment.tokens.hash(&mut hash);
            total += segment.tokens.len() as u64;
            prefixes.push((hash.finish(), total, segment.breakpoint));
        }
        let mut read = 0;
        for (index, (_, _, breakpoint)) in prefixes.iter().enumerate().rev() {
            if breakpoint.is_none() {
                continue;
            }
            let reach = prefixes.get(index.saturating_sub(LOOK_BACK)..=index).unwrap_or_default();
            if let Some((_, length, _)) = reach.iter().rev().find(|(hash, _, _)| self.renew(*hash, now)) {
                read = *length;
                break;
            }
        }
        let mut split = Split { read, ..Split::default() };
        let mut done = read;
        for (hash, length, breakpoint) in prefixes {
            let Some(lifetime) = breakpoint else { continue };
            if length < minimum || length <= done {
                continue;
            }
            match lifetime {
                Lifetime::Minutes5 => split.write_5m += length - done,
                Lifetime::Hour1 => split.write_1h += length - done,
            }
            self.write(hash, lifetime.duration(), now);
            done = length;
        }
        split.uncached = total - done;
        split
    }

    fn renew(&mut self, hash: u64, now: Instant) -> bool {
        match self.entries.get_mut(&hash) {
            Some(entry) if entry.expires > now => {
                entry.expires = now + entry.lifetime;
                true
            }
            _ => false,
        }
    }

    fn write(&mut self, hash: u64, lifetime: Duration, now: Instant) {
        self.entries.insert(hash, Entry { expires: now + lifetime, lifetime });
    }
}

fn start(scope: &str) -> DefaultHasher {
    let mut hash = DefaultHasher::new();
    scope.hash(&mut hash);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(start: u32, length: u32, breakpoint: Option<Lifetime>) -> Segment {
        Segment { tokens: (start..start + length).collect(), breakpoint }
    }

    #[test]
    fn the_automatic_cache_reads_the_longest_known_prefix_in_steps_of_128_from_1024_on() {
        let mut cache = PrefixCache::default();
        let now = Instant::now();
        let prompt = [block(0, 1500, None)];
        let miss = Split { uncached: 1500, ..Split::default() };
        assert_eq!(cache.automatic("a", &prompt, now), miss);
        assert_eq!(cache.automatic("a", &prompt, now), Split { uncached: 92, read: 1408, ..Split::default() });
        assert_eq!(cache.automatic("another account", &prompt, now), miss);
        let longer = [block(0, 1200, None), block(9000, 100, None)];
        assert_eq!(cache.automatic("a", &longer, now), Split { uncached: 148, read: 1152, ..Split::default() });
        assert_eq!(cache.automatic("a", &prompt, now + Duration::from_secs(301)), miss);
        assert_eq!(cache.automatic("a", &[block(0, 1000, None)], now).read, 0);
    }

    #[test]
    fn the_explicit_cache_writes_at_breakpoints_and_reads_back_while_entries_live() {
        let mut cache = PrefixCache::default();
        let now = Instant::now();
        let (hour, minutes) = (Some(Lifetime::Hour1), Some(Lifetime::Minutes5));
        let first = [block(0, 1100, hour), block(2000, 300, minutes), block(3000, 50, None)];
        let written = Split { uncached: 50, read: 0, write_5m: 300, write_1h: 1100 };
        assert_eq!(cache.explicit("a", &first, 1024, now), written);
        let second = [block(0, 1100, hour), block(2000, 300, None), block(3000, 50, None), block(4000, 10, minutes)];
        assert_eq!(
            cache.explicit("a", &second, 1024, now),
            Split { uncached: 0, read: 1400, write_5m: 60, write_1h: 0 },
            "the entry at the earlier breakpoint is found by looking back"
        );
        let later = now + Duration::from_secs(301);
        assert_eq!(
            cache.explicit("a", &first, 1024, later),
            Split { uncached: 50, read: 1100, write_5m: 300, write_1h: 0 },
            "the hour outlives the five minutes"
        );
        assert_eq!(cache.explicit("a", &[block(7, 1000, minutes)], 1024, now).write_5m, 0, "below the minimum");
    }
}
