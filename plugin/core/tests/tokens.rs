//! The counter against `tiktoken-rs`, the reference: every count on generated, recorded and hostile texts is equal.
#![allow(clippy::cast_possible_truncation, clippy::indexing_slicing, clippy::string_slice, reason = "a test")]

use std::path::PathBuf;

use proptest::prelude::*;
use tollgate_core::tokens::{Budget, Count, Counter, Encoding};

const ENCODINGS: [Encoding; 2] = [Encoding::O200kBase, Encoding::Cl100kBase];

fn reference(encoding: Encoding, text: &str) -> u64 {
    let bpe = match encoding {
        Encoding::O200kBase => tiktoken_rs::o200k_base_singleton(),
        Encoding::Cl100kBase => tiktoken_rs::cl100k_base_singleton(),
    };
    bpe.encode_ordinary(text).len() as u64
}

/// Counts `text` in both encodings, without a limit of work, and compares.
fn check(counter: &mut Counter, text: &str) {
    for encoding in ENCODINGS {
        let count = counter.count(encoding, text, &mut Budget::unlimited());
        let expected = Count { tokens: reference(encoding, text), exact: true };
        assert_eq!(count, expected, "{encoding:?} of {text:?}");
    }
}

/// xorshift64*: texts must be the same in every run, and cheap.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const WORDS: &[&str] = &[
    "the",
    "The",
    "THE",
    "naïve",
    "Straße",
    "don",
    "'s",
    "'S",
    "'ſ",
    "'t",
    "'re",
    "'RE",
    "'Ve",
    "'m",
    "'ll",
    "'lL",
    "'d",
    "'x",
    "'",
    "’s",
    "ſ",
    "K",
    "getUserName",
    "HTTPServer",
    "snake_case",
    "kebab-case",
    "x1y2",
    "1234567",
    "3.14",
    "٣٤٥",
    "²³",
    "Ⅷ",
    "½",
    "привет",
    "ПРИВЕТ",
    "мир",
    "שלום",
    "مرحبا",
    "नमस्ते",
    "ภาษาไทย",
    "中文",
    "中文字符测试一下",
    "日本語テキスト",
    "カタカナ",
    "한국어",
    "ǅ",
    "ʰ",
    "\u{301}",
    "e\u{301}",
    "\u{200d}",
    "👩‍👩‍👧‍👦",
    "🇩🇪",
    "👍🏽",
    "❤\u{fe0f}",
    "𠀀𠀁",
    "𝒳",
    "\u{e000}",
    "\u{10ffff}",
    "<|endoftext|>",
    "<|im_start|>",
    "{\"type\":\"object\",",
    "\"}]",
    "=>",
    "!!!",
    "/",
    "//",
    "/*",
    "*/",
    "\\n",
    "==",
    "--------------------------------",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "=================",
    "、",
    "。",
    "！",
    "：「",
    "」",
];

const SPACES: &[&str] = &[
    "",
    " ",
    " ",
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\r\n",
    "\n\n",
    " \n",
    "\n ",
    "\r",
    "\u{a0}",
    "\u{3000}",
    "\u{2028}",
    "\u{85}",
    "\u{b}",
    "\u{1680}",
    "        ",
    "                        ",
    "\t\t\t",
    "\n\n\n    ",
    " \n \n",
    "\n/",
    "/\n",
];

/// A character of any class: an even choice of ranges that matter to the patterns, or any code point at all.
fn character(random: &mut Random) -> char {
    let (from, to) = random.pick(&[
        (0x20, 0x7E),
        (0x20, 0x7E),
        (0x00, 0x7F),
        (0x80, 0x24F),
        (0x250, 0x36F),
        (0x370, 0x5FF),
        (0x600, 0x8FF),
        (0x900, 0xDFF),
        (0xE00, 0x12FF),
        (0x1300, 0x1FFF),
        (0x2000, 0x2BFF),
        (0x2C00, 0x2FFF),
        (0x3000, 0x30FF),
        (0x3100, 0x33FF),
        (0x4E00, 0x9FFF),
        (0x4E00, 0x5200),
        (0xA000, 0xABFF),
        (0xAC00, 0xD7A3),
        (0xF900, 0xFFFF),
        (0x1_0000, 0x1_FFFF),
        (0x1_F300, 0x1_FAFF),
        (0x2_0000, 0x3_FFFF),
        (0x0, 0x10_FFFF),
    ]);
    char::from_u32(from + random.below((to - from + 1) as usize) as u32).unwrap_or('\u{fffd}')
}

/// One generated text; `kind` decides what it is made of.
fn text(random: &mut Random, kind: usize) -> String {
    let parts = 1 + random.below(12);
    let mut text = String::new();
    for _ in 0..parts {
        match kind % 6 {
            // words and spaces
            0 => {
                text.push_str(random.pick(WORDS));
                text.push_str(random.pick(SPACES));
            }
            // any characters
            1 => text.push(character(random)),
            // characters of one range, in runs
            2 => {
                let first = character(random);
                for step in 0..1 + random.below(20) as u32 {
                    text.push(char::from_u32(first as u32 + random.below(1 + step as usize) as u32).unwrap_or('a'));
                }
            }
            // letters of every case in a row, with marks and contractions
            3 => text.push_str(
                random.pick(&["a", "B", "中", "ʰ", "\u{301}", "ǅ", "ß", "'s", "'LL", "'", "1", " ", "z", "Z", "ª"]),
            ),
            // white space of every kind in a row
            4 => {
                text.push_str(random.pick(SPACES));
                if random.below(5) == 0 {
                    text.push_str(random.pick(&["a", "1", "!", "中", "/"]));
                }
            }
            // a character again and again
            _ => {
                let repeated = if random.below(2) == 0 {
                    character(random)
                } else {
                    random.pick(&['a', ' ', '=', '\n', '中', '0'])
                };
                text.extend(std::iter::repeat_n(repeated, random.below(40)));
            }
        }
    }
    text
}

