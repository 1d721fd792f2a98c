-- Second level: whose it is. Go on with: SET VARIABLE app = '...' or SET VARIABLE team = '...'
SELECT app, team, unnest(bill)
FROM levels
WHERE level = 'app'
ORDER BY bill.cost_usd DESC NULLS LAST, app, team;
