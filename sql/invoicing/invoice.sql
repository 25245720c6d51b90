-- invoice: the document, with its totals.
--
-- grain   invoice_number
-- reads   invoice_line, tax_breakdown, active_series
-- params  $billing_period_start DATE
--         $billing_period_end DATE                        exclusive
-- writes  invoice_number        TEXT not null
--         document_kind         TEXT not null             draft
--         billing_period_start  DATE not null
--         billing_period_end    DATE not null             exclusive
--         account_id            TEXT not null
--         account_name          TEXT
--         project_id            TEXT not null
--         project_name          TEXT
--         currency              TEXT not null
--         line_count            BIGINT not null
--         total_without_tax     DECIMAL(28,4) not null
--         tax_amount            DECIMAL(28,4) not null
--         total_with_tax        DECIMAL(28,4) not null
--         amount_due            DECIMAL(28,4) not null
WITH line AS (
  SELECT invoice_number, account_id, project_id, currency, COUNT(*) AS line_count,
         CAST(SUM(CAST(net_amount AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS total_without_tax
  FROM invoice_line
  GROUP BY invoice_number, account_id, project_id, currency
),
tax AS (
  SELECT invoice_number, CAST(SUM(CAST(tax_amount AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS tax_amount
  FROM tax_breakdown
  GROUP BY invoice_number
),
name AS (
  SELECT project_id, MAX(project_name) AS project_name, MAX(account_name) AS account_name
  FROM active_series
  GROUP BY project_id
)
SELECT line.invoice_number,
       'draft' AS document_kind,
       CAST($billing_period_start AS DATE) AS billing_period_start,
       CAST($billing_period_end AS DATE) AS billing_period_end,
       line.account_id,
       name.account_name,
       line.project_id,
       name.project_name,
       line.currency,
       line.line_count,
       line.total_without_tax,
       tax.tax_amount,
       CAST(line.total_without_tax + tax.tax_amount AS DECIMAL(28,4)) AS total_with_tax,
       CAST(line.total_without_tax + tax.tax_amount AS DECIMAL(28,4)) AS amount_due
FROM line
JOIN tax ON tax.invoice_number = line.invoice_number
JOIN name ON name.project_id = line.project_id
ORDER BY invoice_number
