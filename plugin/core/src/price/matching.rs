//! From the names on the wire to a row of the book: which provider, which model.
//!
//! The list's own patterns decide, in its order, exactly as its package evaluates them. Only when they find nothing,
//! the name is rewritten conservatively (see [`spellings`]) and tried again: wrappers around a name and a date behind
//! it are removed, never anything that tells one model from another. An unknown model stays unknown.
//! Must not know: prices, usage, time.
#![deny(clippy::arithmetic_side_effects)]

use std::borrow::Cow;

use super::Unpriced;
use super::table::{ALIASES, Model, PROVIDERS, Pattern, Provider};

/// A model found in the book.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// The provider that was asked for.
    pub(super) provider: &'static Provider,
    pub(super) model: &'static Model,
    /// The model is another provider's, resold: only that provider's standard prices are known.
    pub(super) resold: bool,
    /// The maker's own row, where the provider resells the model under a row of its own.
    pub(super) maker: Option<&'static Model>,
}

/// The row for a model name, at a provider or, when none is given, at the one the name tells.
pub(super) fn find(provider: Option<&str>, model: &str) -> Result<Found, Unpriced> {
    let name = lower(model.trim());
    let (known, name) = match provider {
        Some(given) => {
            let found = find_provider(given).map(|provider| (Some(provider), name.clone()));
            found
                .or_else(|| routed(given, &name))
                .ok_or_else(|| Unpriced::UnknownProvider { provider: given.to_owned(), model: model.to_owned() })?
        }
        None => (None, name),
    };
    // Most names need no respelling.
    let found = find_spelled(known, &name);
    let found = found.or_else(|| spellings(&name).iter().skip(1).find_map(|name| find_spelled(known, name)));
    found.ok_or_else(|| Unpriced::UnknownModel { provider: known.map(|provider| provider.id), model: model.to_owned() })
}

fn find_spelled(known: Option<&'static Provider>, name: &str) -> Option<Found> {
    let plain = known.or_else(|| serving(name)).map(|provider| (provider, name));
    // `openai/gpt-4o`: the part before the slash names the provider, or repeats it.
    let prefixed = name.split_once('/').and_then(|(prefix, rest)| Some((by_id(unaliased(prefix))?, rest)));
    let prefixed = prefixed.filter(|(named, _)| known.is_none_or(|known| known.id == named.id));
    plain.into_iter().chain(prefixed).find_map(|(provider, name)| find_model(provider, name))
}

/// A provider by its id, an OpenTelemetry name or another of its names.
pub(super) fn find_provider(given: &str) -> Option<&'static Provider> {
    let name = lower(given.trim());
    let name = unaliased(&name);
    by_id(name).or_else(|| PROVIDERS.iter().find(|provider| is_named(provider, name)))
}

/// A router that names behind a colon who serves the model (`huggingface`, `x/y:groq`), and that the list knows by both
/// names.
fn routed<'a>(router: &str, model: &'a str) -> Option<(Option<&'static Provider>, Cow<'a, str>)> {
    let (name, server) = model.rsplit_once(':')?;
    let provider = by_id(&format!("{}_{server}", lower(router.trim())))?;
    Some((Some(provider), Cow::Borrowed(name)))
}

/// Whether one of two names of a model says all that the other says, in whatever order and spelling: a model and its
/// dated snapshot (`claude-sonnet-4.6`, `claude-4.6-sonnet-20260217`), a model and a variant of it (`grok-3-mini-high`).
pub(crate) fn is_kin(one: &str, other: &str) -> bool {
    let words = |name: &str| -> Vec<String> {
        let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        let words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
        words.filter(|word| !matches!(*word, "" | "latest")).map(str::to_owned).collect()
    };
    let (one, other) = (words(one), words(other));
    let holds = |all: &[String], some: &[String]| !some.is_empty() && some.iter().all(|word| all.contains(word));
    holds(&one, &other) || holds(&other, &one)
}

