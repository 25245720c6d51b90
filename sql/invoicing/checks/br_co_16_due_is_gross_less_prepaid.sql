-- br_co_16_due_is_gross_less_prepaid: BT-115 equals the total with tax minus the prepaid amount.
--
-- reads   invoice, prepayment
--
-- Rule BR-CO-16 of EN 16931, for any sign.
WITH paid AS (
  SELECT invoice_number, SUM(CAST(amount AS DECIMAL(50,4))) AS amount
  FROM prepayment
  GROUP BY invoice_number
)
SELECT COALESCE(invoice.invoice_number, paid.invoice_number) AS invoice_number, invoice.total_with_tax,
       paid.amount AS prepaid, invoice.amount_due
FROM invoice
FULL JOIN paid ON paid.invoice_number = invoice.invoice_number
WHERE (CAST(invoice.prepaid_amount AS DECIMAL(50,4)) IS DISTINCT FROM COALESCE(paid.amount, CAST(0 AS DECIMAL(50,4))))
   OR invoice.amount_due <> invoice.total_with_tax - invoice.prepaid_amount
ORDER BY invoice_number
