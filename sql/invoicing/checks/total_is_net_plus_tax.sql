-- total_is_net_plus_tax: the total with tax is the total without it plus the tax of all groups (BR-CO-14, BR-CO-15 of EN 16931).
--
-- reads   invoice, tax_breakdown
WITH tax AS (
  SELECT invoice_number, SUM(CAST(tax_amount AS DECIMAL(50,4))) AS tax_amount, SUM(CAST(taxable_amount AS DECIMAL(50,4))) AS taxable_amount
  FROM tax_breakdown
  GROUP BY invoice_number
)
SELECT invoice.invoice_number, invoice.total_without_tax, tax.taxable_amount, tax.tax_amount, invoice.total_with_tax
FROM invoice
LEFT JOIN tax ON tax.invoice_number = invoice.invoice_number
WHERE (CAST(invoice.tax_amount AS DECIMAL(50,4)) IS DISTINCT FROM tax.tax_amount)
   OR (CAST(invoice.total_without_tax AS DECIMAL(50,4)) IS DISTINCT FROM tax.taxable_amount)
   OR invoice.total_with_tax <> invoice.total_without_tax + invoice.tax_amount
   OR invoice.amount_due <> invoice.total_with_tax
ORDER BY invoice_number
