-- account_total: the totals of the issued documents of an account in the period.
--
-- grain   sold_by, account_id, currency
-- reads   invoice
-- writes  sold_by            TEXT              account of the reseller that issued the documents; null if the
--                                              configured seller issued them
--         account_id         TEXT not null
--         account_name       TEXT
--         currency           TEXT not null
--         document_count     BIGINT not null   also cancelled invoices and the credit notes that cancel them
--         total_without_tax  DECIMAL(28,4) not null
--         tax_amount         DECIMAL(28,4) not null
--         total_with_tax     DECIMAL(28,4) not null
--         prepaid_amount     DECIMAL(28,4) not null
--         amount_due         DECIMAL(28,4) not null
SELECT sold_by,
       account_id,
       MAX(account_name) AS account_name,
       currency,
       CAST(COUNT(*) AS BIGINT) AS document_count,
       CAST(SUM(CAST(total_without_tax AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS total_without_tax,
       CAST(SUM(CAST(tax_amount AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS tax_amount,
       CAST(SUM(CAST(total_with_tax AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS total_with_tax,
       CAST(SUM(CAST(prepaid_amount AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS prepaid_amount,
       CAST(SUM(CAST(amount_due AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS amount_due
FROM invoice
WHERE document_kind NOT IN ('carried_forward', 'skipped')
GROUP BY sold_by, account_id, currency
ORDER BY sold_by NULLS FIRST, account_id, currency
