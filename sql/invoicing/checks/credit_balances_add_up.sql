-- credit_balances_add_up: a credit balance equals its opening minus uses and expiry, and is not negative.
--
-- reads   credit_balance, allowance, prepayment
WITH use AS (
  SELECT term_id AS credit_id, CAST(amount AS DECIMAL(50,4)) AS amount
  FROM allowance
  WHERE kind IN ('promotional', 'prepaid_at_sale')
  UNION ALL
  SELECT credit_id, CAST(amount AS DECIMAL(50,4)) AS amount
  FROM prepayment
),
used AS (
  SELECT credit_id, SUM(amount) AS amount
  FROM use
  GROUP BY credit_id
)
SELECT COALESCE(credit_balance.credit_id, used.credit_id) AS credit_id, credit_balance.opening_balance,
       credit_balance.granted,
       credit_balance.used, used.amount AS used_on_invoices, credit_balance.expired, credit_balance.closing_balance
FROM credit_balance
FULL JOIN used ON used.credit_id = credit_balance.credit_id
WHERE (CAST(credit_balance.used AS DECIMAL(50,4)) IS DISTINCT FROM COALESCE(used.amount, CAST(0 AS DECIMAL(50,4))))
   OR credit_balance.closing_balance
     <> credit_balance.opening_balance + credit_balance.granted - credit_balance.used - credit_balance.expired
   OR credit_balance.closing_balance < 0
ORDER BY credit_id
