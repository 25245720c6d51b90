-- allowances_are_shared_out: the shares of an allowance on lines add up to it.
--
-- reads   allowance, allowance_share, invoice
--
-- On a correction the difference of two allowances has no shares. A credit note that cancels a document has the shares
-- of whole allowances, and so has the invoice that replaces it.
WITH share AS (
  SELECT invoice_number, allowance_number, SUM(CAST(amount AS DECIMAL(50,4))) AS amount
  FROM allowance_share
  GROUP BY invoice_number, allowance_number
),
shared AS (
  SELECT allowance.invoice_number, allowance.allowance_number, allowance.amount
  FROM allowance
  LEFT JOIN invoice ON invoice.invoice_number = allowance.invoice_number
  LEFT JOIN share ON share.invoice_number = allowance.invoice_number
   AND share.allowance_number = allowance.allowance_number
  WHERE invoice.correction_reason IS NULL OR share.invoice_number IS NOT NULL
)
SELECT COALESCE(shared.invoice_number, share.invoice_number) AS invoice_number,
       COALESCE(shared.allowance_number, share.allowance_number) AS allowance_number, shared.amount,
       share.amount AS shares
FROM shared
FULL JOIN share ON share.invoice_number = shared.invoice_number AND share.allowance_number = shared.allowance_number
WHERE CAST(shared.amount AS DECIMAL(50,4)) IS DISTINCT FROM share.amount
ORDER BY invoice_number, allowance_number
