-- allowances: a row of allowances.csv: a discount or credit on an invoice, for each tax treatment.
--
-- grain   invoice_number, allowance_number
-- reads   allowance, applied_tax
-- writes  invoice_number    TEXT not null
--         allowance_number  BIGINT not null
--         account_id        TEXT not null
--         kind              TEXT not null
--         term_id           TEXT not null
--         description       TEXT not null
--         percent           DECIMAL(7,4)
--         base_amount       DECIMAL(28,4) not null
--         amount            DECIMAL(28,4) not null
--         currency          TEXT not null
--         tax_category      TEXT             null if the treatment has no row in applied_tax
--         tax_rate          DECIMAL(7,4)    null if the amount has several taxes
--         tax_treatment     TEXT not null    the taxes, such as GST S 5 % + QST S 9.975 %
WITH tax AS (
  SELECT tax_treatment, MIN(tax_category) AS tax_category, CASE WHEN COUNT(*) = 1 THEN MIN(tax_rate) END AS tax_rate
  FROM applied_tax
  GROUP BY tax_treatment
)
SELECT invoice_number, allowance_number, account_id, kind, term_id, description, percent, base_amount, amount, currency,
       tax.tax_category, tax.tax_rate, allowance.tax_treatment
FROM allowance
LEFT JOIN tax ON tax.tax_treatment = allowance.tax_treatment
ORDER BY invoice_number, allowance_number
