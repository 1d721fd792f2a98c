-- Tollgate's events as a table: one row per call, from a log of JSON lines.
--
-- Set `log` first: a file, a pattern or a list of them (`SET VARIABLE log = 'logs/*.json.gz'`). A line may be
--   - a line of an access log with the event in `tollgate_event` (envoy.yaml; Kong and APISIX as their README says),
--   - the event itself (log records of a collector, `tollgate replay --json`).
-- Other lines are skipped: requests that were no LLM call, grants. Lines that are the same event to the last byte count
-- once, since a collector may get a batch twice. Load one source: a call that is in two of them is two rows.
--
-- Money is DECIMAL(38, 15), exact to the last digit, and so are its sums. What is unknown is NULL, never 0. Times are UTC.
CREATE OR REPLACE VIEW events AS
WITH lines AS (
    SELECT DISTINCT coalesce(json ->> '$.tollgate_event', CAST(json AS VARCHAR)) AS event
    FROM read_json_objects(getvariable('log'), format = 'newline_delimited')
),
typed AS (
    SELECT
        event,
        from_json(event, '{
            "id": "VARCHAR", "time": "TIMESTAMP", "trace_id": "VARCHAR", "billed_for": "VARCHAR",
            "dialect": "VARCHAR", "provider": "VARCHAR", "operation": "VARCHAR",
            "request_model": "VARCHAR", "response_model": "VARCHAR", "service_tier": "VARCHAR",
            "prices": [{"model": "VARCHAR", "provider": "VARCHAR"}],
            "stream": "BOOLEAN", "status": "USMALLINT", "outcome": "VARCHAR", "error_class": "VARCHAR",
            "input_tokens": "UBIGINT", "output_tokens": "UBIGINT", "input_uncached_tokens": "UBIGINT",
            "cache_read_tokens": "UBIGINT", "cache_write_5m_tokens": "UBIGINT", "cache_write_1h_tokens": "UBIGINT",
            "reasoning_tokens": "UBIGINT", "standard_tokens": "UBIGINT",
            "usage_source": "VARCHAR", "unmetered_reason": "VARCHAR",
            "cost_usd": "DECIMAL(38,15)", "cost_source": "VARCHAR", "unpriced_reason": "VARCHAR",
            "list_cost_usd": "DECIMAL(38,15)", "contracted_cost_usd": "DECIMAL(38,15)",
            "components": {
                "system": {"tokens": "UBIGINT", "cost_usd": "DECIMAL(38,15)"},
                "tools": {"tokens": "UBIGINT", "cost_usd": "DECIMAL(38,15)"},
                "few_shot": {"tokens": "UBIGINT", "cost_usd": "DECIMAL(38,15)"},
                "history": {"tokens": "UBIGINT", "cost_usd": "DECIMAL(38,15)"},
                "user": {"tokens": "UBIGINT", "cost_usd": "DECIMAL(38,15)"}
            },
            "tools": {"unused_tokens": "UBIGINT", "unused_cost_usd": "DECIMAL(38,15)"},
            "cache": {"savings_usd": "DECIMAL(38,15)", "miss_reason": "VARCHAR", "missed_tokens": "UBIGINT"},
            "template": {"fingerprint": "VARCHAR", "tokens": "UBIGINT", "drift": {"component": "VARCHAR"}},
            "response_cache": {"avoided_usd": "DECIMAL(38,15)", "avoidable_usd": "DECIMAL(38,15)"},
            "attribution": {
                "app": "VARCHAR", "team": "VARCHAR", "user": "VARCHAR", "agent": "VARCHAR", "parent_agent": "VARCHAR",
                "session": "VARCHAR", "task": "VARCHAR", "task_type": "VARCHAR", "scenario": "VARCHAR",
                "feature": "VARCHAR", "environment": "VARCHAR", "template_version": "VARCHAR", "owner": "VARCHAR",
                "api_key": "VARCHAR"
            },
            "task": {"step": "UBIGINT"},
            "retry": {"number": "UBIGINT", "earlier_cost_usd": "DECIMAL(38,15)"},
            "attempts": {"count": "UBIGINT", "estimated_cost_usd": "DECIMAL(38,15)"},
            "routing": {
                "selected": "VARCHAR", "confidence": "DOUBLE", "fallback": "BOOLEAN", "overhead": "VARCHAR",
                "misrouted": {"model": "VARCHAR", "cost_usd": "DECIMAL(38,15)"}
            },
            "task_outcome": {"task": "VARCHAR", "result": "VARCHAR", "task_cost_usd": "DECIMAL(38,15)"},
            "timing": {"ttft_ms": "UBIGINT", "duration_ms": "UBIGINT"}
        }') AS e
    FROM lines
    WHERE event ->> '$.schema' = 'tollgate.event/1'
)
SELECT
    e.id, e.time, e.trace_id, e.billed_for, e.dialect, e.provider, e.operation, e.request_model, e.response_model,
    -- The model as metrics count it: by the price list's name where it has one.
    coalesce(e.prices[1].model, e.response_model, e.request_model) AS model,
    e.service_tier, e.stream, e.status, e.outcome, e.error_class,
    e.input_tokens, e.output_tokens, e.input_uncached_tokens, e.cache_read_tokens, e.cache_write_5m_tokens,
    e.cache_write_1h_tokens, e.reasoning_tokens, e.standard_tokens, e.usage_source, e.unmetered_reason,
    e.cost_usd, e.cost_source, e.unpriced_reason, e.list_cost_usd, e.contracted_cost_usd,
    -- Dollars by kind of token; they sum to cost_usd.
    CAST(event -> '$.cost' AS MAP(VARCHAR, DECIMAL(38, 15))) AS cost,
    e.components, e.tools, e.cache, e.template, e.response_cache,
    unnest(e.attribution),
    -- The same dimensions as one JSON object.
    event -> '$.attribution' AS attribution,
    e.task AS task_totals, e.retry, e.attempts, e.routing, e.task_outcome,
    e.timing.ttft_ms, e.timing.duration_ms,
    event
