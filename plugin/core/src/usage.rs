//! What a call consumed: disjoint token buckets, and the parts a call consists of.
//!
//! Providers disagree on what "input" includes; every dialect converts to these buckets, which never overlap.
//! The inclusive OTel totals exist only as [`Usage::input_total`] and [`Usage::output_total`].
//! Invariants: buckets are disjoint; a total is the sum of its buckets; arithmetic saturates.
//! Must not know: wire field names, prices.
#![deny(clippy::arithmetic_side_effects)]

/// Whether a bucket is read by the model or written by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Part of `input_tokens`.
    Input,
    /// Part of `output_tokens`.
    Output,
}

/// One kind of token that a provider prices on its own. The kinds are disjoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// Input text that no cache served and no cache took.
    InputUncached,
    /// Uncached input audio.
    InputAudio,
    /// Uncached input images, where the provider counts them apart.
    InputImage,
    /// Input served from the provider's prompt cache.
    CacheRead,
    /// Cached input audio.
    CacheReadAudio,
    /// Cached input images.
    CacheReadImage,
    /// Input written to the prompt cache for five minutes, or for the provider's only lifetime.
    CacheWrite5m,
    /// Input written to the prompt cache for one hour.
    CacheWrite1h,
    /// Visible output: text and tool calls.
    Output,
    /// Output the model thought and did not show.
    Reasoning,
    /// Output audio.
    OutputAudio,
    /// Output images.
    OutputImage,
}

impl Bucket {
    /// Every bucket, input first.
    pub const ALL: [Self; 12] = [
        Self::InputUncached,
        Self::InputAudio,
        Self::InputImage,
        Self::CacheRead,
        Self::CacheReadAudio,
        Self::CacheReadImage,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::Output,
        Self::Reasoning,
        Self::OutputAudio,
        Self::OutputImage,
    ];

    /// Input or output.
    #[must_use]
    pub const fn direction(self) -> Direction {
        match self {
            Self::InputUncached
            | Self::InputAudio
            | Self::InputImage
            | Self::CacheRead
            | Self::CacheReadAudio
            | Self::CacheReadImage
            | Self::CacheWrite5m
            | Self::CacheWrite1h => Direction::Input,
            Self::Output | Self::Reasoning | Self::OutputAudio | Self::OutputImage => Direction::Output,
        }
    }

    /// The name used in events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InputUncached => "input_uncached",
            Self::InputAudio => "input_audio",
            Self::InputImage => "input_image",
            Self::CacheRead => "cache_read",
            Self::CacheReadAudio => "cache_read_audio",
            Self::CacheReadImage => "cache_read_image",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::OutputAudio => "output_audio",
            Self::OutputImage => "output_image",
        }
    }
}

/// One value per [`Bucket`]: token counts, rates, or amounts of money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerBucket<T>([T; Bucket::ALL.len()]);

impl<T: Copy> PerBucket<T> {
    /// The value of each bucket, computed.
    #[must_use]
    pub fn from_fn(mut value: impl FnMut(Bucket) -> T) -> Self {
        Self(Bucket::ALL.map(&mut value))
    }

    /// The value of one bucket.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a fieldless enum's discriminant is below the variant count")]
    pub const fn get(&self, bucket: Bucket) -> T {
        self.0[bucket as usize]
    }

    /// Sets the value of one bucket.
    #[expect(clippy::indexing_slicing, reason = "a fieldless enum's discriminant is below the variant count")]
    pub fn set(&mut self, bucket: Bucket, value: T) {
        self.0[bucket as usize] = value;
    }

    /// Every bucket with its value, input first.
    pub fn iter(&self) -> impl Iterator<Item = (Bucket, T)> + '_ {
        Bucket::ALL.into_iter().zip(self.0.iter().copied())
    }
}

/// Tokens by bucket, and what providers bill per request beside tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Disjoint token counts.
    pub tokens: PerBucket<u64>,
    /// Web searches the provider ran on its own tools and bills per thousand.
    pub web_searches: u64,
    /// Tokens of sources that the provider read for the answer and bills apart; part of neither total.
    pub citation_tokens: u64,
}

impl Usage {
    /// The count of one bucket.
    #[must_use]
    pub const fn get(&self, bucket: Bucket) -> u64 {
        self.tokens.get(bucket)
    }

    /// Sets the count of one bucket.
    pub fn set(&mut self, bucket: Bucket, tokens: u64) {
        self.tokens.set(bucket, tokens);
    }

    /// Adds every bucket of `other`.
    pub fn add(&mut self, other: &Self) {
        self.tokens = PerBucket::from_fn(|bucket| self.get(bucket).saturating_add(other.get(bucket)));
        self.web_searches = self.web_searches.saturating_add(other.web_searches);
        self.citation_tokens = self.citation_tokens.saturating_add(other.citation_tokens);
    }

    /// All input tokens, cache reads and writes included (OTel `gen_ai.usage.input_tokens`).
    #[must_use]
    pub fn input_total(&self) -> u64 {
        self.total(Direction::Input)
    }

    /// All output tokens, reasoning included (OTel `gen_ai.usage.output_tokens`).
    #[must_use]
    pub fn output_total(&self) -> u64 {
        self.total(Direction::Output)
    }

    /// Tokens read from a prompt cache, whatever their modality.
    #[must_use]
    pub fn cache_read_total(&self) -> u64 {
        [Bucket::CacheRead, Bucket::CacheReadAudio, Bucket::CacheReadImage]
            .into_iter()
            .fold(0, |sum, bucket| sum.saturating_add(self.get(bucket)))
    }

    fn total(&self, direction: Direction) -> u64 {
        self.tokens
            .iter()
            .filter(|(bucket, _)| bucket.direction() == direction)
            .fold(0, |sum, (_, tokens)| sum.saturating_add(tokens))
    }
}
