-- What an accepted outcome costs, by team, app and kind of task: all that its tasks cost, the rejected ones and the router's
-- and guards' calls too, divided by those that were accepted. A task counts with its last report, and not without one.
SELECT
    team,
    app,
    task_type,
    countIf(result = 'accepted') AS accepted,
    countIf(result = 'rejected') AS rejected,
    sum(task_usd) AS cost_usd,
    sum(task_overhead_usd) AS overhead_usd,
    if(accepted = 0, NULL, sum(task_usd) / toDecimal128(accepted, 0)) AS cost_per_accepted_usd
FROM
(
    -- A task's name is its caller's own.
    SELECT team, app, api_key, task, max(task_type) AS task_type, sum(cost_usd) AS task_usd,
        sumIf(cost_usd, overhead != '') AS task_overhead_usd
    FROM tollgate.chosen
    WHERE task != ''
    GROUP BY team, app, api_key, task
) AS tasks
INNER JOIN
(
    SELECT team, app, api_key, outcome_task AS task, argMax(outcome_result, (time, id)) AS result
    FROM tollgate.chosen
    WHERE outcome_task != ''
    GROUP BY team, app, api_key, outcome_task
) AS reports USING (team, app, api_key, task)
GROUP BY team, app, task_type
ORDER BY team, app, task_type;
