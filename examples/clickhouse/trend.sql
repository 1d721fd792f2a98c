-- Where it goes: what the last seven days cost each app, and by how many dollars a day's cost rises or falls from day to day
-- (least squares). Days without calls count as 0. The row of app '(all)' is the sum of all.
WITH (SELECT max(day) FROM tollgate.chosen) AS until
SELECT
    app,
    until - 6 AS first_day,
    until AS last_day,
    sum(of_day_usd) AS cost_7d_usd,
    -- The days are numbered -3 to 3, so the squares sum to 28.
    round(sum(toFloat64(of_day_usd) * (dateDiff('day', until, day) + 3)) / 28, 9) AS slope_usd_per_day
FROM
(
    SELECT arrayJoin([toString(app), '(all)']) AS app, day, sum(cost_usd) AS of_day_usd
    FROM tollgate.chosen
    WHERE day > until - 7 AND cost_usd IS NOT NULL
    GROUP BY app, day
)
GROUP BY app
ORDER BY app = '(all)', cost_7d_usd DESC, app;
