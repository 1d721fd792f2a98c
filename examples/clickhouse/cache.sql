-- What prompt caches did, by app and model: the share of the input that they served, what that saved (less what writing
-- cost), why they missed, and what a cache of whole responses saved, or would have.
SELECT
    app,
    model,
    count() AS calls,
    round(sum(chosen.cache_read_tokens) / nullIf(sum(chosen.input_tokens), 0), 6) AS hit_rate,
    sum(chosen.cost_usd) AS cost_usd,
    sum(chosen.cache_savings_usd) AS savings_usd,
    sum(chosen.cost_usd) + sum(chosen.cache_savings_usd) AS cost_without_cache_usd,
    sumMapIf(map(miss_reason, 1), miss_reason != '') AS misses,
    sum(chosen.missed_tokens) AS missed_tokens,
    sum(chosen.avoided_usd) AS avoided_by_response_cache_usd,
    sum(chosen.avoidable_usd) AS avoidable_by_response_cache_usd
FROM tollgate.chosen
GROUP BY app, model
ORDER BY cost_usd DESC NULLS LAST, app, model;
