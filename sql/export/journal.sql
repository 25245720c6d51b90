-- journal: a row of the journal: a debit or credit.
--
-- grain   invoice_number, posting_number
-- reads   posting
-- writes  posting_date    DATE not null
--         invoice_number  TEXT not null
--         posting_number  BIGINT not null
--         document_kind   TEXT not null
--         account_id      TEXT not null
--         ledger_account  TEXT not null
--         detail          TEXT not null
--         debit           DECIMAL(28,4)
--         credit          DECIMAL(28,4)
--         currency        TEXT not null
SELECT posting_date, invoice_number, posting_number, document_kind, account_id, ledger_account, detail,
       CASE WHEN amount > 0 THEN amount END AS debit,
       CASE WHEN amount < 0 THEN CAST(-amount AS DECIMAL(28,4)) END AS credit,
       currency
FROM posting
ORDER BY invoice_number, posting_number
