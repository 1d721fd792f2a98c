//! Images, sound, video and documents in prompts: what they are, and the tokens that providers publish for them.
//!
//! A medium consumes tokens by its size on the screen, its length in time or its pages, never by the bytes that carry
//! it. What the request does not show (a link, a stored file, a format that is not read) is taken to be the
//! [assumed](Medium::tokens) one. Sources, as of November 2026: OpenAI "Images and vision" and its price calculator,
//! Anthropic "Vision" and "PDF support", Google "Understand and count tokens" and "Media resolution".
//! Invariants: integers only; work and memory bounded by [`header::READ_MAX`].
//! Must not know: wire formats, prices.

mod header;

pub(crate) use header::Size;

/// A kind of input beside text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Modality {
    /// Pictures.
    Image,
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
    /// Pages, of a PDF for instance.
    Document,
}

impl Modality {
    /// Every modality.
    pub const ALL: [Self; 4] = [Self::Image, Self::Audio, Self::Video, Self::Document];

    /// The name used in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Document => "document",
        }
    }

    /// By a media type (`image/png`); what is neither seen nor heard is a document.
    fn of_type(media_type: &str) -> Self {
        match media_type.split('/').next() {
            Some("image") => Self::Image,
            Some("audio") => Self::Audio,
            Some("video") => Self::Video,
            _ => Self::Document,
        }
    }
}

/// One image, sound, video or document, as far as the request shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Medium {
    /// What it is.
    pub modality: Modality,
    /// Width and height of an image in pixels.
    size: Option<Size>,
    /// The length of sound.
    millis: Option<u64>,
    /// Pages of a document.
    pages: Option<u64>,
    /// The caller asks for a coarse look at it (`detail: low`).
    is_coarse: bool,
    /// Bytes of the string that holds it, where the request does; see `frame::reduce`.
    pub(crate) carried: usize,
}

impl Medium {
    /// A medium that the request only points to.
    #[must_use]
    pub const fn unseen(modality: Modality) -> Self {
        Self { modality, size: None, millis: None, pages: None, is_coarse: false, carried: 0 }
    }

    /// A medium in Base64, a `data:` link with it, or another link.
    #[must_use]
    pub fn of(modality: Modality, text: &str) -> Self {
        let data = match text.split_once(";base64,") {
            Some((head, data)) if head.starts_with("data:") => data,
            _ => text,
        };
        let is_link = text.starts_with("http") || text.is_empty();
        let seen = Self { carried: if is_link { 0 } else { text.len() }, ..Self::unseen(modality) };
        match modality {
            Modality::Image => Self { size: header::image_size(data), ..seen },
            Modality::Audio => Self { millis: header::sound_length(data), ..seen },
            Modality::Document => Self { pages: header::pages(data), ..seen },
            Modality::Video => seen,
        }
    }

    /// A medium of a media type (`image/png`), in Base64.
    #[must_use]
    pub fn of_type(media_type: &str, data: &str) -> Self {
        Self::of(Modality::of_type(media_type), data)
    }

    /// The same, of which the caller asks for a coarse look.
    #[must_use]
    pub const fn coarse(self, is_coarse: bool) -> Self {
        Self { is_coarse, ..self }
    }

    /// Its tokens by published rates. Assumed where the request does not show it: an image of 1,024 by 1,024 pixels,
    /// half a minute of sound, a minute of video, a document of one page.
    #[must_use]
    pub fn tokens(&self, rates: Rates) -> u64 {
        let millis = self.millis.unwrap_or(30_000);
        match self.modality {
            Modality::Image => rates.image(self.size.unwrap_or(Size::ASSUMED), self.is_coarse),
            // Sound is heard in windows of half a minute.
            Modality::Audio if rates == Rates::Mistral => 375_u64.saturating_mul(millis.div_ceil(30_000)),
            Modality::Audio => rates.audio_per_second().saturating_mul(millis).div_ceil(1_000),
            Modality::Video => rates.video_per_second().saturating_mul(60),
            // A file that is no PDF is text, in most cases, and three bytes are four characters of Base64.
            Modality::Document if self.pages.is_none() && self.carried > 0 => {
                u64::try_from(self.carried).unwrap_or(u64::MAX).saturating_mul(3).div_ceil(16)
            }
            Modality::Document => rates.page().saturating_mul(self.pages.unwrap_or(1)),
        }
    }
}

