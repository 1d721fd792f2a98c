-- Who spends most: the first ten users, teams, apps, owners and keys, and their share of what all calls cost.
WITH (SELECT sum(cost_usd) FROM tollgate.chosen) AS everything
SELECT
    dimension,
    name,
    count() AS calls,
    sum(chosen.cost_usd) AS cost_usd,
    round(toFloat64(sum(chosen.cost_usd)) / toFloat64(everything), 6) AS share
FROM tollgate.chosen
ARRAY JOIN
    ['user', 'team', 'app', 'owner', 'api_key'] AS dimension,
    [user, toString(team), toString(app), toString(owner), toString(api_key)] AS name
WHERE name != ''
GROUP BY dimension, name
ORDER BY dimension, cost_usd DESC NULLS LAST, name
LIMIT 10 BY dimension;
