-- allowances_are_shared_out: the shares of lines in an allowance add up to it.
--
-- reads   allowance, allowance_share
WITH share AS (
  SELECT invoice_number, allowance_number, SUM(CAST(amount AS DECIMAL(50,4))) AS amount
  FROM allowance_share
  GROUP BY invoice_number, allowance_number
)
SELECT COALESCE(allowance.invoice_number, share.invoice_number) AS invoice_number,
       COALESCE(allowance.allowance_number, share.allowance_number) AS allowance_number, allowance.amount, share.amount AS shares
FROM allowance
FULL JOIN share ON share.invoice_number = allowance.invoice_number AND share.allowance_number = allowance.allowance_number
WHERE CAST(allowance.amount AS DECIMAL(50,4)) IS DISTINCT FROM share.amount
ORDER BY invoice_number, allowance_number
