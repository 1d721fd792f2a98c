-- How well each app spends: what its prompts consist of, how much of it all is question and answer, what retries, wrong
-- routes and routers cost, how often calls fail and how long they take. Rates are NULL where nothing can be said.
SELECT
    app,
    count(*) AS calls,
    sum(cost_usd) AS cost_usd,
    round(sum(components.system.tokens) / nullif(sum(input_tokens), 0), 6) AS system_share,
    round(sum(components.tools.tokens) / nullif(sum(input_tokens), 0), 6) AS tools_share,
    round(sum(components.few_shot.tokens) / nullif(sum(input_tokens), 0), 6) AS few_shot_share,
    round(sum(components.history.tokens) / nullif(sum(input_tokens), 0), 6) AS history_share,
    round(sum(components.user.tokens) / nullif(sum(input_tokens), 0), 6) AS user_share,
    round((sum(components.user.tokens) + sum(output_tokens)) / nullif(sum(input_tokens) + sum(output_tokens), 0), 6)
        AS token_efficiency_ratio,
    sum(tools.unused_cost_usd) AS unused_tools_usd,
    count(DISTINCT template.fingerprint) AS templates,
    count(*) FILTER (template.drift IS NOT NULL) AS template_drifts,
    -- Of calls with a router's decision: how many were made again on a dearer model.
    count(*) FILTER (routing.misrouted IS NOT NULL) AS misrouted,
    round(count(*) FILTER (routing.misrouted IS NOT NULL) / nullif(count(*) FILTER (routing.selected IS NOT NULL), 0), 6)
        AS misrouting_rate,
    sum(routing.misrouted.cost_usd) AS retry_cost_from_misrouting_usd,
    round(coalesce(sum(cost_usd) FILTER (routing.overhead IS NOT NULL), 0) / nullif(sum(cost_usd), 0), 6) AS router_overhead_ratio,
    count(*) FILTER (retry IS NOT NULL) AS retries,
    sum(retry.earlier_cost_usd) AS retry_cost_usd,
    round(count(*) FILTER (routing.fallback) / count(*), 6) AS fallback_rate,
    round(count(*) FILTER (error_class IS NOT NULL) / count(*), 6) AS error_rate,
    quantile_disc(duration_ms, [0.5, 0.95, 0.99]) AS latency_ms_p50_p95_p99
FROM chosen
GROUP BY ALL
ORDER BY cost_usd DESC NULLS LAST, app;
