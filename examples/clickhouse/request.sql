-- Fifth level: the calls themselves, and which part of each prompt cost what. Everything else of a call is in `event`.
SELECT
    time, id, model, outcome, input_tokens, cache_read_tokens, output_tokens, cost_usd,
    if(unpriced_reason != '', unpriced_reason, unmetered_reason) AS no_cost_because,
    component_cost_usd['system'] AS system_usd,
    component_cost_usd['tools'] AS tools_usd,
    component_cost_usd['few_shot'] AS few_shot_usd,
    component_cost_usd['history'] AS history_usd,
    component_cost_usd['user'] AS user_usd,
    cost_usd - arraySum(mapValues(component_cost_usd)) AS output_usd,
    miss_reason,
    duration_ms
FROM tollgate.chosen
ORDER BY time, id;
