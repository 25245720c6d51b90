-- br_co_13_net_is_lines_less_allowances: BT-109 equals the lines minus the allowances.
--
-- reads   invoice, allowance
--
-- Rules BR-CO-11 and BR-CO-13 of EN 16931, for any sign.
WITH deducted AS (
  SELECT invoice_number, SUM(CAST(amount AS DECIMAL(50,4))) AS amount
  FROM allowance
  GROUP BY invoice_number
)
SELECT COALESCE(invoice.invoice_number, deducted.invoice_number) AS invoice_number, invoice.line_total,
       deducted.amount AS allowances, invoice.total_without_tax
FROM invoice
FULL JOIN deducted ON deducted.invoice_number = invoice.invoice_number
WHERE (CAST(invoice.allowance_total AS DECIMAL(50,4))
         IS DISTINCT FROM COALESCE(deducted.amount, CAST(0 AS DECIMAL(50,4))))
   OR invoice.total_without_tax <> invoice.line_total - invoice.allowance_total
ORDER BY invoice_number
