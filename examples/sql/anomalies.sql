-- Users whose day was unusual, by what it cost:
--   - for themselves: more than 3 standard deviations above the mean of their own days of the four weeks before (z-score;
--     where there are seven such days),
--   - among others: beyond the upper fence (third quartile plus 1.5 times the interquartile range) of all users of the day
--     (where there are eight of them).
-- Metrics fold users into `other`, events do not, so this is asked of events. Scores are floats, money is not.
WITH days AS (
    SELECT "user", CAST(time AS DATE) AS day, count(*) AS calls, sum(cost_usd) AS cost_usd
    FROM chosen
    WHERE "user" IS NOT NULL
    GROUP BY ALL
    HAVING sum(cost_usd) IS NOT NULL
),
judged AS (
    SELECT
        *,
        count(*) OVER own AS own_days,
        avg(cost_usd) OVER own AS own_mean,
        stddev_samp(cost_usd) OVER own AS own_deviation,
        count(*) OVER (PARTITION BY day) AS users_of_day,
        quantile_cont(cost_usd, 0.25) OVER (PARTITION BY day) AS first_quartile,
        quantile_cont(cost_usd, 0.75) OVER (PARTITION BY day) AS third_quartile
    FROM days
    WINDOW own AS (
        PARTITION BY "user" ORDER BY day RANGE BETWEEN INTERVAL 28 DAY PRECEDING AND INTERVAL 1 DAY PRECEDING
    )
),
scored AS (
    SELECT
        "user", day, calls, cost_usd,
        CASE WHEN own_days >= 7 THEN (cost_usd - own_mean) / nullif(own_deviation, 0) END AS z_score,
        CASE WHEN users_of_day >= 8 THEN third_quartile + 1.5 * (third_quartile - first_quartile) END AS upper_fence_usd
    FROM judged
)
SELECT
    day, "user", calls, cost_usd, round(z_score, 2) AS z_score, round(upper_fence_usd, 9) AS upper_fence_usd,
    coalesce(z_score > 3, false) AS unusual_for_themselves,
    coalesce(cost_usd > upper_fence_usd, false) AS unusual_among_others
FROM scored
WHERE z_score > 3 OR cost_usd > upper_fence_usd
ORDER BY day, cost_usd DESC, "user";
