-- The events as a FOCUS 1.2 dataset (FinOps Open Cost and Usage Specification), so that the spend joins the cloud bill: one
-- row per hour, provider, model, tier and set of attributes. focus-check.sql tests its columns and values.
--
-- Set `billing_account` to your account's id at the provider first: bills name it, calls do not.
--
-- - A call is priced by kinds of token with a price each, and a row holds calls of all kinds, so there are no unit prices
--   (ListUnitPrice, ContractedUnitPrice, SkuPriceId): what each kind cost is in the `x_` columns, which FOCUS allows.
-- - BilledCost is what the calls cost by Tollgate's reckoning. Where the list has no price for a model, ListCost and
--   ContractedCost are what was billed.
-- - Calls without a cost have no row, since FOCUS knows no unknown cost; unpriced.sql lists them. Nor have calls that a
--   limit refused: they were never sent.
CREATE OR REPLACE VIEW focus AS
WITH charges AS (
    SELECT *, time_bucket(INTERVAL 1 HOUR, time) AS hour, coalesce(service_tier, 'standard') AS tier
    FROM chosen
    WHERE cost_usd IS NOT NULL AND outcome NOT IN ('denied', 'local_reply')
)
SELECT
    sum(cost_usd) AS BilledCost,
    coalesce(CAST(getvariable('billing_account') AS VARCHAR), provider) AS BillingAccountId,
    CAST(NULL AS VARCHAR) AS BillingAccountName,
    'USD' AS BillingCurrency,
    CAST(date_trunc('month', hour) + INTERVAL 1 MONTH AS TIMESTAMP) AS BillingPeriodEnd,
    CAST(date_trunc('month', hour) AS TIMESTAMP) AS BillingPeriodStart,
    'Usage' AS ChargeCategory,
    CAST(NULL AS VARCHAR) AS ChargeClass,
    'Calls of ' || coalesce(model, 'an unnamed model') || ' (' || operation || ', ' || tier || ')' AS ChargeDescription,
    'Usage-Based' AS ChargeFrequency,
    hour + INTERVAL 1 HOUR AS ChargePeriodEnd,
    hour AS ChargePeriodStart,
    CAST(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) AS DECIMAL(38, 0)) AS ConsumedQuantity,
    'Tokens' AS ConsumedUnit,
    sum(coalesce(contracted_cost_usd, cost_usd)) AS ContractedCost,
    sum(cost_usd) AS EffectiveCost,
    provider AS InvoiceIssuerName,
    sum(coalesce(list_cost_usd, contracted_cost_usd, cost_usd)) AS ListCost,
    'Standard' AS PricingCategory,
    CAST(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) AS DECIMAL(38, 0)) AS PricingQuantity,
    'Tokens' AS PricingUnit,
    provider AS ProviderName,
    provider AS PublisherName,
    'AI and Machine Learning' AS ServiceCategory,
    provider || ' ' || operation AS ServiceName,
    'Generative AI' AS ServiceSubcategory,
    provider || '/' || coalesce(model, 'unknown') AS SkuId,
    'Tokens' AS SkuMeter,
    team AS SubAccountId,
    team AS SubAccountName,
    attribution AS Tags,
    count(*) AS x_Calls,
    sum(input_tokens) AS x_InputTokens,
    sum(cache_read_tokens) AS x_CacheReadTokens,
    sum(output_tokens) AS x_OutputTokens,
    sum(cost['input_uncached']) AS x_InputUncachedCost,
    sum(cost['cache_read']) AS x_CacheReadCost,
    sum(coalesce(cost['cache_write_5m'], 0) + coalesce(cost['cache_write_1h'], 0)) AS x_CacheWriteCost,
    sum(coalesce(cost['output'], 0) + coalesce(cost['reasoning'], 0)) AS x_OutputCost,
    sum(cache.savings_usd) AS x_CacheSavings,
    model AS x_Model,
    tier AS x_ServiceTier
FROM charges
GROUP BY ALL;
