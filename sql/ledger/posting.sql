-- posting: a debit or credit that a document posts to a ledger account.
--
-- grain   invoice_number, posting_number
-- reads   invoice, invoice_line, allowance, tax_breakdown, prepayment, chart
-- writes  invoice_number  TEXT not null
--         posting_number  BIGINT not null          from one
--         document_kind   TEXT not null
--         posting_date    DATE not null            the issue date; the tax point of a draft
--         account_id      TEXT not null            of the customer
--         ledger_account  TEXT not null
--         role            TEXT not null            receivable, revenue, discount, promotional, prepaid_at_sale,
--                                                  deposit, tax or unbilled
--         detail          TEXT not null            service, discount, credit, or a tax with its rate
--         amount          DECIMAL(28,4) not null   positive for a debit, negative for a credit
--         currency        TEXT not null
--
-- The amount due is a receivable, and a used prepayment is a deposit. Lines are revenue by service, except for amounts
-- from another period or for the next one, which are unbilled. Discounts and credits have their own roles. Documents of
-- a reseller belong to the reseller's books and have no postings.
WITH line AS (
  SELECT invoice_number,
         CASE WHEN charge_category = 'Adjustment' THEN 'unbilled' ELSE 'revenue' END AS role,
         CASE WHEN charge_category = 'Adjustment' THEN '' ELSE service END AS revenue_service,
         service AS line_service,
         CAST(net_amount AS DECIMAL(50,4)) AS net_amount
  FROM invoice_line
),
entry AS (
  SELECT invoice_number, 1 AS position, 'receivable' AS role, '' AS name, account_id AS detail,
         CAST(amount_due AS DECIMAL(50,4)) AS amount
  FROM invoice
  UNION ALL
  SELECT invoice_number, 2, 'deposit', '', credit_id, CAST(amount AS DECIMAL(50,4))
  FROM prepayment
  UNION ALL
  SELECT invoice_number, 3,
         CASE kind WHEN 'promotional' THEN 'promotional' WHEN 'prepaid_at_sale' THEN 'prepaid_at_sale'
                   ELSE 'discount' END,
         '', term_id, SUM(CAST(amount AS DECIMAL(50,4)))
  FROM allowance
  GROUP BY invoice_number, kind, term_id
  UNION ALL
  SELECT invoice_number, 4, role, revenue_service, line_service, -SUM(net_amount)
  FROM line
  GROUP BY invoice_number, role, revenue_service, line_service
  UNION ALL
  SELECT invoice_number, 5, 'tax', tax_name, concat(tax_name, ' ', tax_category, ' ', CAST(tax_rate AS TEXT)),
         -SUM(CAST(tax_amount AS DECIMAL(50,4)))
  FROM tax_breakdown
  GROUP BY invoice_number, tax_name, tax_category, tax_rate
),
booked AS (
  SELECT entry.invoice_number, entry.position, entry.role, entry.detail, entry.amount,
         COALESCE(own.ledger_account, general.ledger_account) AS ledger_account
  FROM entry
  LEFT JOIN chart AS own ON own.role = entry.role AND own.name = entry.name
  LEFT JOIN chart AS general ON general.role = entry.role AND general.name = ''
  WHERE entry.amount <> 0
)
SELECT booked.invoice_number,
       CAST(ROW_NUMBER() OVER (PARTITION BY booked.invoice_number ORDER BY booked.position, booked.role, booked.detail)
             AS BIGINT) AS posting_number,
       invoice.document_kind,
       COALESCE(invoice.issue_date, invoice.tax_point) AS posting_date,
       invoice.account_id,
       booked.ledger_account,
       booked.role,
       booked.detail,
       CAST(booked.amount AS DECIMAL(28,4)) AS amount,
       invoice.currency
FROM booked
JOIN invoice ON invoice.invoice_number = booked.invoice_number
WHERE invoice.sold_by IS NULL
ORDER BY invoice_number, posting_number
