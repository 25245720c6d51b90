-- lines_add_up_to_the_invoice: the total without tax is the sum of the lines (BR-CO-10, BR-CO-13 of EN 16931).
--
-- reads   invoice, invoice_line
WITH line AS (
  SELECT invoice_number, SUM(CAST(net_amount AS DECIMAL(50,4))) AS net_amount
  FROM invoice_line
  GROUP BY invoice_number
)
SELECT COALESCE(invoice.invoice_number, line.invoice_number) AS invoice_number, invoice.total_without_tax, line.net_amount
FROM invoice
FULL JOIN line ON line.invoice_number = invoice.invoice_number
WHERE CAST(invoice.total_without_tax AS DECIMAL(50,4)) IS DISTINCT FROM line.net_amount
ORDER BY invoice_number
