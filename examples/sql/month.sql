-- First level: what each month cost. Go on with: SET VARIABLE month = '2026-11'
SELECT month, unnest(bill)
FROM levels
WHERE level = 'month'
ORDER BY month;