/// How a family of models counts media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rates {
    /// OpenAI's tiles of 512 pixels, of an image that fits into 2,048 by 2,048 and whose short side is 768 at most.
    Tiles {
        /// Tokens of any image.
        base: u16,
        /// Tokens of each tile.
        tile: u16,
    },
    /// OpenAI's patches of 32 pixels, at most 1,536.
    Patches {
        /// Hundredths of a token for each patch.
        percent: u16,
    },
    /// Anthropic's 750 pixels a token.
    Area {
        /// The longest side that is looked at, in pixels.
        edge: u16,
        /// The most tokens of an image.
        most: u16,
    },
    /// Gemini up to 2.5: tiles of 258 tokens.
    GeminiTiles,
    /// Gemini from 3 on: a fixed count for each image, page and second.
    GeminiFixed,
    /// Mistral.
    Mistral,
    /// Nothing is published; taken to be as OpenAI's first.
    Unpublished,
}

impl Rates {
    /// The rates of a model, by its name.
    #[must_use]
    pub fn of(model: &str) -> Self {
        /// The first match counts, so a longer name stands before its beginning.
        const OPENAI: [(&str, Rates); 14] = [
            ("gpt-4o-mini", Rates::Tiles { base: 2_833, tile: 5_667 }),
            ("gpt-4.1-mini", Rates::Patches { percent: 162 }),
            ("gpt-4.1-nano", Rates::Patches { percent: 246 }),
            ("o4-mini", Rates::Patches { percent: 172 }),
            // As billed and as the price calculator says; the guide's 1.62 and 2.46 are what gpt-4.1's siblings take.
            ("gpt-5-mini", Rates::Patches { percent: 120 }),
            ("gpt-5-nano", Rates::Patches { percent: 150 }),
            ("gpt-4", Rates::Tiles { base: 85, tile: 170 }),
            ("gpt-5", Rates::Tiles { base: 70, tile: 140 }),
            ("gpt-6", Rates::Tiles { base: 70, tile: 140 }),
            ("chatgpt-4o", Rates::Tiles { base: 85, tile: 170 }),
            ("o1", Rates::Tiles { base: 75, tile: 150 }),
            ("o3", Rates::Tiles { base: 75, tile: 150 }),
            ("computer-use", Rates::Tiles { base: 65, tile: 129 }),
            ("gpt-", Rates::Tiles { base: 85, tile: 170 }),
        ];
        let model = model.to_ascii_lowercase();
        let name = model.rsplit('/').next().unwrap_or(&model);
        let name = name.strip_prefix("openai.").unwrap_or(name);
        if let Some((_, rates)) = OPENAI.into_iter().find(|(start, _)| name.starts_with(start)) {
            return rates;
        }
        match name {
            _ if name.contains("claude") && crate::calibration::is_newer_claude(name) => {
                Self::Area { edge: 2_576, most: 4_784 }
            }
            _ if name.contains("claude") => Self::Area { edge: 1_568, most: 1_600 },
            _ if ["gemini-1", "gemini-2"].iter().any(|start| name.contains(start)) => Self::GeminiTiles,
            _ if name.contains("gemini") => Self::GeminiFixed,
            _ if ["mistral", "voxtral", "pixtral"].iter().any(|word| name.contains(word)) => Self::Mistral,
            _ => Self::Unpublished,
        }
    }

    fn image(self, size: Size, is_coarse: bool) -> u64 {
        match self {
            Self::Tiles { base, .. } if is_coarse => u64::from(base),
            Self::Tiles { base, tile } => {
                let size = size.fitting(2_048).with_short_side(768);
                u64::from(base).saturating_add(u64::from(tile).saturating_mul(size.squares(512)))
            }
            Self::Patches { percent } => {
                let patches = size.squares(32).min(if is_coarse { 256 } else { 1_536 });
                patches.saturating_mul(u64::from(percent)).div_ceil(100)
            }
            Self::Area { edge, most } => {
                let size = size.fitting(u64::from(edge));
                size.area().div_ceil(750).min(u64::from(most))
            }
            Self::GeminiTiles if is_coarse || size.longest() <= 384 => 258,
            // "Crop unit": two thirds of the short side, between 256 and 768 pixels.
            Self::GeminiTiles => {
                let unit = size.shortest().saturating_mul(2).checked_div(3).unwrap_or(0).clamp(256, 768);
                size.squares(unit).saturating_mul(258)
            }
            Self::GeminiFixed if is_coarse => 280,
            Self::GeminiFixed => 1_120,
            Self::Mistral => size.fitting(1_540).squares(28),
            Self::Unpublished => Self::Tiles { base: 85, tile: 170 }.image(size, is_coarse),
        }
    }

