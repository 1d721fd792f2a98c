-- What an accepted outcome costs, by team, app and kind of task: all that its tasks cost, the rejected ones and the router's
-- and guards' calls too, divided by those that were accepted. A task counts with its last report, and not without one.
WITH reports AS (
    SELECT team, app, api_key, task_outcome.task AS task, arg_max(task_outcome.result, (time, id)) AS result
    FROM chosen
    WHERE task_outcome IS NOT NULL
    GROUP BY ALL
),
tasks AS (
    SELECT team, app, api_key, task, max(task_type) AS task_type, sum(cost_usd) AS cost_usd,
        sum(cost_usd) FILTER (routing.overhead IS NOT NULL) AS overhead_usd
    FROM chosen
    WHERE task IS NOT NULL
    GROUP BY team, app, api_key, task
)
SELECT
    tasks.team,
    tasks.app,
    tasks.task_type,
    count(*) FILTER (result = 'accepted') AS accepted,
    count(*) FILTER (result = 'rejected') AS rejected,
    sum(cost_usd) AS cost_usd,
    sum(overhead_usd) AS overhead_usd,
    -- In whole femtodollars, rounded: a decimal that is divided becomes a float.
    CAST(
        (CAST(sum(cost_usd) * 1000000000000000 AS HUGEINT) + count(*) FILTER (result = 'accepted') // 2)
        // nullif(count(*) FILTER (result = 'accepted'), 0)
    AS DECIMAL(38, 0)) * 0.000000000000001 AS cost_per_accepted_usd
FROM tasks
JOIN reports
    ON reports.task = tasks.task
    -- A task's name is its caller's own.
    AND reports.team IS NOT DISTINCT FROM tasks.team
    AND reports.app IS NOT DISTINCT FROM tasks.app
    AND reports.api_key IS NOT DISTINCT FROM tasks.api_key
GROUP BY ALL
ORDER BY ALL;
