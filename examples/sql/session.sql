-- Fourth level: the sessions. Go on with: SET VARIABLE session = '...'
SELECT session, "user", begun, last_call, unnest(bill)
FROM levels
WHERE level = 'session'
ORDER BY bill.cost_usd DESC NULLS LAST, session, "user";
