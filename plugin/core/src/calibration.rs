//! How many tokens a model makes of a prompt, where its tokenizer is not public: OpenAI's count times a ratio, and what
//! its chat template adds; then corrected by what earlier calls of the model reported.
//!
//! Ratios are medians over recorded answers of each family, against `o200k_base`; what templates add was measured on
//! recorded prompts, or is published (harmony, Llama, Anthropic's tool use).
//! Learning: [`Lessons`] of a model are its last sixteen calls, as predicted and as reported. A line through them, by
//! medians (Theil and Sen), gives a [`Lesson`]: up to four of them may be wild without moving it far.
//! Invariants: integers only; bounded state; a lesson is never beyond its clamps, whatever was reported.
//! Must not know: the tokenizer's inside, prices, how lessons are shared.
#![deny(clippy::arithmetic_side_effects)]

use crate::attribution::bounded;
use crate::ledger::{Key, Record};
use crate::time::Timestamp;
use crate::tokens::Encoding;
use serde::{Deserialize, Serialize};

/// A way to predict a model's token counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tokenizer {
    /// The encoding that is counted in.
    pub encoding: Encoding,
    /// The model's tokens per thousand tokens of that encoding.
    pub permille: u64,
    /// Tokens around each message.
    pub message: u64,
    /// Tokens that make the model answer, and the template's own instructions.
    pub priming: u64,
    /// Tokens that having tools adds, beside the tools.
    pub tools: u64,
    /// The same where the model must call one.
    pub forced_tools: u64,
    /// Whether the count is the provider's own, for text.
    pub is_public: bool,
}

/// A family of models whose tokenizer is not public.
struct Family {
    /// What its models' names contain.
    word: &'static str,
    permille: u64,
    message: u64,
    priming: u64,
    tools: u64,
    forced_tools: u64,
}

const fn family(
    word: &'static str,
    permille: u64,
    [message, priming]: [u64; 2],
    [tools, forced_tools]: [u64; 2],
) -> Family {
    Family { word, permille, message, priming, tools, forced_tools }
}

/// The first match counts.
const FAMILIES: [Family; 25] = [
    // Anthropic publishes what using tools adds ("Tool use system prompt token count"); Haiku 4.5's is measured.
    family("claude-3-opus", 1_150, [4, 3], [530, 281]),
    family("claude-3-sonnet", 1_150, [4, 3], [159, 235]),
    family("claude-3-haiku", 1_150, [4, 3], [264, 340]),
    family("claude-3-5-haiku", 1_150, [4, 3], [264, 340]),
    family("claude-haiku-4-5", 1_150, [4, 3], [496, 463]),
    family("claude", 1_150, [4, 3], [346, 313]),
    family("gemini", 1_040, [0, 0], [0, 0]),
    family("gemma", 1_040, [5, 4], [0, 0]),
    family("deepseek", 1_030, [1, 1], [230, 230]),
    family("llama", 1_050, [5, 29], [90, 90]),
    family("mistral", 1_070, [2, 1], [12, 12]),
    family("mixtral", 1_070, [2, 1], [12, 12]),
    family("pixtral", 1_070, [2, 1], [12, 12]),
    family("voxtral", 1_070, [2, 1], [12, 12]),
    // What Cohere bills leaves its template out.
    family("command", 1_060, [0, 0], [0, 0]),
    family("grok-4-1-fast-non-reasoning", 980, [4, 3], [145, 145]),
    family("grok-4", 980, [4, 3], [280, 280]),
    family("grok", 980, [4, 3], [0, 0]),
    family("qwen", 1_040, [5, 3], [200, 200]),
    family("glm", 1_040, [4, 3], [90, 90]),
    family("minimax", 1_040, [5, 33], [90, 90]),
    family("sonar", 1_050, [0, 1], [0, 0]),
    family("nova", 1_100, [2, 2], [500, 500]),
    family("titan", 1_000, [0, 0], [0, 0]),
    family("", 1_000, [4, 3], [0, 0]),
];

/// Claude's tokenizer from Opus 4.7 on, and of everything in the fifth generation and later.
const NEWER_CLAUDE: u64 = 1_460;

impl Tokenizer {
    /// The tokenizer of a model; `o200k_base` as it is where nothing is known.
    #[must_use]
    pub fn of(model: &str) -> Self {
        match Encoding::for_model(model) {
            Some(encoding) => Self::public(encoding, model),
            None => Self::of_family(&model.to_ascii_lowercase()),
        }
    }

