-- invoice: a document with its totals as EN 16931 names them.
--
-- grain   invoice_number
-- reads   document_header, invoice_line, allowance, tax_breakdown, prepayment, issued_tax_total
-- params  $currency              TEXT   of the seller, ISO 4217
--         $billing_period_start  DATE
--         $billing_period_end    DATE   exclusive
-- writes  invoice_number                 TEXT not null
--         document_kind                  TEXT not null            draft, carried_forward if the next invoice takes over
--                                                                 the whole amount, or skipped if all lines are zero
--         billing_period_start           DATE not null
--         billing_period_end             DATE not null            exclusive
--         tax_point                      DATE not null
--         issue_date                     DATE                     null for a draft
--         due_date                       DATE                     null for a draft, or if the account has no payment
--                                                                 term
--         account_id                     TEXT not null
--         account_name                   TEXT                     null if the project is its own account
--         buyer_country                  TEXT
--         buyer_vat_id                   TEXT
--         project_id                     TEXT                     null for all projects of the account
--         project_name                   TEXT
--         currency                       TEXT not null
--         currency_exponent              BIGINT not null          decimal places of the currency
--         line_count                     BIGINT not null
--         line_total                     DECIMAL(28,4) not null   BT-106
--         allowance_total                DECIMAL(28,4) not null   BT-107
--         total_without_tax              DECIMAL(28,4) not null   BT-109
--         tax_amount                     DECIMAL(28,4) not null   BT-110
--         total_with_tax                 DECIMAL(28,4) not null   BT-112
--         prepaid_amount                 DECIMAL(28,4) not null   BT-113
--         amount_due                     DECIMAL(28,4) not null   BT-115
--         brought_forward                DECIMAL(28,4) not null   amount of lines from earlier periods
--         carried_forward                DECIMAL(28,4) not null   amount moved from the lines to the next period
--         seller_currency                TEXT not null
--         seller_currency_exponent       BIGINT not null          decimal places of the seller's currency
--         exchange_base                  TEXT                     one unit of it is exchange_rate units of
--                                                                 exchange_quote
--         exchange_quote                 TEXT
--         exchange_rate                  DECIMAL(28,12)
--         exchange_rate_date             DATE
--         tax_amount_in_seller_currency  DECIMAL(28,4) not null   BT-111, see below
--         sold_by                        TEXT                     the reseller's account; null if the configured seller
--                                                                 sells
--         correction_reason              TEXT                     late_usage, changed_record, late_and_changed,
--                                                                 changed_rule, cancelled or reissued; null if it
--                                                                 corrects no closed period
--         is_last                        BOOLEAN not null         the account or the project ended, or the project has
--                                                                 no account, so that no later document can take an
--                                                                 amount over
--
-- BT-111 of a correction is cumulative. The tax of all documents at the same exchange rate is converted and rounded
-- once. BT-111 of the documents that were issued before is subtracted.
WITH line AS (
  SELECT invoice_number, COUNT(*) AS line_count,
         CAST(SUM(CAST(net_amount AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS line_total
  FROM invoice_line
  GROUP BY invoice_number
),
less AS (
  SELECT invoice_number, CAST(SUM(CAST(amount AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS allowance_total
  FROM allowance
  GROUP BY invoice_number
),
tax AS (
  SELECT invoice_number, CAST(SUM(CAST(tax_amount AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS tax_amount
  FROM tax_breakdown
  GROUP BY invoice_number
),
paid AS (
  SELECT invoice_number, CAST(SUM(CAST(amount AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS prepaid_amount
  FROM prepayment
  GROUP BY invoice_number
),
total AS (
  SELECT document_header.*,
         COALESCE(line.line_count, 0) AS line_count,
         CAST(COALESCE(line.line_total, 0) AS DECIMAL(28,4)) AS line_total,
         CAST(COALESCE(less.allowance_total, 0) AS DECIMAL(28,4)) AS allowance_total,
         CAST(COALESCE(tax.tax_amount, 0) AS DECIMAL(28,4)) AS tax_amount,
         CAST(COALESCE(tax.tax_amount, 0) + COALESCE(issued_tax_total.tax_amount, 0) AS DECIMAL(28,4))
           AS cumulative_tax,
         CAST(COALESCE(issued_tax_total.tax_amount_in_seller_currency, 0) AS DECIMAL(28,4))
           AS issued_in_seller_currency,
         CAST(COALESCE(paid.prepaid_amount, 0) AS DECIMAL(28,4)) AS prepaid_amount
  FROM document_header
  LEFT JOIN line ON line.invoice_number = document_header.invoice_number
  LEFT JOIN less ON less.invoice_number = document_header.invoice_number
  LEFT JOIN tax ON tax.invoice_number = document_header.invoice_number
  LEFT JOIN issued_tax_total ON issued_tax_total.invoice_number = document_header.invoice_number
  LEFT JOIN paid ON paid.invoice_number = document_header.invoice_number
)
SELECT invoice_number,
       document_kind,
       CAST($billing_period_start AS DATE) AS billing_period_start,
       CAST($billing_period_end AS DATE) AS billing_period_end,
       tax_point,
       CAST(NULL AS DATE) AS issue_date,
       CAST(NULL AS DATE) AS due_date,
       account_id,
       account_name,
       buyer_country,
       buyer_vat_id,
       project_id,
       project_name,
       currency,
       currency_exponent,
       CAST(line_count AS BIGINT) AS line_count,
       line_total,
       allowance_total,
       CAST(line_total - allowance_total AS DECIMAL(28,4)) AS total_without_tax,
       tax_amount,
       CAST(line_total - allowance_total + tax_amount AS DECIMAL(28,4)) AS total_with_tax,
       prepaid_amount,
       CAST(line_total - allowance_total + tax_amount - prepaid_amount AS DECIMAL(28,4)) AS amount_due,
       brought_forward,
       carried_forward,
       CAST($currency AS TEXT) AS seller_currency,
       seller_currency_exponent,
       exchange_base,
       exchange_quote,
       exchange_rate,
       exchange_rate_date,
       CAST(round(
         CASE WHEN exchange_rate IS NULL THEN CAST(cumulative_tax AS DECIMAL(60,16))
              WHEN exchange_base = currency
                THEN CAST(CAST(cumulative_tax AS DECIMAL(46,4))
                           * CAST(exchange_rate AS DECIMAL(29,12)) AS DECIMAL(60,16))
              ELSE CAST(CAST(cumulative_tax AS DECIMAL(46,4))
                         / CAST(exchange_rate AS DECIMAL(29,12)) AS DECIMAL(60,16)) END,
         seller_currency_exponent) - issued_in_seller_currency AS DECIMAL(28,4)) AS tax_amount_in_seller_currency,
       sold_by,
       correction_reason,
       is_last
FROM total
ORDER BY invoice_number