/// Whether a pattern that is not a model's own id means this lower-case name.
pub(super) fn matches(pattern: &Pattern, name: &str) -> bool {
    let (text, name) = match pattern {
        Pattern::Id => return false,
        Pattern::Any(patterns) => return patterns.iter().any(|pattern| matches(pattern, name)),
        Pattern::All(patterns) => return patterns.iter().all(|pattern| matches(pattern, name)),
        Pattern::Not(pattern) => return !matches(pattern, name),
        Pattern::Name(text) | Pattern::Prefix(text) | Pattern::Suffix(text) | Pattern::Contains(text) => {
            (text.as_bytes(), name.as_bytes())
        }
    };
    match pattern {
        Pattern::Prefix(_) => name.get(..text.len()).is_some_and(|head| same(text, head)),
        Pattern::Suffix(_) => {
            name.len().checked_sub(text.len()).and_then(|at| name.get(at..)).is_some_and(|tail| same(text, tail))
        }
        Pattern::Contains(_) => text.is_empty() || name.windows(text.len()).any(|part| same(text, part)),
        _ => same(text, name),
    }
}

/// Equal byte by byte, where `#` in the pattern is any digit.
fn same(pattern: &[u8], name: &[u8]) -> bool {
    pattern.len() == name.len()
        && pattern.iter().zip(name).all(|(wanted, byte)| wanted == byte || (*wanted == b'#' && byte.is_ascii_digit()))
}

fn find_model(provider: &'static Provider, name: &str) -> Option<Found> {
    if let Some(model) = own_model(provider, name) {
        let maker = makers(provider.resells, name).find_map(|(maker, name)| spelled_model(maker, name));
        return Some(Found { provider, model, resold: false, maker });
    }
    let sellers = makers(provider.fallback, name).chain(makers(provider.resells, name));
    let resold = sellers.filter_map(|(maker, name)| own_model(maker, name)).next();
    resold.map(|model| Found { provider, model, resold: true, maker: None })
}

/// Of these providers, those that a name can mean, with the name that they use: marketplaces put the maker before it.
fn makers<'a>(ids: &'a [&str], name: &'a str) -> impl Iterator<Item = (&'static Provider, &'a str)> {
    ids.iter().filter_map(move |id| match name.split_once('/') {
        Some((maker, name)) => Some((by_id(id).filter(|_| maker == *id)?, name)),
        None => Some((by_id(id)?, name)),
    })
}

fn spelled_model(provider: &'static Provider, name: &str) -> Option<&'static Model> {
    own_model(provider, name).or_else(|| spellings(name).iter().skip(1).find_map(|name| own_model(provider, name)))
}

fn own_model(provider: &'static Provider, name: &str) -> Option<&'static Model> {
    provider.models.iter().find(|model| match &model.pattern {
        Pattern::Id => model.id == name,
        pattern => matches(pattern, name),
    })
}

fn by_id(id: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.id == id)
}

/// The list's id for a provider that goes by another name elsewhere.
fn unaliased(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, id)| id)
}

fn is_named(provider: &Provider, name: &str) -> bool {
    provider.named_like.as_ref().is_some_and(|pattern| matches(pattern, name))
}

/// The provider whose models are named like this one.
fn serving(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.serves.as_ref().is_some_and(|pattern| matches(pattern, name)))
}

/// A way to write a name that means the same model.
type Respelling = fn(&str) -> Option<String>;

