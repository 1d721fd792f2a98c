-- What prompt caches did, by app and model: the share of the input that they served, what that saved (less what writing
-- cost), why they missed, and what a cache of whole responses saved, or would have.
SELECT
    app,
    model,
    count(*) AS calls,
    round(sum(cache_read_tokens) / nullif(sum(input_tokens), 0), 6) AS hit_rate,
    sum(cost_usd) AS cost_usd,
    sum(cache.savings_usd) AS savings_usd,
    sum(cost_usd) + sum(cache.savings_usd) AS cost_without_cache_usd,
    histogram(cache.miss_reason) FILTER (cache.miss_reason IS NOT NULL) AS misses,
    sum(cache.missed_tokens) AS missed_tokens,
    sum(response_cache.avoided_usd) AS avoided_by_response_cache_usd,
    sum(response_cache.avoidable_usd) AS avoidable_by_response_cache_usd
FROM chosen
GROUP BY ALL
ORDER BY cost_usd DESC NULLS LAST, app, model;
