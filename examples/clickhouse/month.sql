-- First level: what each month cost. Go on with: SET additional_table_filters = {'tollgate.calls': 'toYYYYMM(time) = 202611'}
SELECT month, calls, input_tokens, output_tokens, cost_usd, calls_without_cost, cache_savings_usd
FROM tollgate.levels
WHERE level = 'month'
ORDER BY month;
