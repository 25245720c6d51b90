-- percent_fees: a row of usage.csv for a fee that is a percentage of other lines, with its rounded amount.
--
-- grain   account_id, currency, charge_date, project_id, service, sku, dimensions, consumed_unit
-- reads   invoice_line, invoice
-- writes  charge_date        DATE not null
--         account_id         TEXT not null
--         project_id         TEXT
--         resource_id        TEXT not null             empty
--         meter              TEXT not null             empty
--         service            TEXT not null
--         sku                TEXT not null
--         consumed_quantity  DECIMAL(38,9) not null    base amount of the percentage; for a minimum the number of
--                                                      minimums
--         consumed_unit      TEXT not null             a currency; empty for a minimum
--         pricing_quantity   DECIMAL(38,9) not null
--         pricing_unit       TEXT not null
--         cost               DECIMAL(38,18) not null   in the currency of the invoice
--         list_cost          DECIMAL(38,18) not null   equal to cost, because the fee is a percentage of the amount
--                                                      paid
--         currency           TEXT not null             currency of the invoice
--         status             TEXT not null             invoiced, or retail if a reseller invoices it
--         dimensions         TEXT not null             such as base=after discounts
--         labels             TEXT not null
--
-- The lines of corrections of a closed month count too, whatever their document number. The amounts that a later
-- document brings forward are adjustments there and do not count.
SELECT MIN(invoice_line.charge_period_start) AS charge_date,
       invoice_line.account_id,
       invoice_line.project_id,
       '' AS resource_id,
       '' AS meter,
       invoice_line.service,
       invoice_line.sku,
       CAST(SUM(CAST(invoice_line.quantity AS DECIMAL(50,9))) AS DECIMAL(38,9)) AS consumed_quantity,
       invoice_line.unit AS consumed_unit,
       CAST(SUM(CAST(invoice_line.quantity AS DECIMAL(50,9))) AS DECIMAL(38,9)) AS pricing_quantity,
       invoice_line.unit AS pricing_unit,
       CAST(SUM(CAST(invoice_line.net_amount AS DECIMAL(60,4))) AS DECIMAL(38,18)) AS cost,
       CAST(SUM(CAST(invoice_line.net_amount AS DECIMAL(60,4))) AS DECIMAL(38,18)) AS list_cost,
       invoice_line.currency,
       CASE WHEN MAX(invoice.sold_by) IS NULL THEN 'invoiced' ELSE 'retail' END AS status,
       invoice_line.line_by AS dimensions,
       '' AS labels
FROM invoice_line
LEFT JOIN invoice ON invoice.invoice_number = invoice_line.invoice_number
WHERE invoice_line.component = 'fee' AND invoice_line.charge_category = 'Purchase'
GROUP BY invoice_line.account_id, invoice_line.project_id, invoice_line.service, invoice_line.sku, invoice_line.unit,
         invoice_line.currency, invoice_line.line_by
ORDER BY account_id, currency, charge_date, project_id NULLS FIRST, service, sku, dimensions, consumed_unit