    /// OpenAI's framing was measured on prompts of text alone: exact from gpt-3.5 to gpt-4.1, and one less for what came
    /// after. Tools: what renders them, less a break where instructions stand before them, which is the caller's to see.
    fn public(encoding: Encoding, model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
        let (priming, tools) = match name {
            // The harmony format's own instructions.
            _ if name.contains("gpt-oss") => (64, 30),
            _ if begins(&["gpt-5", "gpt-6"]) => (2, 90),
            _ if begins(&["o3-mini", "o4-mini"]) => (2, 20),
            _ => (3, 9),
        };
        Self { encoding, permille: 1_000, message: 4, priming, tools, forced_tools: tools, is_public: true }
    }

    fn of_family(model: &str) -> Self {
        let family = FAMILIES.iter().find(|family| model.contains(family.word));
        let Some(&Family { permille, message, priming, tools, forced_tools, .. }) = family else {
            return Self::public(Encoding::O200kBase, model);
        };
        let permille = if is_newer_claude(model) { NEWER_CLAUDE } else { permille };
        Self { encoding: Encoding::O200kBase, permille, message, priming, tools, forced_tools, is_public: false }
    }

    /// Whether a model may think without showing it, so that what it delivers is less than what it consumed.
    #[must_use]
    pub fn hides_thinking(model: &str) -> bool {
        let name = model.rsplit('/').next().unwrap_or(model);
        ["o1", "o3", "o4", "gpt-5", "gpt-6"].iter().any(|start| name.starts_with(start))
    }

    /// The model's tokens for a count in the encoding.
    #[must_use]
    pub fn scale(&self, tokens: u64) -> u64 {
        tokens.saturating_mul(self.permille).saturating_add(500).checked_div(1_000).unwrap_or(tokens)
    }
}

/// Whether a Claude is one with the newer tokenizer: `claude-opus-4-7` and later, and every `claude-NAME-5` and later.
/// The oldest names have their version in front (`claude-3-5-sonnet`).
pub(crate) fn is_newer_claude(model: &str) -> bool {
    let Some((_, name)) = model.split_once("claude-") else { return false };
    let mut words = name.split(|mark: char| !mark.is_ascii_alphanumeric());
    let first = words.next().unwrap_or_default();
    let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
    match (number(), number()) {
        // A version has few digits, a date eight.
        (Some(5..100), _) if !first.starts_with(|digit: char| digit.is_ascii_digit()) => true,
        (Some(4), Some(7..100)) => first == "opus",
        _ => false,
    }
}

/// What earlier calls of a model taught about its counts: a line from predicted to reported tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// Reported tokens per million predicted ones.
    pub ppm: u64,
    /// Reported tokens that no predicted one explains.
    pub offset: u64,
}

impl Lesson {
    /// Nothing was learned.
    pub const NONE: Self = Self { ppm: 1_000_000, offset: 0 };

    /// Tokens without the offset.
    #[must_use]
    pub fn scale(self, tokens: u64) -> u64 {
        let scaled = tokens.checked_mul(self.ppm).and_then(|millionths| millionths.checked_add(500_000));
        scaled.and_then(|millionths| millionths.checked_div(1_000_000)).unwrap_or(tokens)
    }
}

/// Calls that a lesson is drawn from.
const CALLS: usize = 16;
/// Fewer teach nothing: one odd call must not change the next.
const CALLS_MIN: usize = 3;
/// A model makes at least a third, at most four times the tokens that are predicted.
const PPM: std::ops::RangeInclusive<i64> = 333_333..=4_000_000;
/// A prompt of so many tokens is long.
const LONG: i64 = 500;
/// The longest instructions that a provider adds.
const OFFSET_MAX: i64 = 20_000;

/// The last calls of one model, as predicted and as reported.
///
/// Workers share it as a [`Record`] of the ledger, of 200 bytes at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lessons {
    /// Predicted and reported input tokens, oldest first.
    calls: Vec<(u32, u32)>,
}

impl Lessons {
    /// Notes a call. Only calls that show all of their prompt, as text, and were reported in full may teach.
    pub fn observe(&mut self, predicted: u64, reported: u64) {
        let (Ok(predicted @ 1..), Ok(reported @ 1..)) = (u32::try_from(predicted), u32::try_from(reported)) else {
            return;
        };
        self.calls.push((predicted, reported));
        self.calls.drain(..self.calls.len().saturating_sub(CALLS));
    }

    /// How many calls are remembered.
    #[must_use]
    pub const fn calls(&self) -> usize {
        self.calls.len()
    }