#[test]
fn generated_texts_count_as_in_the_reference() {
    let texts: usize = std::env::var("TOLLGATE_TOKEN_TEXTS").map_or(100_000, |texts| texts.parse().expect("a number"));
    let mut random = Random(0x70_11_9A_7E);
    let mut counter = Counter::new();
    for kind in 0..texts {
        check(&mut counter, &text(&mut random, kind));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Strings of proptest's making, which shrink.
    #[test]
    fn any_string_counts_as_in_the_reference(text in any::<String>()) {
        check(&mut Counter::new(), &text);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Beyond the budget a count is an estimate and says so; what says it is exact is what an unlimited budget finds.
    #[test]
    fn a_budget_is_honest(text in "\\PC{0,400}") {
        let text = text.repeat(4_000);
        for encoding in ENCODINGS {
            let count = Counter::new().count(encoding, &text, &mut Budget::per_request());
            prop_assert!(count.tokens <= text.len() as u64);
            if count.exact {
                prop_assert_eq!(count, Counter::new().count(encoding, &text, &mut Budget::unlimited()));
            }
        }
    }
}

/// Texts made to hurt: none takes more than the budget and one piece, none panics, and where the count is exact it is
/// the reference's.
#[test]
fn hostile_texts_stay_within_the_budget() {
    const MEGABYTE: usize = 1 << 20;
    let mut random = Random(7);
    let mut of =
        |letters: &[u8], len: usize| -> String { (0..len).map(|_| char::from(random.pick(letters))).collect() };
    let base64 = of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", MEGABYTE);
    let letters = of(b"abcdefghijklmnopqrstuvwxyz", MEGABYTE);
    let punctuation = of(b"!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~", MEGABYTE);
    let unicode: String = (0..MEGABYTE / 4).map(|_| character(&mut random)).collect();
    let texts = [
        "a".repeat(MEGABYTE),
        " ".repeat(2 * MEGABYTE), // where the reference panics
        "\u{a0}".repeat(MEGABYTE),
        "\n ".repeat(MEGABYTE),
        "'".repeat(MEGABYTE),
        "中A".repeat(MEGABYTE / 4),
        "\u{301}A".repeat(MEGABYTE / 3),
        "中文".repeat(MEGABYTE),
        "ab".repeat(2 * MEGABYTE),
        base64,
        letters,
        punctuation,
        unicode,
    ];
    let mut counter = Counter::new();
    for text in &texts {
        let start = text.chars().next();
        for encoding in ENCODINGS {
            let mut budget = Budget::per_request();
            let count = counter.count(encoding, text, &mut budget);
            assert!(count.tokens > 0 && count.tokens <= text.len() as u64, "{encoding:?} of {start:?}...: {count:?}");
            assert!(!count.exact || budget.left() > 0, "{encoding:?} of {start:?}...: beyond the budget, yet exact");
        }
    }
}

/// Long pieces, up to the cap, take the other merge: same counts.
#[test]
fn long_pieces_count_as_in_the_reference() {
    let mut random = Random(11);
    let mut counter = Counter::new();
    for len in [59, 60, 61, 62, 63, 64, 65, 100, 119, 120, 121, 500, 4000, 16_000] {
        for letters in ["a", "ab", "abcdefghijklmnopqrstuvwxyz", " ", "=", "中文字", "กขคงจ", "éèß", "ａｂ"]
        {
            let letters: Vec<char> = letters.chars().collect();
            let bytes = letters[0].len_utf8();
            check(&mut counter, &(0..len / bytes).map(|_| random.pick(&letters)).collect::<String>());
        }
    }
}

/// The words of real requests and responses: `TOLLGATE_TRAFFIC` is a folder of recordings, `../shared/traffic` beside
/// the workspace by default.
#[test]
fn recorded_traffic_counts_as_in_the_reference() {
    let folder = std::env::var_os("TOLLGATE_TRAFFIC")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traffic"), PathBuf::from);
    let mut counter = Counter::new();
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        for file in std::fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            let Ok(text) = std::fs::read_to_string(file.path()) else { continue };
            let Ok(recording) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
            files += 1;
            for body in [&recording["request"]["body"], &recording["response"]["body"]] {
                let Some(body) = body.as_str() else { continue };
                compare(&mut counter, body);
                if let Ok(body) = serde_json::from_str(body) {
                    compare_strings(&mut counter, &body);
                }
            }
        }
    }
    if files == 0 {
        eprintln!("no recordings in {}: nothing compared (set TOLLGATE_TRAFFIC)", folder.display());
    } else {
        eprintln!("{files} recordings compared");
    }
}

/// Every string in a body, which is what the filter counts.
fn compare_strings(counter: &mut Counter, value: &serde_json::Value) {
    match value {
        serde_json::Value::String(text) => compare(counter, text),
        serde_json::Value::Array(values) => values.iter().for_each(|value| compare_strings(counter, value)),
        serde_json::Value::Object(fields) => fields.values().for_each(|value| compare_strings(counter, value)),
        _ => {}
    }
}

/// As [`check`], but for a giant piece, where only the flag can be right.
fn compare(counter: &mut Counter, text: &str) {
    for encoding in ENCODINGS {
        let count = counter.count(encoding, text, &mut Budget::unlimited());
        if count.exact || text.len() < 16 << 10 {
            assert_eq!(count, Count { tokens: reference(encoding, text), exact: true }, "{encoding:?} of {text:?}");
        }
    }
}
