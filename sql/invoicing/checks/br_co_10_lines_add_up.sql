-- br_co_10_lines_add_up: BT-106 equals the sum of the net amounts of the lines.
--
-- reads   invoice, invoice_line
--
-- Rule BR-CO-10 of EN 16931.
WITH line AS (
  SELECT invoice_number, SUM(CAST(net_amount AS DECIMAL(50,4))) AS net_amount
  FROM invoice_line
  GROUP BY invoice_number
)
SELECT COALESCE(invoice.invoice_number, line.invoice_number) AS invoice_number, invoice.line_total, line.net_amount
FROM invoice
FULL JOIN line ON line.invoice_number = invoice.invoice_number
WHERE CAST(invoice.line_total AS DECIMAL(50,4)) IS DISTINCT FROM COALESCE(line.net_amount, CAST(0 AS DECIMAL(50,4)))
ORDER BY invoice_number
