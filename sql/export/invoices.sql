-- invoices: a row of invoices.csv: an invoice.
--
-- grain   invoice_number
-- reads   invoice
-- writes  invoice_number                 TEXT not null
--         document_kind                  TEXT not null
--         billing_period_start           DATE not null
--         billing_period_end             DATE not null   exclusive
--         tax_point                      DATE not null
--         issue_date                     DATE            null for a draft
--         due_date                       DATE            null for a draft, or if the account has no payment term
--         account_id                     TEXT not null
--         account_name                   TEXT
--         project_id                     TEXT            null for all projects of the account
--         project_name                   TEXT
--         currency                       TEXT not null
--         line_total                     DECIMAL(28,4) not null
--         allowance_total                DECIMAL(28,4) not null
--         total_without_tax              DECIMAL(28,4) not null
--         tax_amount                     DECIMAL(28,4) not null
--         total_with_tax                 DECIMAL(28,4) not null
--         prepaid_amount                 DECIMAL(28,4) not null
--         amount_due                     DECIMAL(28,4) not null
--         exchange_base                  TEXT            one unit of it is exchange_rate units of exchange_quote
--         exchange_quote                 TEXT
--         exchange_rate                  DECIMAL(28,12)
--         exchange_rate_date             DATE
--         seller_currency                TEXT not null
--         tax_amount_in_seller_currency  DECIMAL(28,4) not null
SELECT invoice_number, document_kind, billing_period_start, billing_period_end, tax_point, issue_date, due_date,
       account_id, account_name, project_id, project_name,
       currency, line_total, allowance_total, total_without_tax, tax_amount, total_with_tax, prepaid_amount, amount_due,
       exchange_base, exchange_quote, exchange_rate, exchange_rate_date, seller_currency, tax_amount_in_seller_currency
FROM invoice
ORDER BY invoice_number
