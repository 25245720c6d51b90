-- reconciliation: a part of an invariant of a billed period: a sum that must be zero.
--
-- grain   position, unit, part_number
-- reads   input_file, metered_day, rated_usage, rate, unrated_usage, active_series, payer_series, non_usage_charge,
--         suspended_account, unbilled_cost, invoice, invoice_line, allowance, allowance_share, applied_tax,
--         tax_breakdown, prepayment, credit_balance, earlier_balance, posting
-- writes  position     BIGINT not null
--         invariant    TEXT not null
--         unit         TEXT not null     a currency or a counted unit
--         part_number  BIGINT not null   the difference has the highest number
--         part         TEXT not null
--         amount       DECIMAL(38,18) not null
--
-- A record that several meters take counts once for each of them.
-- The first parts of an invariant are added and the others subtracted. The last row of an invariant is the difference.
-- A line with several taxes counts once for each tax, except for compound taxes, which a check of the period covers.
-- Usage of a reseller's customer counts once, as usage that the reseller owes, as in period_summary.
WITH charged AS (
  SELECT series_id, charge_date, component = 'base' AS is_priced
  FROM rated_usage
  UNION
  SELECT series_id, charge_date, FALSE AS is_priced
  FROM unrated_usage WHERE component = 'base'
),
used AS (
  SELECT COALESCE(payer_series.metered_series_id, charged.series_id) AS series_id, charged.charge_date,
         MAX(CASE WHEN charged.is_priced THEN 1 ELSE 0 END) AS is_priced
  FROM charged
  LEFT JOIN payer_series ON payer_series.series_id = charged.series_id
  WHERE payer_series.status IS NULL OR payer_series.status <> 'retail'
  GROUP BY COALESCE(payer_series.metered_series_id, charged.series_id), charged.charge_date
),
cost AS (
  SELECT rate.currency, 'rated' AS kind, active_series.status,
         CAST(rated_usage.contracted_cost AS DECIMAL(60,18)) AS amount
  FROM rated_usage
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  LEFT JOIN active_series ON active_series.series_id = rated_usage.series_id
  UNION ALL
  SELECT currency, 'fee', status, CAST(contracted_cost AS DECIMAL(60,18))
  FROM non_usage_charge
  UNION ALL
  SELECT price_currency, 'invoiced', '', CAST(contracted_cost AS DECIMAL(60,18))
  FROM invoice_line WHERE contracted_cost <> 0
  UNION ALL
  SELECT price_currency, 'suspended', '', CAST(contracted_cost AS DECIMAL(60,18))
  FROM suspended_account WHERE contracted_cost <> 0
),
taxed AS (
  SELECT invoice_line.currency, CAST(invoice_line.net_amount AS DECIMAL(60,18)) AS amount
  FROM invoice_line
  JOIN applied_tax ON applied_tax.tax_treatment = invoice_line.tax_treatment
  WHERE NOT applied_tax.is_compound
  UNION ALL
  SELECT allowance.currency, -CAST(allowance.amount AS DECIMAL(60,18))
  FROM allowance
  JOIN applied_tax ON applied_tax.tax_treatment = allowance.tax_treatment
  WHERE NOT applied_tax.is_compound
),
entry AS (
  SELECT 1 AS position, 'records' AS invariant, 'record' AS unit, 1 AS part_number, 'read' AS part, 1 AS sign,
         SUM(CAST(sample_count AS DECIMAL(60,18)) + CAST(unmetered_count AS DECIMAL(60,18))) AS amount
  FROM input_file
  UNION ALL
  SELECT 1, 'records', 'record', 2, 'accepted', -1, SUM(CAST(accepted_count AS DECIMAL(60,18)))
  FROM input_file
  UNION ALL
  SELECT 1, 'records', 'record', 3, 'duplicate', -1, SUM(CAST(duplicate_count AS DECIMAL(60,18)))
  FROM input_file
  UNION ALL
  SELECT 1, 'records', 'record', 4, 'rejected', -1, SUM(CAST(rejected_count AS DECIMAL(60,18)))
  FROM input_file
  UNION ALL
  SELECT 1, 'records', 'record', 5, 'of no meter', -1, SUM(CAST(unmetered_count AS DECIMAL(60,18)))
  FROM input_file
  UNION ALL
  SELECT 1, 'records', 'record', 6, 'retracted', -1, SUM(CAST(retracted_count AS DECIMAL(60,18)))
  FROM input_file
  UNION ALL
  SELECT 2, 'metered usage', 'resource-day', 1, 'metered', 1, CAST(COUNT(*) AS DECIMAL(60,18))
  FROM metered_day WHERE consumed_quantity <> 0
  UNION ALL
  SELECT 2, 'metered usage', 'resource-day', 2, 'rated', -1, CAST(COUNT(*) AS DECIMAL(60,18))
  FROM used WHERE is_priced = 1
  UNION ALL
  SELECT 2, 'metered usage', 'resource-day', 3, 'without a price', -1, CAST(COUNT(*) AS DECIMAL(60,18))
  FROM used WHERE is_priced = 0
  UNION ALL
  SELECT 3, 'rated cost', currency, 1, 'rated', 1,
         SUM(CASE WHEN kind = 'rated' THEN amount ELSE CAST(0 AS DECIMAL(60,18)) END)
  FROM cost GROUP BY currency
  UNION ALL
  SELECT 3, 'rated cost', currency, 2, 'fees and charges', 1,
         SUM(CASE WHEN kind = 'fee' THEN amount ELSE CAST(0 AS DECIMAL(60,18)) END)
  FROM cost GROUP BY currency
  UNION ALL
  SELECT 3, 'rated cost', currency, 3, 'on invoices, unrounded', -1,
         SUM(CASE WHEN kind = 'invoiced' THEN amount ELSE CAST(0 AS DECIMAL(60,18)) END)
  FROM cost GROUP BY currency
  UNION ALL
  SELECT 3, 'rated cost', currency, 4, 'suspended', -1,
         SUM(CASE WHEN kind = 'suspended' THEN amount ELSE CAST(0 AS DECIMAL(60,18)) END)
  FROM cost GROUP BY currency
  UNION ALL
  SELECT 3, 'rated cost', currency, 5, 'internal', -1,
         SUM(CASE WHEN status = 'internal' THEN amount ELSE CAST(0 AS DECIMAL(60,18)) END)
  FROM cost GROUP BY currency
  UNION ALL
  SELECT 3, 'rated cost', currency, 6, 'unattributed', -1,
         SUM(CASE WHEN status = 'unattributed' THEN amount
                  ELSE CAST(0 AS DECIMAL(60,18)) END)
  FROM cost GROUP BY currency
  UNION ALL
  SELECT 3, 'rated cost', price_currency, 7, 'below a smallest unit or cancelled since the close', -1,
         SUM(CAST(contracted_cost AS DECIMAL(60,18)))
  FROM unbilled_cost GROUP BY price_currency
  UNION ALL
  SELECT 4, 'lines', currency, 1, 'sum of lines', 1, SUM(CAST(line_total AS DECIMAL(60,18)))
  FROM invoice GROUP BY currency
  UNION ALL
  SELECT 4, 'lines', currency, 2, 'usage', -1, SUM(CAST(net_amount AS DECIMAL(60,18)))
  FROM invoice_line WHERE charge_category = 'Usage' GROUP BY currency
  UNION ALL
  SELECT 4, 'lines', currency, 3, 'fees, charges and top-ups', -1, SUM(CAST(net_amount AS DECIMAL(60,18)))
  FROM invoice_line WHERE charge_category = 'Purchase' GROUP BY currency
  UNION ALL
  SELECT 4, 'lines', currency, 4, 'brought forward', -1, SUM(CAST(brought_forward AS DECIMAL(60,18)))
  FROM invoice GROUP BY currency
  UNION ALL
  SELECT 4, 'lines', currency, 5, 'carried forward', -1, -SUM(CAST(carried_forward AS DECIMAL(60,18)))
  FROM invoice GROUP BY currency
  UNION ALL
  SELECT 5, 'total without tax', currency, 1, 'sum of lines', 1, SUM(CAST(line_total AS DECIMAL(60,18)))
  FROM invoice GROUP BY currency
  UNION ALL
  SELECT 5, 'total without tax', currency, 2, 'discounts', -1, SUM(CAST(amount AS DECIMAL(60,18)))
  FROM allowance WHERE kind IN ('discount', 'overage') GROUP BY currency
  UNION ALL
  SELECT 5, 'total without tax', currency, 3, 'credits before tax', -1, SUM(CAST(amount AS DECIMAL(60,18)))
  FROM allowance WHERE kind IN ('promotional',
                                                                           'prepaid_at_sale') GROUP BY currency
  UNION ALL
  SELECT 5, 'total without tax', currency, 4, 'without tax', -1, SUM(CAST(total_without_tax AS DECIMAL(60,18)))
  FROM invoice GROUP BY currency
  UNION ALL
  SELECT 6, 'shares of allowances', allowance.currency, 1, 'allowances', 1,
         SUM(CAST(allowance.amount AS DECIMAL(60,18)))
  FROM allowance
  JOIN invoice ON invoice.invoice_number = allowance.invoice_number
  LEFT JOIN (SELECT DISTINCT invoice_number, allowance_number FROM allowance_share) AS shared
    ON shared.invoice_number = allowance.invoice_number AND shared.allowance_number = allowance.allowance_number
  WHERE invoice.correction_reason IS NULL OR shared.invoice_number IS NOT NULL
  GROUP BY allowance.currency
  UNION ALL
  SELECT 6, 'shares of allowances', allowance.currency, 2, 'shares of lines', -1,
         SUM(CAST(allowance_share.amount
                   AS DECIMAL(60,18)))
  FROM allowance_share JOIN allowance ON allowance.invoice_number
                     = allowance_share.invoice_number AND allowance.allowance_number
                       = allowance_share.allowance_number GROUP BY allowance.currency
  UNION ALL
  SELECT 7, 'taxed amounts', currency, 1, 'lines less allowances, for each tax', 1,
         SUM(amount)
  FROM taxed GROUP BY currency
  UNION ALL
  SELECT 7, 'taxed amounts', invoice.currency, 2, 'taxable in groups', -1,
         SUM(CAST(tax_breakdown.taxable_amount
                   AS DECIMAL(60,18)))
  FROM tax_breakdown JOIN invoice ON invoice.invoice_number
                     = tax_breakdown.invoice_number WHERE NOT tax_breakdown.is_compound GROUP BY invoice.currency
  UNION ALL
  SELECT 8, 'tax', invoice.currency, 1, 'tax of invoices', 1, SUM(CAST(invoice.tax_amount AS DECIMAL(60,18)))
  FROM invoice GROUP BY invoice.currency
  UNION ALL
  SELECT 8, 'tax', invoice.currency, 2, 'tax of groups', -1, SUM(CAST(tax_breakdown.tax_amount AS DECIMAL(60,18)))
  FROM tax_breakdown JOIN invoice ON invoice.invoice_number
           = tax_breakdown.invoice_number GROUP BY invoice.currency
  UNION ALL
  SELECT 9, 'amounts due', currency, 1, 'without tax', 1, SUM(CAST(total_without_tax AS DECIMAL(60,18)))
  FROM invoice GROUP BY currency
  UNION ALL
  SELECT 9, 'amounts due', currency, 2, 'tax', 1, SUM(CAST(tax_amount AS DECIMAL(60,18)))
  FROM invoice GROUP BY currency
  UNION ALL
  SELECT 9, 'amounts due', invoice.currency, 3, 'paid before', -1, SUM(CAST(prepayment.amount AS DECIMAL(60,18)))
  FROM prepayment JOIN invoice ON invoice.invoice_number
           = prepayment.invoice_number GROUP BY invoice.currency
  UNION ALL
  SELECT 9, 'amounts due', currency, 4, 'due', -1, SUM(CAST(amount_due AS DECIMAL(60,18)))
  FROM invoice GROUP BY currency
  UNION ALL
  SELECT 10, 'credits', currency, 1, 'opening balances', 1, SUM(CAST(opening_balance AS DECIMAL(60,18)))
  FROM credit_balance GROUP BY currency
  UNION ALL
  SELECT 10, 'credits', currency, 2, 'granted', 1, SUM(CAST(granted AS DECIMAL(60,18)))
  FROM credit_balance GROUP BY currency
  UNION ALL
  SELECT 10, 'credits', currency, 3, 'used before tax', -1, SUM(CAST(amount AS DECIMAL(60,18)))
  FROM allowance WHERE kind IN ('promotional',
                                                                           'prepaid_at_sale') GROUP BY currency
  UNION ALL
  SELECT 10, 'credits', invoice.currency, 4, 'used to pay', -1, SUM(CAST(prepayment.amount AS DECIMAL(60,18)))
  FROM prepayment JOIN invoice ON invoice.invoice_number
           = prepayment.invoice_number GROUP BY invoice.currency
  UNION ALL
  SELECT 10, 'credits', currency, 5, 'expired', -1, SUM(CAST(expired AS DECIMAL(60,18)))
  FROM credit_balance GROUP BY currency
  UNION ALL
  SELECT 10, 'credits', currency, 6, 'closing balances', -1, SUM(CAST(closing_balance AS DECIMAL(60,18)))
  FROM credit_balance GROUP BY currency
  UNION ALL
  SELECT 11, 'balances from before', currency, 1, 'closing balances of earlier periods', 1,
         SUM(CAST(amount AS DECIMAL(60,18)))
  FROM earlier_balance WHERE kind = 'credit' GROUP BY currency
  UNION ALL
  SELECT 11, 'balances from before', currency, 2, 'opening balances', -1, SUM(CAST(opening_balance AS DECIMAL(60,18)))
  FROM credit_balance GROUP BY currency
  UNION ALL
  SELECT 12, 'brought forward', currency, 1, 'carried forward by earlier periods', 1,
         SUM(CAST(amount AS DECIMAL(60,18)))
  FROM earlier_balance WHERE kind = 'carried' GROUP BY currency
  UNION ALL
  SELECT 12, 'brought forward', currency, 3, 'still to be brought forward', -1, SUM(CAST(amount AS DECIMAL(60,18)))
  FROM earlier_balance WHERE kind = 'waiting' GROUP BY currency
  UNION ALL
  SELECT 12, 'brought forward', currency, 2, 'brought forward', -1, SUM(CAST(brought_forward AS DECIMAL(60,18)))
  FROM invoice GROUP BY currency
  UNION ALL
  SELECT 13, 'postings', currency, 1, 'debit', 1,
         SUM(CASE WHEN amount > 0 THEN CAST(amount AS DECIMAL(60,18))
                  ELSE CAST(0 AS DECIMAL(60,18)) END)
  FROM posting GROUP BY currency
  UNION ALL
  SELECT 13, 'postings', currency, 2, 'credit', -1,
         SUM(CASE WHEN amount < 0 THEN CAST(-amount AS DECIMAL(60,18))
                  ELSE CAST(0 AS DECIMAL(60,18)) END)
  FROM posting GROUP BY currency
  UNION ALL
  SELECT 14, 'receivables', currency, 1, 'due', 1, SUM(CAST(amount_due AS DECIMAL(60,18)))
  FROM invoice WHERE sold_by IS NULL GROUP BY currency
  UNION ALL
  SELECT 14, 'receivables', currency, 2, 'posted as receivable', -1, SUM(CAST(amount AS DECIMAL(60,18)))
  FROM posting WHERE role = 'receivable' GROUP BY currency
),
complete_entry AS (
  SELECT position, invariant, unit, part_number, part, sign, COALESCE(amount, CAST(0 AS DECIMAL(60,18))) AS amount
  FROM entry
),
with_difference AS (
  SELECT position, invariant, unit, part_number, part, amount
  FROM complete_entry
  UNION ALL
  SELECT position, invariant, unit, 9 AS part_number, 'difference' AS part,
         SUM(CASE WHEN sign > 0 THEN amount ELSE -amount END) AS amount
  FROM complete_entry
  GROUP BY position, invariant, unit
)
SELECT CAST(position AS BIGINT) AS position,
       invariant,
       unit,
       CAST(part_number AS BIGINT) AS part_number,
       part,
       CAST(amount AS DECIMAL(38,18)) AS amount
FROM with_difference
ORDER BY position, unit, part_number