    /// What they teach.
    #[must_use]
    pub fn lesson(&self) -> Lesson {
        if self.calls.len() < CALLS_MIN {
            return Lesson::NONE;
        }
        let last = self.calls.iter().rev().take(CALLS);
        let calls: Vec<(i64, i64)> =
            last.map(|(predicted, reported)| (i64::from(*predicted), i64::from(*reported))).collect();
        let is_long = median(calls.iter().map(|(predicted, _)| *predicted).collect()) >= Some(LONG);
        let ppm = match slope(&calls) {
            Some(ppm) => ppm,
            // Calls of one size: what short ones lack is more likely instructions, what long ones lack a ratio.
            None if is_long => return Self::ratio(&calls),
            None => 1_000_000,
        };
        let ppm = ppm.clamp(*PPM.start(), *PPM.end());
        // What is left of each call behind its slope; without room for that, all of it is a ratio.
        let scaled = |predicted: i64| predicted.saturating_mul(ppm).checked_div(1_000_000).unwrap_or(predicted);
        let left = calls.iter().map(|(predicted, reported)| reported.saturating_sub(scaled(*predicted)));
        let offset = median(left.collect()).unwrap_or(0);
        if (0..=OFFSET_MAX).contains(&offset) {
            return Lesson { ppm: positive(ppm), offset: positive(offset) };
        }
        Self::ratio(&calls)
    }

    /// The lesson that there is a ratio and nothing else.
    fn ratio(calls: &[(i64, i64)]) -> Lesson {
        let ratio = median(calls.iter().filter_map(|(predicted, reported)| ratio(*reported, *predicted)).collect());
        Lesson { ppm: positive(ratio.unwrap_or(1_000_000).clamp(*PPM.start(), *PPM.end())), offset: 0 }
    }

    /// When lessons that were heard today are forgotten, unless more are: providers change what they add.
    #[must_use]
    pub fn expires(now: Timestamp) -> Timestamp {
        const LIFETIME_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
        now.plus_millis(LIFETIME_MS)
    }
}

impl Record for Lessons {
    const KIND: &'static str = "lessons";
    const VERSION: u8 = 1;
}

/// What is learned about: a model, with tools or without, since what tools add is not what texts take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject(String);

impl Subject {
    /// A model's calls.
    #[must_use]
    pub fn new(model: &str, has_tools: bool) -> Self {
        Self(format!("{}{}", bounded(model), if has_tools { "\ntools" } else { "" }))
    }

    /// Its name: the model's, and `tools`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// What its lessons are kept under.
    #[must_use]
    pub fn key(&self) -> Key<Lessons> {
        Key::new(&[&self.0])
    }
}

/// A call that teaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// What it teaches about.
    pub subject: Subject,
    /// Input tokens as predicted without any lesson.
    pub predicted: u64,
    /// Input tokens as reported.
    pub reported: u64,
}

/// The most models that lessons are kept of.
const SUBJECTS_MAX: usize = 64;

/// Of a model that is known well, the other workers are told of one call in so many.
const SHARED_EACH: u64 = 8;

/// What this worker knows of each model. One per VM.
#[derive(Debug, Default)]
pub(crate) struct Learned(Vec<Known>);

#[derive(Debug)]
struct Known {
    subject: Subject,
    lessons: Lessons,
    lesson: Lesson,
    /// Calls that this worker saw.
    seen: u64,
}

impl Learned {
    pub(crate) fn lesson(&self, subject: &Subject) -> Lesson {
        self.known(subject).map_or(Lesson::NONE, |known| known.lesson)
    }

    pub(crate) fn observe(&mut self, observation: &Observation) {
        let known = self.known(&observation.subject);
        let mut lessons = known.map(|known| known.lessons.clone()).unwrap_or_default();
        let seen = known.map_or(0, |known| known.seen).saturating_add(1);
        lessons.observe(observation.predicted, observation.reported);
        self.put(observation.subject.clone(), lessons, seen);
    }

    /// Whether the call that was observed last is one to tell the other workers of: shared state costs more than what
    /// the hundredth call of a model teaches.
    pub(crate) fn is_to_share(&self, subject: &Subject) -> bool {
        let seen = self.known(subject).map_or(0, |known| known.seen);
        seen <= CALLS as u64 || seen.is_multiple_of(SHARED_EACH)
    }

    /// Takes over what all workers know of a model.
    pub(crate) fn replace(&mut self, subject: Subject, lessons: Lessons) {
        let seen = self.known(&subject).map_or(0, |known| known.seen);
        self.put(subject, lessons, seen);
    }

    fn known(&self, subject: &Subject) -> Option<&Known> {
        self.0.iter().find(|known| known.subject == *subject)
    }

    /// The model that was heard of least recently makes room.
    fn put(&mut self, subject: Subject, lessons: Lessons, seen: u64) {
        self.0.retain(|known| known.subject != subject);
        if self.0.len() >= SUBJECTS_MAX {
            self.0.remove(0);
        }
        let lesson = lessons.lesson();
        self.0.push(Known { subject, lessons, lesson, seen });
    }
}

