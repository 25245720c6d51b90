-- percent_fees: the end of usage.csv, a row for each fee that is a percent of what other lines come to, as it was rounded.
--
-- grain   account_id, currency, charge_date, project_id, service, sku, dimensions, consumed_unit
-- reads   invoice_line
-- writes  charge_date        DATE not null
--         account_id         TEXT not null
--         project_id         TEXT
--         resource_id        TEXT not null           empty
--         meter              TEXT not null           empty
--         service            TEXT not null
--         sku                TEXT not null
--         consumed_quantity  DECIMAL(28,9) not null  of what it is a percent; of a minimum the number of them
--         consumed_unit      TEXT not null           a currency; of a minimum empty
--         pricing_quantity   DECIMAL(28,9) not null
--         pricing_unit       TEXT not null
--         cost               DECIMAL(38,18) not null in the currency of the invoice
--         list_cost          DECIMAL(38,18) not null the same: a fee is of what is paid
--         currency           TEXT not null           that of the invoice
--         status             TEXT not null           invoiced
--         dimensions         TEXT not null           such as base=after discounts
--         labels             TEXT not null
--
-- Of a closed month the lines of corrections are counted too, under whatever number they stand; what a later document
-- brings forward of them is an adjustment there.
SELECT MIN(charge_period_start) AS charge_date,
       account_id,
       project_id,
       '' AS resource_id,
       '' AS meter,
       service,
       sku,
       CAST(SUM(CAST(quantity AS DECIMAL(50,9))) AS DECIMAL(28,9)) AS consumed_quantity,
       unit AS consumed_unit,
       CAST(SUM(CAST(quantity AS DECIMAL(50,9))) AS DECIMAL(28,9)) AS pricing_quantity,
       unit AS pricing_unit,
       CAST(SUM(CAST(net_amount AS DECIMAL(60,4))) AS DECIMAL(38,18)) AS cost,
       CAST(SUM(CAST(net_amount AS DECIMAL(60,4))) AS DECIMAL(38,18)) AS list_cost,
       currency,
       'invoiced' AS status,
       line_by AS dimensions,
       '' AS labels
FROM invoice_line
WHERE component = 'fee' AND charge_category = 'Purchase'
GROUP BY account_id, project_id, service, sku, unit, currency, line_by
ORDER BY account_id, currency, charge_date, project_id NULLS FIRST, service, sku, dimensions, consumed_unit
