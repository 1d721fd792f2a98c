-- Who spends most: the first ten users, teams, apps, owners and keys, and their share of what all calls cost.
WITH spent AS (
    UNPIVOT (SELECT "user", team, app, owner, api_key, cost_usd FROM chosen)
    ON "user", team, app, owner, api_key INTO NAME dimension VALUE name
)
SELECT
    dimension,
    name,
    count(*) AS calls,
    sum(cost_usd) AS cost_usd,
    round(sum(cost_usd) / (SELECT sum(cost_usd) FROM chosen), 6) AS share
FROM spent
GROUP BY dimension, name
QUALIFY row_number() OVER (PARTITION BY dimension ORDER BY sum(cost_usd) DESC NULLS LAST, name) <= 10
ORDER BY dimension, cost_usd DESC NULLS LAST, name;