/// Each is applied to all that those before it gave, so they combine.
///
/// 1. Without a resource path: `models/gemini-x`, `publishers/google/models/gemini-x`,
///    `arn:aws:bedrock:...:inference-profile/us.anthropic.claude-x`.
/// 2. Without a word that says how to route or to search: `x/y:online`.
/// 3. `claude-x-20260801` as `claude-x-2026-08-01`, which some lists write.
/// 4. Without a date: a dated snapshot costs what its model costs, unless the list has a row for the snapshot, which an
///    earlier spelling then found.
/// 5. Without the effort that was asked for (`grok-3-mini-high`): thinking more is no other price.
/// 6. A Claude's family behind its version (`claude-4.6-sonnet`), as marketplaces write it.
/// 7. `grok-4.1` as `grok-4-1`.
/// 8. With the version that Amazon's older API demands and its newer one leaves out: `openai.gpt-oss-x-1:0`.
const RESPELLINGS: [Respelling; 8] = [
    |name| Some(without_path(name).to_owned()),
    |name| name.rsplit_once(':').filter(|(_, word)| ROUTING.contains(word)).map(|(name, _)| name.to_owned()),
    dashed_date,
    |name| split_date(name).map(|(name, _)| name.to_owned()),
    |name| EFFORTS.iter().find_map(|effort| name.strip_suffix(effort)).map(str::to_owned),
    family_first,
    dashed_version,
    |name| name.starts_with("openai.").then(|| format!("{name}-1:0")),
];
/// How OpenRouter is to choose among those who serve a model, and whether it is to search.
const ROUTING: [&str; 4] = ["online", "nitro", "floor", "exacto"];
const EFFORTS: [&str; 4] = ["-high", "-low", "-xhigh", "-minimal"];
/// More spellings than any real name has.
const SPELLINGS_MAX: usize = 32;

/// The name itself, then what it may stand for, most literal first.
fn spellings(name: &str) -> Vec<Cow<'_, str>> {
    let mut spellings: Vec<Cow<'_, str>> = vec![Cow::Borrowed(name)];
    for respell in RESPELLINGS {
        let respelled: Vec<String> = spellings.iter().filter_map(|name| respell(name)).collect();
        for name in respelled {
            if spellings.len() < SPELLINGS_MAX && !spellings.iter().any(|known| *known == name) {
                spellings.push(Cow::Owned(name));
            }
        }
    }
    spellings
}

fn dashed_date(name: &str) -> Option<String> {
    let (model, date) = split_date(name)?;
    let (year, month, day) = (date.get(..4)?, date.get(4..6)?, date.get(6..)?);
    (date.len() == 8).then(|| format!("{model}-{year}-{month}-{day}"))
}

/// `claude-4.6-sonnet` as `claude-sonnet-4.6`.
fn family_first(name: &str) -> Option<String> {
    let at = name.find("claude-")?.checked_add("claude-".len())?;
    let (start, rest) = name.split_at_checked(at)?;
    let (version, rest) =
        rest.split_once('-').filter(|(version, _)| version.starts_with(|c: char| c.is_ascii_digit()))?;
    let (family, rest) = rest.split_once('-').map_or((rest, None), |(family, rest)| (family, Some(rest)));
    let is_family = family.bytes().all(|byte| byte.is_ascii_lowercase());
    let rest = rest.map(|rest| format!("-{rest}")).unwrap_or_default();
    is_family.then(|| format!("{start}{family}-{version}{rest}"))
}

/// The name with a dash for every dot between digits.
fn dashed_version(name: &str) -> Option<String> {
    let bytes = name.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let dashed = name.char_indices().map(|(at, letter)| match letter {
        '.' if is_digit(at.checked_sub(1)) && is_digit(at.checked_add(1)) => '-',
        other => other,
    });
    let dashed: String = dashed.collect();
    (dashed != name).then_some(dashed)
}

/// A model name out of a resource path of Google or Amazon; other slashes belong to the name.
fn without_path(name: &str) -> &str {
    let is_path = ["models/", "publishers/", "projects/", "arn:aws"].iter().any(|start| name.starts_with(start));
    match name.rsplit_once('/') {
        Some((_, last)) if is_path => last,
        _ => name,
    }
}

