-- Fifth level: the calls themselves, and which part of each prompt cost what. Everything else of a call is in `event`.
SELECT
    time,
    id,
    model,
    outcome,
    input_tokens,
    cache_read_tokens,
    output_tokens,
    cost_usd,
    coalesce(unpriced_reason, unmetered_reason) AS no_cost_because,
    components.system.cost_usd AS system_usd,
    components.tools.cost_usd AS tools_usd,
    components.few_shot.cost_usd AS few_shot_usd,
    components.history.cost_usd AS history_usd,
    components.user.cost_usd AS user_usd,
    cost_usd - list_sum([c.cost_usd FOR c IN [components.system, components.tools, components.few_shot,
        components.history, components.user]]) AS output_usd,
    cache.miss_reason,
    duration_ms
FROM chosen
ORDER BY time, id;
