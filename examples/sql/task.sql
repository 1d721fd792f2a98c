-- Third level: the tasks, and what was no part of one. Go on with: SET VARIABLE task = '...'
SELECT task_type, task, begun, last_call, unnest(bill)
FROM levels
WHERE level = 'task'
ORDER BY bill.cost_usd DESC NULLS LAST, task_type, task;
