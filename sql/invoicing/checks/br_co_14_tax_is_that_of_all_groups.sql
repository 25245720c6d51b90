-- br_co_14_tax_is_that_of_all_groups: BT-110 equals the tax of all groups.
--
-- reads   invoice, tax_breakdown
--
-- Rule BR-CO-14 of EN 16931.
WITH tax AS (
  SELECT invoice_number, SUM(CAST(tax_amount AS DECIMAL(50,4))) AS tax_amount
  FROM tax_breakdown
  GROUP BY invoice_number
)
SELECT COALESCE(invoice.invoice_number, tax.invoice_number) AS invoice_number,
       invoice.tax_amount AS invoice_tax_amount, tax.tax_amount
FROM invoice
FULL JOIN tax ON tax.invoice_number = invoice.invoice_number
WHERE CAST(invoice.tax_amount AS DECIMAL(50,4)) IS DISTINCT FROM COALESCE(tax.tax_amount, CAST(0 AS DECIMAL(50,4)))
ORDER BY invoice_number
