//! `tollgate prices`: what a model costs, as the filter sees it.

use super::Done;
use tollgate_core::price::{Lookup, PriceBook, Quote, Terms};
use tollgate_core::time::Timestamp;
use tollgate_core::usage::Bucket;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The model as a request or response names it; all models of the list when absent.
    model: Option<String>,
    /// The provider; by the model's name when absent.
    #[arg(long)]
    provider: Option<String>,
    /// The date of the call, like 2026-08-01 or 2026-08-01T02:00:00Z; now when absent.
    #[arg(long)]
    at: Option<String>,
    /// The service tier (`flex`, `priority`, `batch`).
    #[arg(long)]
    tier: Option<String>,
    /// Input tokens of the call, for models whose price depends on it.
    #[arg(long, default_value_t = 1)]
    input_tokens: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Done {
    let at = match &arguments.at {
        Some(text) => Timestamp::parse(text).ok_or_else(|| format!("`{text}` is no date; write 2026-08-01"))?,
        None => now(),
    };
    let book = PriceBook::builtin();
    let terms = Terms { service_tier: arguments.tier.as_deref(), ..Terms::default() };
    println!("prices: {}, at {at}, in dollars per million tokens", PriceBook::source());
    let lookup = |provider, model| Lookup { provider, model, alias: None, at, terms };
    if let Some(model) = &arguments.model {
        print(&book.quote(&lookup(arguments.provider.as_deref(), model))?, arguments.input_tokens);
        return Ok(());
    }
    let wanted = |provider: &str| arguments.provider.as_deref().is_none_or(|only| only == provider);
    for (provider, model) in PriceBook::models().filter(|(provider, _)| wanted(provider)) {
        if let Ok(quote) = book.quote(&lookup(Some(provider), model)) {
            print(&quote, arguments.input_tokens);
        }
    }
    Ok(())
}

fn print(quote: &Quote<'_>, input_tokens: u64) {
    let rates: Vec<String> = Bucket::ALL
        .into_iter()
        .filter_map(|bucket| Some(format!("{} {}", bucket.name(), quote.per_million(bucket, input_tokens)?)))
        .collect();
    let provider = quote.provider().unwrap_or("any provider");
    let note = if quote.assumes_standard() { " (standard prices: the list has none for these terms)" } else { "" };
    println!("{provider} {}{note}: {}", quote.model(), rates.join(", "));
}

fn now() -> Timestamp {
    let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::from_seconds(since_epoch.as_secs())
}