FROM typed;

-- What the variables `month` ('2026-11'), `app`, `team`, `task`, `session` and `user` leave of them; one that is not set
-- leaves all. Every query reads this.
CREATE OR REPLACE VIEW chosen AS
SELECT *
FROM events
WHERE strftime(time, '%Y-%m') = coalesce(getvariable('month'), strftime(time, '%Y-%m'))
  AND app IS NOT DISTINCT FROM coalesce(getvariable('app'), app)
  AND team IS NOT DISTINCT FROM coalesce(getvariable('team'), team)
  AND task IS NOT DISTINCT FROM coalesce(getvariable('task'), task)
  AND session IS NOT DISTINCT FROM coalesce(getvariable('session'), session)
  AND "user" IS NOT DISTINCT FROM coalesce(getvariable('user'), "user");

-- What they cost, by level of the drill-down; each query of a level shows its own.
CREATE OR REPLACE VIEW levels AS
SELECT
    CASE grouping(month, app, task, session) WHEN 7 THEN 'month' WHEN 11 THEN 'app' WHEN 13 THEN 'task' ELSE 'session' END AS level,
    month, app, team, task_type, task, session, "user",
    min(time) AS begun,
    max(time) AS last_call,
    {
        'calls': count(*),
        'input_tokens': sum(input_tokens),
        'output_tokens': sum(output_tokens),
        'cost_usd': sum(cost_usd),
        'calls_without_cost': count(*) FILTER (cost_usd IS NULL),
        'cache_savings_usd': sum(cache.savings_usd)
    } AS bill
FROM (SELECT *, strftime(time, '%Y-%m') AS month FROM chosen)
GROUP BY GROUPING SETS ((month), (app, team), (task_type, task), (session, "user"));
