-- br_co_14_tax_is_that_of_all_groups: the tax (BT-110) is the sum of that of all groups (BR-CO-14 of EN 16931), and what they tax is the total without tax.
--
-- reads   invoice, tax_breakdown
WITH tax AS (
  SELECT invoice_number, SUM(CAST(tax_amount AS DECIMAL(50,4))) AS tax_amount, SUM(CAST(taxable_amount AS DECIMAL(50,4))) AS taxable_amount
  FROM tax_breakdown
  GROUP BY invoice_number
)
SELECT COALESCE(invoice.invoice_number, tax.invoice_number) AS invoice_number, invoice.total_without_tax, tax.taxable_amount, invoice.tax_amount AS invoice_tax_amount, tax.tax_amount
FROM invoice
FULL JOIN tax ON tax.invoice_number = invoice.invoice_number
WHERE (CAST(invoice.tax_amount AS DECIMAL(50,4)) IS DISTINCT FROM COALESCE(tax.tax_amount, CAST(0 AS DECIMAL(50,4))))
   OR (CAST(invoice.total_without_tax AS DECIMAL(50,4)) IS DISTINCT FROM COALESCE(tax.taxable_amount, CAST(0 AS DECIMAL(50,4))))
ORDER BY invoice_number
