-- Users whose day was unusual, by what it cost:
--   - for themselves: more than 3 standard deviations above the mean of their own days of the four weeks before (z-score;
--     where there are seven such days),
--   - among others: beyond the upper fence (third quartile plus 1.5 times the interquartile range) of all users of the day
--     (where there are eight of them).
-- Metrics fold users into `other`, events do not, so this is asked of events. Scores are floats, money is not.
WITH days AS
(
    SELECT user, day, count() AS calls, sum(cost_usd) AS of_day_usd
    FROM tollgate.chosen
    WHERE user != '' AND cost_usd IS NOT NULL
    GROUP BY user, day
)
SELECT
    day,
    user,
    calls,
    of_day_usd AS cost_usd,
    round(z, 2) AS z_score,
    round(fence, 9) AS upper_fence_usd,
    toBool(coalesce(z > 3, false)) AS unusual_for_themselves,
    toBool(coalesce(toFloat64(of_day_usd) > fence, false)) AS unusual_among_others
FROM
(
    SELECT
        *,
        if(own_days >= 7, (toFloat64(of_day_usd) - own_mean) / nullIf(own_deviation, 0), NULL) AS z,
        if(users_of_day >= 8, quartiles[2] + 1.5 * (quartiles[2] - quartiles[1]), NULL) AS fence
    FROM
    (
        SELECT
            *,
            count() OVER own AS own_days,
            avg(toFloat64(of_day_usd)) OVER own AS own_mean,
            stddevSamp(toFloat64(of_day_usd)) OVER own AS own_deviation,
            count() OVER (PARTITION BY day) AS users_of_day,
            quantilesExactInclusive(0.25, 0.75)(toFloat64(of_day_usd)) OVER (PARTITION BY day) AS quartiles
        FROM days
        WINDOW own AS (PARTITION BY user ORDER BY day RANGE BETWEEN 28 PRECEDING AND 1 PRECEDING)
    )
)
WHERE z > 3 OR toFloat64(of_day_usd) > fence
ORDER BY day, cost_usd DESC, user;
