-- Where it goes: what the last seven days cost each app, and by how many dollars a day's cost rises or falls from day to day
-- (least squares). Days without calls count as 0. The last row is the sum of all.
WITH bounds AS (
    SELECT max(CAST(time AS DATE)) AS last_day FROM chosen
),
days AS (
    SELECT CAST(unnest(generate_series(last_day - INTERVAL 6 DAY, CAST(last_day AS TIMESTAMP), INTERVAL 1 DAY)) AS DATE) AS day
    FROM bounds
),
spent AS (
    SELECT CAST(time AS DATE) AS day, app, grouping(app) AS is_total, sum(cost_usd) AS cost_usd
    FROM chosen
    GROUP BY GROUPING SETS ((CAST(time AS DATE), app), (CAST(time AS DATE)))
),
everyone AS (
    SELECT DISTINCT app, is_total FROM spent
)
SELECT
    CASE everyone.is_total WHEN 1 THEN '(all)' ELSE everyone.app END AS app,
    min(days.day) AS first_day,
    max(days.day) AS last_day,
    sum(coalesce(spent.cost_usd, 0)) AS cost_7d_usd,
    round(regr_slope(coalesce(spent.cost_usd, 0), date_diff('day', DATE '2000-01-01', days.day)), 9) AS slope_usd_per_day
FROM days
CROSS JOIN everyone
LEFT JOIN spent
    ON spent.day = days.day
    AND spent.app IS NOT DISTINCT FROM everyone.app
    AND spent.is_total = everyone.is_total
GROUP BY everyone.app, everyone.is_total
ORDER BY everyone.is_total, cost_7d_usd DESC, app;
