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
}

/// The row for a model name, at a provider or, when none is given, at the one the name tells.
pub(super) fn find(provider: Option<&str>, model: &str) -> Result<Found, Unpriced> {
    let name = lower(model.trim());
    let known = match provider {
        Some(given) => Some(
            find_provider(given)
                .ok_or_else(|| Unpriced::UnknownProvider { provider: given.to_owned(), model: model.to_owned() })?,
        ),
        None => None,
    };
    for spelling in spellings(&name) {
        let plain = known.or_else(|| serving(&spelling)).map(|provider| (provider, &*spelling));
        // `openai/gpt-4o`: the part before the slash names the provider, or repeats it.
        let prefixed = spelling.split_once('/').and_then(|(prefix, rest)| Some((by_id(unaliased(prefix))?, rest)));
        let prefixed = prefixed.filter(|(named, _)| known.is_none_or(|known| known.id == named.id));
        let found = plain.into_iter().chain(prefixed).find_map(|(provider, name)| find_model(provider, name));
        if let Some(found) = found {
            return Ok(found);
        }
    }
    Err(Unpriced::UnknownModel { provider: known.map(|provider| provider.id), model: model.to_owned() })
}

/// A provider by its id, an OpenTelemetry name or another of its names.
pub(super) fn find_provider(given: &str) -> Option<&'static Provider> {
    let name = lower(given.trim());
    let name = unaliased(&name);
    by_id(name).or_else(|| PROVIDERS.iter().find(|provider| is_named(provider, name)))
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
    let own = own_model(provider, name).map(|model| Found { provider, model, resold: false });
    own.or_else(|| {
        let sellers = provider.fallback.iter().filter_map(|id| by_id(id));
        sellers.filter_map(|seller| own_model(seller, name)).next().map(|model| Found { provider, model, resold: true })
    })
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

/// The name itself, then what it may stand for, most literal first.
///
/// 1. `claude-x-20260801` as `claude-x-2026-08-01`, which some lists write;
/// 2. without a resource path: `models/gemini-x`, `publishers/google/models/gemini-x`,
///    `arn:aws:bedrock:...:inference-profile/us.anthropic.claude-x`;
/// 3. without a date: `gpt-x-2026-08-01`, `claude-x@20260801`: a dated snapshot costs what its model costs, unless
///    the list has a row for the snapshot, which an earlier spelling then found;
/// 4. with the version that Amazon's older API demands and its newer one leaves out: `openai.gpt-oss-x-1:0`.
fn spellings(name: &str) -> Vec<Cow<'_, str>> {
    let mut spellings: Vec<Cow<'_, str>> = vec![Cow::Borrowed(name)];
    let bare = without_path(name);
    if bare != name {
        spellings.push(Cow::Borrowed(bare));
    }
    for name in [name, bare] {
        if let Some((model, date)) = split_date(name) {
            if let (8, Some(year), Some(month), Some(day)) = (date.len(), date.get(..4), date.get(4..6), date.get(6..))
            {
                spellings.push(Cow::Owned(format!("{model}-{year}-{month}-{day}")));
            }
            spellings.push(Cow::Borrowed(model));
        }
        if bare == name {
            break;
        }
    }
    if bare.starts_with("openai.") {
        spellings.push(Cow::Owned(format!("{bare}-1:0")));
    }
    spellings
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
        ] {
            check(provider, model, None);
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
