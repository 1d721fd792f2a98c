-- Tollgate's events in ClickHouse: shippers write whole events into `lines`, a materialized view types them into `calls`.
-- Needs 24.8 or later. Run once:  clickhouse-client --multiquery < schema.sql
CREATE DATABASE IF NOT EXISTS tollgate;

-- Where shippers write, one event a row; nothing is kept here. Other lines of a log are no events and pass without a trace.
CREATE TABLE IF NOT EXISTS tollgate.lines (event String) ENGINE = Null;

-- One row per call. Money is Decimal(38, 15), exact to the last digit; what is unknown is NULL, never 0; attributes that a
-- call does not have are ''.
--
-- Sorted as it is asked: by team, app and time. Shippers deliver at least once, and an event that comes twice is replaced by
-- itself; the view `chosen` reads with FINAL, so that it counts once before that has happened too.
CREATE TABLE IF NOT EXISTS tollgate.calls
(
    time DateTime64(3, 'UTC'),
    id String,
    trace_id String,
    billed_for String,
    dialect LowCardinality(String),
    provider LowCardinality(String),
    operation LowCardinality(String),
    request_model LowCardinality(String),
    response_model LowCardinality(String),
    model LowCardinality(String) COMMENT 'by the name of the price list, where it has one',
    service_tier LowCardinality(String),
    stream Bool,
    status Nullable(UInt16),
    outcome LowCardinality(String),
    error_class LowCardinality(String),
    input_tokens Nullable(UInt64),
    output_tokens Nullable(UInt64),
    input_uncached_tokens Nullable(UInt64),
    cache_read_tokens Nullable(UInt64),
    cache_write_5m_tokens Nullable(UInt64),
    cache_write_1h_tokens Nullable(UInt64),
    reasoning_tokens Nullable(UInt64),
    standard_tokens UInt64,
    usage_source LowCardinality(String),
    unmetered_reason String,
    cost_usd Nullable(Decimal(38, 15)),
    cost_source LowCardinality(String),
    unpriced_reason String,
    list_cost_usd Nullable(Decimal(38, 15)),
    contracted_cost_usd Nullable(Decimal(38, 15)),
    cost Map(LowCardinality(String), Decimal(38, 15)) COMMENT 'by kind of token',
    component_tokens Map(LowCardinality(String), UInt64),
    component_cost_usd Map(LowCardinality(String), Decimal(38, 15)),
    unused_tools_usd Nullable(Decimal(38, 15)),
    cache_savings_usd Nullable(Decimal(38, 15)),
    miss_reason LowCardinality(String),
    missed_tokens Nullable(UInt64),
    template LowCardinality(String),
    is_drift Bool,
    avoided_usd Nullable(Decimal(38, 15)),
    avoidable_usd Nullable(Decimal(38, 15)),
    app LowCardinality(String),
    team LowCardinality(String),
    user String,
    agent LowCardinality(String),
    session String,
    task String,
    task_type LowCardinality(String),
    scenario LowCardinality(String),
    feature LowCardinality(String),
    environment LowCardinality(String),
    owner LowCardinality(String),
    api_key LowCardinality(String),
    retry_of Nullable(UInt64) COMMENT 'how many tries came before',
    retry_cost_usd Nullable(Decimal(38, 15)),
    routed_to LowCardinality(String),
    is_fallback Bool,
    overhead LowCardinality(String) COMMENT 'by what, where the call is for the sake of others',
    misrouted_from LowCardinality(String),
    misrouted_cost_usd Nullable(Decimal(38, 15)),
    outcome_task String,
    outcome_result LowCardinality(String),
    ttft_ms Nullable(UInt64),
    duration_ms UInt64,
    event String COMMENT 'the whole event' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (team, app, time, id)
-- Thirteen months, so that a month can be held against that of the year before.
TTL toDateTime(time) + INTERVAL 13 MONTH;

CREATE MATERIALIZED VIEW IF NOT EXISTS tollgate.typed TO tollgate.calls AS
SELECT
    parseDateTime64BestEffort(JSONExtractString(event, 'time'), 3, 'UTC') AS time,
    JSONExtractString(event, 'id') AS id,
    JSONExtractString(event, 'trace_id') AS trace_id,
    JSONExtractString(event, 'billed_for') AS billed_for,
    JSONExtractString(event, 'dialect') AS dialect,
    JSONExtractString(event, 'provider') AS provider,
    JSONExtractString(event, 'operation') AS operation,
    JSONExtractString(event, 'request_model') AS request_model,
    JSONExtractString(event, 'response_model') AS response_model,
    multiIf(
        JSONExtractString(event, 'prices', 1, 'model') != '', JSONExtractString(event, 'prices', 1, 'model'),
        response_model != '', response_model,
        request_model) AS model,
    JSONExtractString(event, 'service_tier') AS service_tier,
    JSONExtractBool(event, 'stream') AS stream,
    JSONExtract(event, 'status', 'Nullable(UInt16)') AS status,
    JSONExtractString(event, 'outcome') AS outcome,
    JSONExtractString(event, 'error_class') AS error_class,
    JSONExtract(event, 'input_tokens', 'Nullable(UInt64)') AS input_tokens,
    JSONExtract(event, 'output_tokens', 'Nullable(UInt64)') AS output_tokens,
    JSONExtract(event, 'input_uncached_tokens', 'Nullable(UInt64)') AS input_uncached_tokens,
    JSONExtract(event, 'cache_read_tokens', 'Nullable(UInt64)') AS cache_read_tokens,
    JSONExtract(event, 'cache_write_5m_tokens', 'Nullable(UInt64)') AS cache_write_5m_tokens,
    JSONExtract(event, 'cache_write_1h_tokens', 'Nullable(UInt64)') AS cache_write_1h_tokens,
    JSONExtract(event, 'reasoning_tokens', 'Nullable(UInt64)') AS reasoning_tokens,
    JSONExtractUInt(event, 'standard_tokens') AS standard_tokens,
    JSONExtractString(event, 'usage_source') AS usage_source,
    JSONExtractString(event, 'unmetered_reason') AS unmetered_reason,
    JSONExtract(event, 'cost_usd', 'Nullable(Decimal(38, 15))') AS cost_usd,
    JSONExtractString(event, 'cost_source') AS cost_source,
    JSONExtractString(event, 'unpriced_reason') AS unpriced_reason,
    JSONExtract(event, 'list_cost_usd', 'Nullable(Decimal(38, 15))') AS list_cost_usd,
    JSONExtract(event, 'contracted_cost_usd', 'Nullable(Decimal(38, 15))') AS contracted_cost_usd,
    JSONExtract(event, 'cost', 'Map(LowCardinality(String), Decimal(38, 15))') AS cost,
    mapFromArrays(
        JSONExtractKeys(event, 'components'),
        arrayMap(c -> JSONExtractUInt(event, 'components', c, 'tokens'), JSONExtractKeys(event, 'components'))
    ) AS component_tokens,
    -- Components have a cost each, or none has.
    if(
        cost_usd IS NULL,
        map(),
        mapFromArrays(
            JSONExtractKeys(event, 'components'),
            arrayMap(c -> JSONExtract(event, 'components', c, 'cost_usd', 'Decimal(38, 15)'), JSONExtractKeys(event, 'components'))
        )
    ) AS component_cost_usd,
    JSONExtract(event, 'tools', 'unused_cost_usd', 'Nullable(Decimal(38, 15))') AS unused_tools_usd,
    JSONExtract(event, 'cache', 'savings_usd', 'Nullable(Decimal(38, 15))') AS cache_savings_usd,
    JSONExtractString(event, 'cache', 'miss_reason') AS miss_reason,
    JSONExtract(event, 'cache', 'missed_tokens', 'Nullable(UInt64)') AS missed_tokens,
    JSONExtractString(event, 'template', 'fingerprint') AS template,
    JSONType(event, 'template', 'drift') = 'Object' AS is_drift,
    JSONExtract(event, 'response_cache', 'avoided_usd', 'Nullable(Decimal(38, 15))') AS avoided_usd,
    JSONExtract(event, 'response_cache', 'avoidable_usd', 'Nullable(Decimal(38, 15))') AS avoidable_usd,
    JSONExtractString(event, 'attribution', 'app') AS app,
    JSONExtractString(event, 'attribution', 'team') AS team,
    JSONExtractString(event, 'attribution', 'user') AS user,
    JSONExtractString(event, 'attribution', 'agent') AS agent,
    JSONExtractString(event, 'attribution', 'session') AS session,
    JSONExtractString(event, 'attribution', 'task') AS task,
    JSONExtractString(event, 'attribution', 'task_type') AS task_type,
    JSONExtractString(event, 'attribution', 'scenario') AS scenario,
    JSONExtractString(event, 'attribution', 'feature') AS feature,
    JSONExtractString(event, 'attribution', 'environment') AS environment,
    JSONExtractString(event, 'attribution', 'owner') AS owner,
    JSONExtractString(event, 'attribution', 'api_key') AS api_key,
    JSONExtract(event, 'retry', 'number', 'Nullable(UInt64)') AS retry_of,
    JSONExtract(event, 'retry', 'earlier_cost_usd', 'Nullable(Decimal(38, 15))') AS retry_cost_usd,
    JSONExtractString(event, 'routing', 'selected') AS routed_to,
    JSONExtractBool(event, 'routing', 'fallback') AS is_fallback,
    JSONExtractString(event, 'routing', 'overhead') AS overhead,
    JSONExtractString(event, 'routing', 'misrouted', 'model') AS misrouted_from,
    JSONExtract(event, 'routing', 'misrouted', 'cost_usd', 'Nullable(Decimal(38, 15))') AS misrouted_cost_usd,
    JSONExtractString(event, 'task_outcome', 'task') AS outcome_task,
    JSONExtractString(event, 'task_outcome', 'result') AS outcome_result,
    JSONExtract(event, 'timing', 'ttft_ms', 'Nullable(UInt64)') AS ttft_ms,
    JSONExtractUInt(event, 'timing', 'duration_ms') AS duration_ms,
    event
FROM tollgate.lines
WHERE JSONExtractString(event, 'schema') = 'tollgate.event/1';

-- What the queries read: every call once, with its month and day.
CREATE VIEW IF NOT EXISTS tollgate.chosen AS
SELECT *, formatDateTime(time, '%Y-%m') AS month, toDate(time) AS day
FROM tollgate.calls FINAL;

-- What they cost, by level of the drill-down; each query of a level shows its own.
CREATE VIEW IF NOT EXISTS tollgate.levels AS
SELECT
    multiIf(grouping(month) = 1, 'month', grouping(app) = 1, 'app', grouping(task) = 1, 'task', 'session') AS level,
    month, app, team, task_type, task, session, user,
    min(time) AS begun,
    max(time) AS last_call,
    count() AS calls,
    sum(chosen.input_tokens) AS input_tokens,
    sum(chosen.output_tokens) AS output_tokens,
    sum(chosen.cost_usd) AS cost_usd,
    countIf(chosen.cost_usd IS NULL) AS calls_without_cost,
    sum(chosen.cache_savings_usd) AS cache_savings_usd
FROM tollgate.chosen
GROUP BY GROUPING SETS ((month), (app, team), (task_type, task), (session, user))
SETTINGS force_grouping_standard_compatibility = 0;