/// The median slope, in millionths, over all pairs of calls that differ enough in size to tell one.
fn slope(calls: &[(i64, i64)]) -> Option<i64> {
    let mut slopes = Vec::with_capacity(CALLS.saturating_mul(CALLS));
    for (at, (predicted, reported)) in calls.iter().enumerate() {
        for (other_predicted, other_reported) in calls.iter().skip(at.saturating_add(1)) {
            let apart = other_predicted.saturating_sub(*predicted);
            if apart.saturating_abs() >= (*predicted).max(*other_predicted).checked_div(4).unwrap_or(1).max(8) {
                slopes.extend(ratio(other_reported.saturating_sub(*reported), apart));
            }
        }
    }
    // Fewer do not outvote one wild call.
    if slopes.len() >= CALLS_MIN { median(slopes) } else { None }
}

fn ratio(part: i64, whole: i64) -> Option<i64> {
    part.saturating_mul(1_000_000).checked_div(whole)
}

fn median(mut values: Vec<i64>) -> Option<i64> {
    let half = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable(half).1)
}

fn positive(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_family_is_told_by_its_name_and_an_unknown_one_is_taken_as_it_is() {
        for (model, permille) in [
            ("gpt-4o-mini", 1_000),
            ("claude-3-5-sonnet-20240620", 1_150),
            ("claude-sonnet-4-5", 1_150),
            ("claude-sonnet-4-20250514", 1_150),
            ("claude-opus-4-6", 1_150),
            ("claude-opus-4-7", 1_460),
            ("us.anthropic.claude-opus-4-8-20260501-v1:0", 1_460),
            ("claude-opus-5", 1_460),
            ("anthropic/claude-haiku-5-5", 1_460),
            ("claude-fable-5-2", 1_460),
            ("claude-sonnet-5@20260801", 1_460),
            ("my-model", 1_000),
        ] {
            assert_eq!(Tokenizer::of(model).permille, permille, "{model}");
        }
        assert_eq!(Tokenizer { permille: 1_150, ..Tokenizer::of("gpt-4o") }.scale(100), 115);
    }

    fn taught(calls: impl IntoIterator<Item = (u64, u64)>) -> Lessons {
        let mut lessons = Lessons::default();
        calls.into_iter().for_each(|(predicted, reported)| lessons.observe(predicted, reported));
        lessons
    }

    #[test]
    fn a_ratio_and_instructions_that_nobody_sees_are_learned_together() {
        let lesson = taught((1..=20).map(|call| (call * 100, call * 131 + 57))).lesson();
        let predicted = lesson.scale(5_000) + lesson.offset;
        assert!(predicted.abs_diff(50 * 131 + 57) < 40, "{lesson:?}");
    }

    #[test]
    fn calls_of_one_size_teach_a_ratio_where_they_are_long_and_instructions_where_they_are_short() {
        assert_eq!(taught([(100, 350); 20]).lesson(), Lesson { ppm: 1_000_000, offset: 250 });
        assert_eq!(taught([(1_000, 1_250); 20]).lesson(), Lesson { ppm: 1_250_000, offset: 0 });
        assert_eq!(taught([(1_000, 800); 20]).lesson(), Lesson { ppm: 800_000, offset: 0 });
    }

    #[test]
    fn one_or_two_calls_teach_nothing_and_wild_ones_little() {
        assert_eq!(taught([(100, 200); 2]).lesson(), Lesson::NONE);
        let sober = (1..=12).map(|call| (call * 100, call * 120));
        let wild = [(300, 90_000), (500, 1), (700, 4_000_000_000), (900, 7)];
        let lesson = taught(sober.chain(wild)).lesson();
        let predicted = lesson.scale(1_000) + lesson.offset;
        assert!(predicted.abs_diff(1_200) < 120, "{lesson:?} {predicted}");
    }

    proptest! {
        #[test]
        fn lessons_are_bounded_and_survive_being_stored(calls in prop::collection::vec((any::<u64>(), any::<u64>()), 0..40)) {
            let lessons = taught(calls);
            let lesson = lessons.lesson();
            prop_assert!((333_333..=4_000_000).contains(&lesson.ppm) && lesson.offset <= 20_000);
            let stored = postcard::to_allocvec(&lessons).expect("bytes");
            prop_assert!(stored.len() <= 200, "{} bytes", stored.len());
            prop_assert_eq!(postcard::from_bytes::<Lessons>(&stored).expect("lessons"), lessons);
        }

        #[test]
        fn no_stored_value_is_trusted(calls in prop::collection::vec((any::<u32>(), any::<u32>()), 0..300)) {
            let lesson = Lessons { calls }.lesson();
            prop_assert!((333_333..=4_000_000).contains(&lesson.ppm) && lesson.offset <= 20_000);
        }
    }
}
