//! Every name that Tollgate exports: metrics, labels, filter state, headers.
//!
//! One file, so that a name is spelled once, and a reader sees the whole surface.
//! Sources: OTel GenAI semantic conventions (`gen_ai.*`), the observability plan's span attributes (`llm.*`).

/// The version of the event's schema.
pub const EVENT_SCHEMA: &str = "tollgate.event/1";
/// What an event's log line starts with.
pub const EVENT_LOG_PREFIX: &str = "tollgate event ";

/// Metrics. Counters end in `_total`; labels follow a name as `;key=value`.
pub mod metric {
    /// Calls, by outcome.
    pub const REQUESTS: &str = "tollgate_requests_total";
    /// Tokens: `input`, cache included, and `output`, reasoning included.
    pub const TOKENS: &str = "tollgate_tokens_total";
    /// The same tokens by disjoint bucket.
    pub const BUCKET_TOKENS: &str = "tollgate_bucket_tokens_total";
    /// Cost in nanodollars (1e-9 USD).
    pub const COST: &str = "tollgate_cost_nanousd_total";
    /// Input tokens, by component of the prompt.
    pub const COMPONENT_TOKENS: &str = "tollgate_component_tokens_total";
    /// Input cost in nanodollars, by component of the prompt.
    pub const COMPONENT_COST: &str = "tollgate_component_cost_nanousd_total";
    /// What the prompt cache saved, in nanodollars. Losses (write premiums without a read) count in
    /// [`CACHE_LOSSES`], since counters only grow.
    pub const CACHE_SAVINGS: &str = "tollgate_cache_savings_nanousd_total";
    /// What cache writes cost beyond what reads saved, in nanodollars.
    pub const CACHE_LOSSES: &str = "tollgate_cache_losses_nanousd_total";
    /// Calls whose usage is unknown, by reason.
    pub const UNMETERED: &str = "tollgate_unmetered_total";
    /// Calls without a price.
    pub const UNPRICED: &str = "tollgate_unpriced_total";
    /// Calls that a limit found beyond it, by limit and action.
    pub const LIMITED: &str = "tollgate_limited_total";
    /// Host calls that failed, by function and status; the filter went on without them.
    pub const HOST_ERRORS: &str = "tollgate_host_errors_total";
    /// Records that the ledger could not keep or read, by reason; the call went on without them.
    pub const LEDGER_ERRORS: &str = "tollgate_ledger_errors_total";
    /// Configurations that were refused.
    pub const CONFIG_ERRORS: &str = "tollgate_config_errors_total";
    /// Whole calls, in milliseconds.
    pub const DURATION: &str = "tollgate_duration_ms";
    /// Time to the first byte of the answer, in milliseconds.
    pub const TTFT: &str = "tollgate_ttft_ms";

    /// Every metric, in the order in which the README lists them.
    pub const ALL: [&str; 16] = [
        REQUESTS,
        TOKENS,
        BUCKET_TOKENS,
        COST,
        COMPONENT_TOKENS,
        COMPONENT_COST,
        CACHE_SAVINGS,
        CACHE_LOSSES,
        UNMETERED,
        UNPRICED,
        LIMITED,
        HOST_ERRORS,
        LEDGER_ERRORS,
        CONFIG_ERRORS,
        DURATION,
        TTFT,
    ];
}

/// Label keys that are not dimensions of attribution.
pub mod label {
    /// The model that was priced.
    pub const MODEL: &str = "model";
    /// The provider.
    pub const PROVIDER: &str = "provider";
    /// How a call ended.
    pub const OUTCOME: &str = "outcome";
    /// A token bucket.
    pub const TYPE: &str = "type";
    /// A component of the prompt.
    pub const COMPONENT: &str = "component";
    /// Why a call is unmetered.
    pub const REASON: &str = "reason";
    /// A limit's id.
    pub const LIMIT: &str = "limit";
    /// What a limit did.
    pub const ACTION: &str = "action";
    /// A host function.
    pub const FUNCTION: &str = "function";
    /// A status that a host function returned.
    pub const STATUS: &str = "status";

    /// Every one of them.
    pub const ALL: [&str; 10] = [MODEL, PROVIDER, OUTCOME, TYPE, COMPONENT, REASON, LIMIT, ACTION, FUNCTION, STATUS];
}

/// Values written for access logs and spans. On Envoy each is filter state `wasm.<name>`.
pub mod state {
    /// The whole event as JSON.
    pub const EVENT: &str = "tollgate.event";
    /// How the call ended, or `in_flight`.
    pub const OUTCOME: &str = "tollgate.outcome";
    /// OTel: the operation.
    pub const OPERATION: &str = "gen_ai.operation.name";
    /// OTel: the provider.
    pub const PROVIDER: &str = "gen_ai.provider.name";
    /// OTel: the model asked for.
    pub const REQUEST_MODEL: &str = "gen_ai.request.model";
    /// OTel: the model that answered.
    pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
    /// OTel: input tokens, cache included.
    pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    /// OTel: output tokens, reasoning included.
    pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
    /// OTel: input tokens read from a prompt cache.
    pub const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
    /// The cost in US dollars, as a decimal.
    pub const COST: &str = "llm.cost";
    /// The application.
    pub const APPLICATION: &str = "llm.application_id";
}

/// Headers of a refusal.
pub mod header {
    /// Tells the official SDKs whether to try again.
    pub const SHOULD_RETRY: &str = "x-should-retry";
    /// The limit that refused the call.
    pub const LIMIT: &str = "x-tollgate-limit";
}
