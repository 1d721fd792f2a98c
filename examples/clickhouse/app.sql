-- Second level: whose it is. Go on with: SET additional_table_filters = {'tollgate.calls': 'app = \'shop\''}
SELECT app, team, calls, input_tokens, output_tokens, cost_usd, calls_without_cost, cache_savings_usd
FROM tollgate.levels
WHERE level = 'app'
ORDER BY cost_usd DESC NULLS LAST, app, team;
