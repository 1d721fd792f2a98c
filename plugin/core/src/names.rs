//! Every name that Tollgate exports: metrics, labels, filter state, headers.
//!
//! One file, so that a name is spelled once, and a reader sees the whole surface.
//! Sources: OTel GenAI semantic conventions (`gen_ai.*`), the observability plan's span attributes (`llm.*`).

/// The version of the event's schema.
pub const EVENT_SCHEMA: &str = "tollgate.event/1";
/// The version of the schema of a grant's event.
pub const GRANT_SCHEMA: &str = "tollgate.grant/1";
/// What the log line of a threshold that was crossed starts with.
pub const THRESHOLD_LOG_PREFIX: &str = "tollgate threshold ";
/// What the log line of a grant starts with.
pub const GRANT_LOG_PREFIX: &str = "tollgate grant ";
/// What the log line of a report on a task starts with.
pub const OUTCOME_LOG_PREFIX: &str = "tollgate outcome ";
/// What the log line starts with that says that the store of a fleet cannot be reached, or is back.
pub const STORE_LOG_PREFIX: &str = "tollgate store ";
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
    /// Calls that a prompt cache did not serve as it could have, by reason.
    pub const CACHE_MISSES: &str = "tollgate_cache_misses_total";
    /// Templates that an application had not used before, by the component that grew.
    pub const TEMPLATE_DRIFTS: &str = "tollgate_template_drifts_total";
    /// Input tokens of tools that an answer did not call.
    pub const UNUSED_TOOL_TOKENS: &str = "tollgate_unused_tool_tokens_total";
    /// Their cost in nanodollars.
    pub const UNUSED_TOOL_COST: &str = "tollgate_unused_tool_cost_nanousd_total";
    /// Calls that a response cache served.
    pub const RESPONSE_CACHE_HITS: &str = "tollgate_response_cache_hits_total";
    /// What they would have cost, in nanodollars.
    pub const RESPONSE_CACHE_AVOIDED: &str = "tollgate_response_cache_avoided_nanousd_total";
    /// Calls with a prompt that was answered shortly before.
    pub const REPEATED: &str = "tollgate_repeated_requests_total";
    /// Their cost in nanodollars.
    pub const REPEATED_COST: &str = "tollgate_repeated_requests_nanousd_total";
    /// Calls whose usage is unknown, by reason.
    pub const UNMETERED: &str = "tollgate_unmetered_total";
    /// Calls without a price.
    pub const UNPRICED: &str = "tollgate_unpriced_total";
    /// Calls that a limit found beyond it, by limit and action.
    pub const LIMITED: &str = "tollgate_limited_total";
    /// Thresholds of budgets that were crossed, by limit and per cent.
    pub const THRESHOLDS: &str = "tollgate_thresholds_total";
    /// What is charged to a budget, by limit and key.
    pub const BUDGET_USED: &str = "tollgate_budget_used";
    /// What is set aside in a budget for calls that run.
    pub const BUDGET_RESERVED: &str = "tollgate_budget_reserved";
    /// The most that a budget allows.
    pub const BUDGET_LIMIT: &str = "tollgate_budget_limit";
    /// What is left of a budget.
    pub const BUDGET_REMAINING: &str = "tollgate_budget_remaining";
    /// What of a budget the gateway has leased and not used.
    pub const BUDGET_LEASED: &str = "tollgate_budget_leased";
    /// How old what the gateway knows of the rest of its fleet is, in milliseconds.
    pub const STORE_LAG: &str = "tollgate_store_lag_ms";
    /// Calls that waited for the store, by limit and outcome.
    pub const STORE_WAITS: &str = "tollgate_store_waits_total";
    /// Requests to the store that failed, by reason.
    pub const STORE_ERRORS: &str = "tollgate_store_errors_total";
    /// Host calls that failed, by function and status; the filter went on without them.
    pub const HOST_ERRORS: &str = "tollgate_host_errors_total";
    /// Records that the ledger could not keep or read, by reason; the call went on without them.
    pub const LEDGER_ERRORS: &str = "tollgate_ledger_errors_total";
    /// Spans and log records that did not reach the collector, by signal and reason.
    pub const EXPORT_DROPPED: &str = "tollgate_export_dropped_total";
    /// Labels of calls that were counted as `other`, by label.
    pub const FOLDED: &str = "tollgate_folded_total";
    /// Calls that were made before, by who sent them again.
    pub const RETRIES: &str = "tollgate_retries_total";
    /// What tries cost that had to be made again, in nanodollars, by cause.
    pub const RETRY_COST: &str = "tollgate_retry_cost_nanousd_total";
    /// Calls that another model answered than was asked for.
    pub const FALLBACKS: &str = "tollgate_fallbacks_total";
    /// Cost of calls that are overhead of others, in nanodollars.
    pub const OVERHEAD_COST: &str = "tollgate_overhead_cost_nanousd_total";
    /// What calls would have cost on another model, in nanodollars.
    pub const ALTERNATIVE_COST: &str = "tollgate_alternative_cost_nanousd_total";
    /// Cost of calls that did not end well, in nanodollars.
    pub const FAILED_COST: &str = "tollgate_failed_cost_nanousd_total";
    /// Calls that failed, by class of error.
    pub const ERRORS: &str = "tollgate_errors_total";
    /// How much of a provider's rate limit is used, in per mille, by what it counts.
    pub const RATE_LIMIT_USED: &str = "tollgate_rate_limit_used_permille";
    /// Results of tasks that were reported, by result.
    pub const TASK_OUTCOMES: &str = "tollgate_task_outcomes_total";
    /// What tasks had cost when their result was reported, in nanodollars, by result.
    pub const TASK_OUTCOME_COST: &str = "tollgate_task_outcome_cost_nanousd_total";
    /// What the operator pays each month whatever is called, in nanodollars, by item.
    pub const MONTHLY_COST: &str = "tollgate_monthly_cost_nanousd";
    /// Configurations that were refused.
    pub const CONFIG_ERRORS: &str = "tollgate_config_errors_total";
    /// Whole calls, in milliseconds.
    pub const DURATION: &str = "tollgate_duration_ms";
    /// Time to the first byte of the answer, in milliseconds.
    pub const TTFT: &str = "tollgate_ttft_ms";
    /// Time from one output token to the next, in microseconds.
    pub const TIME_PER_TOKEN: &str = "tollgate_time_per_output_token_us";

    /// Every metric, in the order in which the README lists them.
    pub const ALL: [&str; 47] = [
        REQUESTS,
        TOKENS,
        BUCKET_TOKENS,
        COST,
        COMPONENT_TOKENS,
        COMPONENT_COST,
        CACHE_SAVINGS,
        CACHE_LOSSES,
        CACHE_MISSES,
        TEMPLATE_DRIFTS,
        UNUSED_TOOL_TOKENS,
        UNUSED_TOOL_COST,
        RESPONSE_CACHE_HITS,
        RESPONSE_CACHE_AVOIDED,
        REPEATED,
        REPEATED_COST,
        UNMETERED,
        UNPRICED,
        LIMITED,
        THRESHOLDS,
        RETRIES,
        RETRY_COST,
        FALLBACKS,
        OVERHEAD_COST,
        ALTERNATIVE_COST,
        FAILED_COST,
        ERRORS,
        RATE_LIMIT_USED,
        TASK_OUTCOMES,
        TASK_OUTCOME_COST,
        MONTHLY_COST,
        BUDGET_USED,
        BUDGET_RESERVED,
        BUDGET_LIMIT,
        BUDGET_REMAINING,
        BUDGET_LEASED,
        STORE_LAG,
        STORE_WAITS,
        STORE_ERRORS,
        HOST_ERRORS,
        LEDGER_ERRORS,
        EXPORT_DROPPED,
        FOLDED,
        CONFIG_ERRORS,
        DURATION,
        TTFT,
        TIME_PER_TOKEN,
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
    /// Why a call is unmetered, or was not served from a cache.
    pub const REASON: &str = "reason";
    /// A limit's id.
    pub const LIMIT: &str = "limit";
    /// What a limit did.
    pub const ACTION: &str = "action";
    /// A threshold.
    pub const PERCENT: &str = "percent";
    /// Whose a budget is.
    pub const KEY: &str = "key";
    /// Spans or logs.
    pub const SIGNAL: &str = "signal";
    /// A host function.
    pub const FUNCTION: &str = "function";
    /// A status that a host function returned.
    pub const STATUS: &str = "status";

    /// A label that was folded.
    pub const LABEL: &str = "label";
    /// Why a call was made again: `client`, `gateway`, `misrouting`.
    pub const CAUSE: &str = "cause";
    /// A class of errors.
    pub const CLASS: &str = "class";
    /// A model to compare with.
    pub const ALTERNATIVE: &str = "alternative";
    /// The result of a task.
    pub const RESULT: &str = "result";
    /// What is paid each month.
    pub const ITEM: &str = "item";

    /// Every one of them, in the order in which they follow a metric's name; dimensions of attribution come last, in
    /// theirs. Kong looks for each label only behind the one before it.
    pub const ALL: [&str; 19] = [
        OUTCOME,
        TYPE,
        COMPONENT,
        SIGNAL,
        REASON,
        LIMIT,
        ACTION,
        PERCENT,
        KEY,
        FUNCTION,
        STATUS,
        LABEL,
        CAUSE,
        CLASS,
        ALTERNATIVE,
        RESULT,
        ITEM,
        MODEL,
        PROVIDER,
    ];
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

/// Attributes of exported spans. OTel's GenAI conventions, OpenInference's, and the observability plan's for the rest.
pub mod otlp {
    pub use super::state::{
        APPLICATION, CACHE_READ_TOKENS as CACHE_READ, COST, INPUT_TOKENS, OPERATION, OUTCOME, OUTPUT_TOKENS, PROVIDER,
        REQUEST_MODEL, RESPONSE_MODEL,
    };
    /// OpenInference: what the span is.
    pub const SPAN_KIND: &str = "openinference.span.kind";
    /// OTel: the provider's id of the response.
    pub const RESPONSE_ID: &str = "gen_ai.response.id";
    /// OTel: why generation stopped.
    pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
    /// OTel: the answer was streamed.
    pub const STREAM: &str = "gen_ai.request.stream";
    /// OTel: the session.
    pub const CONVERSATION: &str = "gen_ai.conversation.id";
    /// OTel: the agent.
    pub const AGENT: &str = "gen_ai.agent.name";
    /// OTel: input tokens written to a prompt cache.
    pub const CACHE_CREATION: &str = "gen_ai.usage.cache_creation.input_tokens";
    /// OTel: output tokens that were thought and not shown.
    pub const REASONING: &str = "gen_ai.usage.reasoning.output_tokens";
    /// OTel: the HTTP status.
    pub const HTTP_STATUS: &str = "http.response.status_code";
    /// OTel: what went wrong.
    pub const ERROR_TYPE: &str = "error.type";
    /// OpenInference: the model.
    pub const OI_MODEL: &str = "llm.model_name";
    /// OpenInference: the provider.
    pub const OI_PROVIDER: &str = "llm.provider";
    /// OpenInference: input tokens.
    pub const OI_PROMPT: &str = "llm.token_count.prompt";
    /// OpenInference: output tokens.
    pub const OI_COMPLETION: &str = "llm.token_count.completion";
    /// OpenInference: both.
    pub const OI_TOTAL: &str = "llm.token_count.total";
    /// OpenInference: input tokens read from a cache.
    pub const OI_CACHE_READ: &str = "llm.token_count.prompt_details.cache_read";
    /// OpenInference: input tokens written to a cache.
    pub const OI_CACHE_WRITE: &str = "llm.token_count.prompt_details.cache_write";
    /// OpenInference: audio input tokens.
    pub const OI_AUDIO_INPUT: &str = "llm.token_count.prompt_details.audio";
    /// OpenInference: reasoning tokens.
    pub const OI_REASONING: &str = "llm.token_count.completion_details.reasoning";
    /// OpenInference: audio output tokens.
    pub const OI_AUDIO_OUTPUT: &str = "llm.token_count.completion_details.audio";
    /// OpenInference: dollars.
    pub const OI_COST: &str = "llm.cost.total";
    /// OpenInference: the session.
    pub const OI_SESSION: &str = "session.id";
    /// OpenInference: the user.
    pub const OI_USER: &str = "user.id";
    /// The user, by OTel's older name.
    pub const END_USER: &str = "enduser.id";
    /// The task.
    pub const TASK: &str = "llm.task_id";
    /// The kind of task.
    pub const TASK_TYPE: &str = "llm.task_type";
    /// The model that answered.
    pub const MODEL: &str = "llm.model";
    /// Input tokens read from a cache.
    pub const CACHED_TOKENS: &str = "llm.cached_tokens";
    /// Cache-read tokens over all input tokens.
    pub const HIT_RATE: &str = "llm.cache_hit_rate";
    /// Milliseconds of the whole call.
    pub const LATENCY: &str = "llm.latency_ms";
    /// Milliseconds to the first byte of the answer.
    pub const TTFT: &str = "llm.time_to_first_token_ms";
    /// The HTTP status.
    pub const STATUS: &str = "llm.status_code";
    /// Input tokens of the instructions.
    pub const TOKENS_SYSTEM: &str = "llm.token_count.system";
    /// Input tokens of tool definitions.
    pub const TOKENS_TOOLS: &str = "llm.token_count.tools";
    /// Input tokens of examples.
    pub const TOKENS_FEW_SHOT: &str = "llm.token_count.few_shot";
    /// Input tokens of the conversation so far.
    pub const TOKENS_HISTORY: &str = "llm.token_count.history";
    /// Input tokens of what the user asks now.
    pub const TOKENS_USER: &str = "llm.token_count.user";
    /// All input tokens.
    pub const TOKENS_INPUT: &str = "llm.token_count.total_input";
    /// All output tokens.
    pub const TOKENS_OUTPUT: &str = "llm.token_count.output";
    /// What the user asks now and the output, over all input and output.
    pub const EFFICIENCY: &str = "llm.token_efficiency_ratio";
    /// How sure a router was, 0 to 1.
    pub const ROUTING_CONFIDENCE: &str = "llm.routing.confidence";
    /// The models that it chose from.
    pub const ROUTING_ALTERNATIVES: &str = "llm.routing.alternatives";
    /// Tries before this one.
    pub const RETRIES: &str = "llm.retry_count";
    /// The result that the request reports of a task.
    pub const TASK_OUTCOME: &str = "llm.task_outcome";
    /// What kind of failure it met.
    pub const ERROR_CLASS: &str = "tollgate.error_class";
    /// Proposed for OTel (semantic-conventions-genai #443): the cost.
    pub const PROPOSED_COST: &str = "gen_ai.usage.cost.amount";
    /// Proposed for OTel: its currency.
    pub const PROPOSED_CURRENCY: &str = "gen_ai.usage.cost.currency";
    /// Proposed for OTel: who says so.
    pub const PROPOSED_SOURCE: &str = "gen_ai.usage.cost.source";
}

/// Headers of a refusal, of an answer that comes with a warning, and of a request that reports on a task.
pub mod header {
    /// The result of a task: `accepted` or `rejected`.
    pub const OUTCOME: &str = "x-tollgate-outcome";
    /// The task that is reported on, where that is another than the call's.
    pub const OUTCOME_TASK: &str = "x-tollgate-outcome-task";
    /// How good the result is.
    pub const OUTCOME_SCORE: &str = "x-tollgate-outcome-score";
    /// Who judged.
    pub const OUTCOME_EVALUATOR: &str = "x-tollgate-outcome-evaluator";
    /// Whether the result was there in time: `met` or `missed`.
    pub const OUTCOME_SLA: &str = "x-tollgate-outcome-sla";
    /// Tells the official SDKs whether to try again.
    pub const SHOULD_RETRY: &str = "x-should-retry";
    /// The limit that refused the call.
    pub const LIMIT: &str = "x-tollgate-limit";
    /// Limits that the call is beyond without being refused.
    pub const WARNING: &str = "x-tollgate-warning";
    /// What was changed in the request because of a limit.
    pub const CHANGED: &str = "x-tollgate-changed";
    /// Seconds after which the call may be sent again.
    pub const RETRY_AFTER: &str = "retry-after";
}
