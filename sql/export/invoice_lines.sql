-- invoice_lines: a row of invoice_lines.csv: a line of an invoice.
--
-- grain   invoice_number, line_number
-- reads   invoice_line, applied_tax
-- writes  invoice_number       TEXT not null
--         line_number          BIGINT not null
--         account_id           TEXT not null
--         project_id           TEXT            null for the account as a whole
--         charge_category      TEXT not null
--         service              TEXT not null
--         sku                  TEXT not null
--         description          TEXT not null
--         line_by              TEXT not null
--         charge_kind          TEXT not null   such as usage, flat_fee, minimum, recurring, one_off, percent, top_up
--         charge_period_start  DATE not null
--         charge_period_end    DATE not null   exclusive
--         quantity             DECIMAL(38,9) not null
--         unit                 TEXT not null
--         unit_price           DECIMAL(28,12) not null
--         unit_price_per       DECIMAL(28,9) not null
--         net_amount           DECIMAL(28,4) not null
--         currency             TEXT not null
--         price_currency       TEXT not null   currency of the rules; unit_price is in `currency`
--         tax_category         TEXT            null if the treatment has no row in applied_tax
--         tax_rate             DECIMAL(7,4)    null if the line has several taxes
--         tax_treatment        TEXT not null   the taxes, such as GST S 5 % + QST S 9.975 %
WITH tax AS (
  SELECT tax_treatment, MIN(tax_category) AS tax_category, CASE WHEN COUNT(*) = 1 THEN MIN(tax_rate) END AS tax_rate
  FROM applied_tax
  GROUP BY tax_treatment
)
SELECT invoice_number, line_number, account_id, project_id, charge_category, service, sku, description, line_by,
       charge_kind, charge_period_start, charge_period_end,
       quantity, unit, unit_price, unit_price_per, net_amount, currency, price_currency, tax.tax_category, tax.tax_rate,
       invoice_line.tax_treatment
FROM invoice_line
LEFT JOIN tax ON tax.tax_treatment = invoice_line.tax_treatment
ORDER BY invoice_number, line_number
