-- allowances: a row of allowances.csv: a discount or credit on an invoice, for each tax group.
--
-- grain   invoice_number, allowance_number
-- reads   allowance
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
--         tax_category      TEXT not null
--         tax_rate          DECIMAL(7,4) not null
SELECT invoice_number, allowance_number, account_id, kind, term_id, description, percent, base_amount, amount, currency,
       tax_category, tax_rate
FROM allowance
ORDER BY invoice_number, allowance_number
