-- month_end_document: an issued document of the period, with the document that it corrects, cancels or replaces.
--
-- grain   invoice_number
-- reads   invoice, issued_reference
-- writes  invoice_number                 TEXT not null
--         document_kind                  TEXT not null            invoice or credit_note
--         issue_date                     DATE                     null for a draft
--         due_date                       DATE
--         account_id                     TEXT not null
--         account_name                   TEXT
--         project_id                     TEXT                     null for all projects of the account
--         project_name                   TEXT
--         sold_by                        TEXT                     account of the reseller that issued it; null if the
--                                                                 configured seller issued it
--         corrects                       TEXT                     number of the corrected or replaced document
--         correction_reason              TEXT
--         currency                       TEXT not null
--         total_without_tax              DECIMAL(28,4) not null
--         tax_amount                     DECIMAL(28,4) not null
--         total_with_tax                 DECIMAL(28,4) not null
--         prepaid_amount                 DECIMAL(28,4) not null
--         amount_due                     DECIMAL(28,4) not null
--         seller_currency                TEXT not null
--         tax_amount_in_seller_currency  DECIMAL(28,4) not null
SELECT invoice.invoice_number, invoice.document_kind, invoice.issue_date, invoice.due_date, invoice.account_id,
       invoice.account_name, invoice.project_id, invoice.project_name, invoice.sold_by,
       issued_reference.corrects,
       invoice.correction_reason, invoice.currency, invoice.total_without_tax, invoice.tax_amount,
       invoice.total_with_tax, invoice.prepaid_amount, invoice.amount_due, invoice.seller_currency,
       invoice.tax_amount_in_seller_currency
FROM invoice
LEFT JOIN issued_reference ON issued_reference.document_number = invoice.invoice_number
WHERE invoice.document_kind NOT IN ('carried_forward', 'skipped')
ORDER BY invoice_number