    const fn audio_per_second(self) -> u64 {
        match self {
            Self::GeminiTiles | Self::GeminiFixed => 32,
            _ => 10,
        }
    }

    const fn video_per_second(self) -> u64 {
        match self {
            Self::GeminiFixed => 70 + 32,
            _ => 263,
        }
    }

    /// Tokens of a page. Anthropic states 1,500 to 3,000, OpenAI the text and an image of the page.
    const fn page(self) -> u64 {
        match self {
            Self::GeminiTiles => 258,
            Self::GeminiFixed => 560,
            Self::Area { .. } => 2_000,
            _ => 1_500,
        }
    }
}

/// Media of a prompt by modality: how many, and their tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaTokens([(u64, u64); Modality::ALL.len()]);

impl MediaTokens {
    /// How many there are of a modality, and their tokens.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "a fieldless enum's discriminant is below the variant count")]
    pub const fn get(&self, modality: Modality) -> (u64, u64) {
        self.0[modality as usize]
    }

    /// Adds media of a modality.
    #[expect(clippy::indexing_slicing, reason = "a fieldless enum's discriminant is below the variant count")]
    pub const fn add(&mut self, modality: Modality, count: u64, tokens: u64) {
        let of = &mut self.0[modality as usize];
        *of = (of.0.saturating_add(count), of.1.saturating_add(tokens));
    }

    /// Every modality that there is.
    pub fn iter(&self) -> impl Iterator<Item = (Modality, u64, u64)> + '_ {
        Modality::ALL.into_iter().map(|of| (of, self.get(of).0, self.get(of).1)).filter(|(_, count, _)| *count > 0)
    }

    /// Tokens of all of them.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.iter().fold(0, |sum, (_, _, tokens)| sum.saturating_add(tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens of an image of this size.
    fn image(model: &str, width: u32, height: u32) -> u64 {
        Rates::of(model).image(Size { width, height }, false)
    }

    #[test]
    fn images_count_as_the_providers_own_examples_do() {
        for (model, width, height, tokens) in [
            // OpenAI, "Calculating costs".
            ("gpt-4o", 1_024, 1_024, 765),
            ("gpt-4o-2024-08-06", 2_048, 4_096, 1_105),
            ("openai/gpt-4o-mini", 512, 512, 8_500),
            ("gpt-4.1-mini", 1_024, 1_024, 1_659),
            // As billed (OpenAI's forum, thread 1281361 and the calculator's figures of gpt-5-mini).
            ("gpt-4.1-mini", 4_000, 1_474, 2_489),
            ("gpt-4.1", 2_049, 513, 1_445),
            ("gpt-5-mini", 1_280, 720, 1_104),
            // Anthropic, "Evaluate image size".
            ("claude-sonnet-4-5", 1_000, 1_000, 1_334),
            ("claude-sonnet-4-5", 4_000, 4_000, 1_600),
            ("claude-opus-4-7", 4_000, 4_000, 4_784),
            // Google, "Image understanding".
            ("gemini-2.5-flash", 384, 384, 258),
            ("gemini-2.0-flash", 960, 540, 6 * 258),
            ("gemini-3-pro-preview", 960, 540, 1_120),
        ] {
            assert_eq!(image(model, width, height), tokens, "{model} {width}x{height}");
        }
        assert_eq!(Rates::of("gpt-4o").image(Size { width: 4_096, height: 8_192 }, true), 85);
    }

    #[test]
    fn what_is_not_shown_is_taken_to_be_the_assumed_one() {
        let tokens = |modality, model| Medium::unseen(modality).tokens(Rates::of(model));
        assert_eq!(tokens(Modality::Image, "gpt-4o"), 765);
        assert_eq!(tokens(Modality::Audio, "gemini-2.5-pro"), 960);
        assert_eq!(tokens(Modality::Audio, "voxtral-small-latest"), 375);
        assert_eq!(tokens(Modality::Document, "gemini-2.5-pro"), 258);
        assert_eq!(tokens(Modality::Video, "gemini-2.5-pro"), 15_780);
    }

    #[test]
    fn sizes_of_any_extent_count_something_bounded() {
        for model in ["gpt-4o", "gpt-5-nano", "claude-3", "gemini-2.0", "gemini-3", "pixtral", "x"] {
            for (width, height) in [(1, 1), (1, 65_535), (65_535, 1), (65_535, 65_535)] {
                assert!(image(model, width, height) < 2_000_000, "{model}");
            }
        }
    }
}
