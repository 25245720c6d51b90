-- invoices: invoices.csv, a row for each invoice.
--
-- grain   invoice_number
-- reads   invoice
-- writes  invoice_number        TEXT not null
--         document_kind         TEXT not null
--         billing_period_start  DATE not null
--         billing_period_end    DATE not null   exclusive
--         account_id            TEXT not null
--         account_name          TEXT
--         project_id            TEXT not null
--         project_name          TEXT
--         currency              TEXT not null
--         total_without_tax     DECIMAL(28,4) not null
--         tax_amount            DECIMAL(28,4) not null
--         total_with_tax        DECIMAL(28,4) not null
--         amount_due            DECIMAL(28,4) not null
SELECT invoice_number, document_kind, billing_period_start, billing_period_end, account_id, account_name, project_id, project_name,
       currency, total_without_tax, tax_amount, total_with_tax, amount_due
FROM invoice
ORDER BY invoice_number
