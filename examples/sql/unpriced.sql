-- Calls without a cost, and why: no price for the model, or no usage to price. Sums leave them out.
SELECT
    provider,
    model,
    coalesce(unpriced_reason, unmetered_reason) AS because,
    count(*) AS calls,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens
FROM chosen
WHERE cost_usd IS NULL
GROUP BY ALL
ORDER BY calls DESC, provider, model;
