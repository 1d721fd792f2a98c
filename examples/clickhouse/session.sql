-- Fourth level: the sessions. Go on with: SET additional_table_filters = {'tollgate.calls': 'session = \'s-4\''}
SELECT session, user, begun, last_call, calls, input_tokens, output_tokens, cost_usd, calls_without_cost, cache_savings_usd
FROM tollgate.levels
WHERE level = 'session'
ORDER BY cost_usd DESC NULLS LAST, session, user;
