-- Third level: the tasks, and what was no part of one. Go on with: SET additional_table_filters = {'tollgate.calls': 'task = \'t-17\''}
SELECT task_type, task, begun, last_call, calls, input_tokens, output_tokens, cost_usd, calls_without_cost, cache_savings_usd
FROM tollgate.levels
WHERE level = 'task'
ORDER BY cost_usd DESC NULLS LAST, task_type, task;