/// Splits `model-20260801`, `model@20260801` or `model-2026-08-01` into model and date, the date as written.
fn split_date(name: &str) -> Option<(&str, &str)> {
    let dated = |length: usize, shape: &[u8]| {
        let at = name.len().checked_sub(length)?;
        let (model, date) = (name.get(..at)?, name.get(at..)?);
        same(shape, date.as_bytes()).then_some((model, date.get(1..)?))
    };
    let found = dated(9, b"-20######").or_else(|| dated(9, b"@20######")).or_else(|| dated(11, b"-20##-##-##"));
    found.filter(|(model, _)| !model.is_empty())
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(provider: Option<&str>, model: &str, expected: Option<(&str, &str)>) {
        let found = find(provider, model).ok().map(|found| (found.provider.id, found.model.id));
        assert_eq!(found, expected, "{provider:?} {model}");
    }

    #[test]
    fn names_that_providers_return_find_their_model() {
        for (provider, model, expected) in [
            (Some("openai"), "gpt-4o-2024-08-06", ("openai", "gpt-4o")),
            (Some("openai"), "GPT-4o-mini", ("openai", "gpt-4o-mini")),
            (Some("openai"), "openai/gpt-4o", ("openai", "gpt-4o")),
            (None, "openai/gpt-4o", ("openai", "gpt-4o")),
            (Some("anthropic"), "anthropic/claude-sonnet-4-5-20250929", ("anthropic", "claude-sonnet-4-5")),
            (None, "claude-sonnet-4-5-20250929", ("anthropic", "claude-sonnet-4-5")),
            (Some("gcp.gemini"), "models/gemini-2.5-pro", ("google", "gemini-2.5-pro")),
            (None, "models/gemini-2.5-pro", ("google", "gemini-2.5-pro")),
            (
                Some("gcp.vertex_ai"),
                "projects/p/locations/eu/publishers/anthropic/models/claude-sonnet-4-5@20250929",
                ("google", "claude-sonnet-4-5"),
            ),
            (
                Some("aws.bedrock"),
                "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                ("aws", "regional.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            ),
            (Some("aws.bedrock"), "openai.gpt-oss-120b", ("aws", "openai.gpt-oss-120b-1:0")),
            (Some("aws.bedrock"), "openai.gpt-5.6-luna", ("aws", "regional.openai.gpt-5.6-luna")),
            (Some("aws.bedrock"), "global.openai.gpt-5.6-luna", ("aws", "global.openai.gpt-5.6-luna")),
            (Some("azure.ai.openai"), "gpt-6-sol-2026-08-01", ("azure", "gpt-6-sol")),
            (Some("mistral_ai"), "mistralai/mistral-large-latest", ("mistral", "mistral-large")),
            // A compact date where the list writes dashes, and a snapshot that the list has no row for.
            (Some("openai"), "gpt-5.2-20251211", ("openai", "gpt-5.2")),
            (Some("groq"), "llama-3.3-70b-versatile-20260101", ("groq", "llama-3.3-70b-versatile")),
            // A marketplace's names: dated, turned around, with words for its router, and of models it has no row for.
            (Some("openrouter"), "anthropic/claude-4.6-sonnet-20260217", ("openrouter", "anthropic/claude-sonnet-4.6")),
            (Some("openrouter"), "openai/gpt-4o:online", ("openrouter", "openai/gpt-4o")),
            (Some("openrouter"), "x-ai/grok-4.1-fast", ("openrouter", "grok-4-1-fast-reasoning")),
            (Some("openrouter"), "openai/text-embedding-3-small", ("openrouter", "text-embedding-3-small")),
            (Some("openrouter"), "text-embedding-3-small", ("openrouter", "text-embedding-3-small")),
            (Some("openrouter"), "nobody/new-model:free", ("openrouter", "*:free")),
            (None, "anthropic/claude-sonnet-4.5", ("anthropic", "claude-sonnet-4-5")),
            (Some("huggingface"), "openai/gpt-oss-120b:groq", ("huggingface_groq", "openai/gpt-oss-120b")),
            // How hard it thinks is no other price.
            (Some("x_ai"), "grok-3-mini-high", ("x-ai", "grok-3-mini")),
            (Some("fireworks"), "accounts/fireworks/models/deepseek-v4-pro", ("fireworks", "deepseek-v4-pro")),
        ] {
            check(provider, model, Some(expected));
        }
    }

    #[test]
    fn the_opentelemetry_names_of_providers_are_understood() {
        for (name, id) in [
            ("openai", "openai"),
            ("anthropic", "anthropic"),
            ("aws.bedrock", "aws"),
            ("azure.ai.openai", "azure"),
            ("azure.ai.inference", "azure"),
            ("gcp.gemini", "google"),
            ("gcp.vertex_ai", "google"),
            ("gcp.gen_ai", "google"),
            ("cohere", "cohere"),
            ("deepseek", "deepseek"),
            ("groq", "groq"),
            ("mistral_ai", "mistral"),
            ("perplexity", "perplexity"),
            ("x_ai", "x-ai"),
            ("moonshot_ai", "moonshotai"),
        ] {
            assert_eq!(find_provider(name).map(|provider| provider.id), Some(id), "{name}");
        }
    }

    #[test]
    fn a_model_nobody_listed_is_unknown_and_never_a_neighbour() {
        for (provider, model) in [
            (Some("anthropic"), "claude-nonsense-99"),
            (None, "claude-nonsense-99"),
            (Some("openai"), "gpt-99"),
            (Some("openai"), "gpt-99-2026-01-01"),
            (None, "nobody/gpt-4o"),
            (Some("openai"), "not-openai/gpt-4o"),
            (None, ""),
            (Some("openai"), ""),
            (Some("openai"), "-2026-01-01"),
            (Some("mistral"), "claude-sonnet-4-5"),
            (Some("mistral"), "devstral-medium"),
            (Some("openrouter"), "openai/gpt-99"),
            (Some("openrouter"), "nobody/gpt-4o"),
            (Some("openrouter"), "nobody/claude-3-haiku"),
            (Some("anthropic"), "claude-haiku-5-5-turbo"),
            (Some("huggingface"), "Qwen/Qwen3-32B"),
            (Some("huggingface"), "Qwen/Qwen3-32B:nobody"),
        ] {
            check(provider, model, None);
        }
    }

    #[test]
    fn no_respelling_of_a_listed_name_is_another_model() {
        for provider in PROVIDERS {
            for model in provider.models.iter().filter(|model| own_model(provider, &lower(model.id)).is_some()) {
                let name = lower(model.id);
                let first = own_model(provider, &name).unwrap();
                for respelled in spellings(&name).iter().filter(|respelled| **respelled != name) {
                    let found = own_model(provider, respelled).map(|found| found.id);
                    let is_dated = name.ends_with(":free")
                        || split_date(&name).is_some()
                        || EFFORTS.iter().any(|effort| name.ends_with(effort));
                    assert!(found.is_none_or(|found| found == first.id || is_dated), "{name} {respelled} {found:?}");
                }
            }
        }
    }

    #[test]
    fn kin_are_names_of_which_one_says_all_that_the_other_says() {
        for (one, other) in [
            ("claude-sonnet-4.6", "anthropic/claude-4.6-sonnet-20260217"),
            ("grok-3-mini", "grok-3-mini-high"),
            ("gpt-4o-2024-11-20", "gpt-4o"),
            ("claude-3-5-haiku-latest", "claude-3-5-haiku-20241022"),
            ("openai/text-embedding-3-small", "text-embedding-3-small"),
        ] {
            assert!(is_kin(one, other) && is_kin(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("google/gemini-2.0-flash-exp:free", "x-ai/grok-4"),
            ("gpt-4o", "llama-3-70b"),
            ("gpt-4o", ""),
            ("gpt-4.1", "gpt-4o-mini"),
        ] {
            assert!(!is_kin(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_hash_in_a_pattern_is_one_digit() {
        assert!(matches(&Pattern::Name("a-##"), "a-07"));
        assert!(!matches(&Pattern::Name("a-##"), "a-7"));
        assert!(matches(&Pattern::Prefix("a-#"), "a-7b"));
        assert!(!matches(&Pattern::Not(&Pattern::Contains("-tts-")), "x-tts-1"));
    }
}
