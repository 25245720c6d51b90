-- br_co_14_tax_is_that_of_all_groups: BT-110 equals the tax of all groups.
--
-- reads   invoice, tax_breakdown
--
-- Rule BR-CO-14 of EN 16931. The taxable amounts of the groups must also equal the total without tax.
WITH tax AS (
  SELECT invoice_number, SUM(CAST(tax_amount AS DECIMAL(50,4))) AS tax_amount,
         SUM(CAST(taxable_amount AS DECIMAL(50,4))) AS taxable_amount
  FROM tax_breakdown
  GROUP BY invoice_number
)
SELECT COALESCE(invoice.invoice_number, tax.invoice_number) AS invoice_number, invoice.total_without_tax,
       tax.taxable_amount, invoice.tax_amount AS invoice_tax_amount, tax.tax_amount
FROM invoice
FULL JOIN tax ON tax.invoice_number = invoice.invoice_number
WHERE (CAST(invoice.tax_amount AS DECIMAL(50,4)) IS DISTINCT FROM COALESCE(tax.tax_amount, CAST(0 AS DECIMAL(50,4))))
   OR (CAST(invoice.total_without_tax AS DECIMAL(50,4))
        IS DISTINCT FROM COALESCE(tax.taxable_amount, CAST(0 AS DECIMAL(50,4))))
ORDER BY invoice_number
