-- compound_tax_of_a_period_includes_other_taxes: a compound tax applies to the net amount and the other taxes.
--
-- reads   invoice, invoice_line, allowance, applied_tax, tax_breakdown
-- calls   smallest_unit
--
-- The amounts are those of all documents of a payer. The other taxes are rounded on the net amount of a tax treatment.
-- The tolerance is half the smallest unit of the currency for each of them.
WITH part AS (
  SELECT invoice_number, tax_treatment, CAST(net_amount AS DECIMAL(28,4)) AS amount
  FROM invoice_line
  UNION ALL
  SELECT invoice_number, tax_treatment, CAST(-amount AS DECIMAL(28,4)) AS amount
  FROM allowance
),
net AS (
  SELECT invoice.account_id, invoice.project_id, invoice.sold_by, invoice.currency, invoice.currency_exponent,
         part.tax_treatment, CAST(SUM(part.amount) AS DECIMAL(28,4)) AS net_amount
  FROM part
  JOIN invoice ON invoice.invoice_number = part.invoice_number
  GROUP BY invoice.account_id, invoice.project_id, invoice.sold_by, invoice.currency, invoice.currency_exponent,
           part.tax_treatment
),
other AS (
  SELECT tax_treatment, CAST(SUM(tax_rate) AS DECIMAL(9,4)) AS tax_rate, COUNT(*) AS tax_count
  FROM applied_tax
  WHERE NOT is_compound
  GROUP BY tax_treatment
),
expected AS (
  SELECT net.account_id, net.project_id, net.sold_by, net.currency, net.currency_exponent, compound.tax_rate,
         compound.tax_name,
         SUM(CAST(net.net_amount * (other.tax_rate + CAST(100 AS DECIMAL(9,4))) AS DECIMAL(60,8))) AS hundredfold,
         CAST(SUM(other.tax_count) AS BIGINT) AS tax_count
  FROM net
  JOIN applied_tax AS compound ON compound.tax_treatment = net.tax_treatment
  JOIN other ON other.tax_treatment = net.tax_treatment
  WHERE compound.is_compound
  GROUP BY net.account_id, net.project_id, net.sold_by, net.currency, net.currency_exponent, compound.tax_rate,
           compound.tax_name
),
found AS (
  SELECT invoice.account_id, invoice.project_id, invoice.sold_by, invoice.currency, tax_breakdown.tax_rate,
         tax_breakdown.tax_name,
         CAST(SUM(CAST(tax_breakdown.taxable_amount AS DECIMAL(28,4))) AS DECIMAL(30,4)) AS taxable_amount
  FROM tax_breakdown
  JOIN invoice ON invoice.invoice_number = tax_breakdown.invoice_number
  WHERE tax_breakdown.is_compound
  GROUP BY invoice.account_id, invoice.project_id, invoice.sold_by, invoice.currency, tax_breakdown.tax_rate,
           tax_breakdown.tax_name
)
SELECT COALESCE(expected.account_id, found.account_id) AS account_id,
       COALESCE(expected.project_id, found.project_id) AS project_id,
       COALESCE(expected.tax_name, found.tax_name) AS tax_name, found.taxable_amount
FROM expected
FULL JOIN found ON found.account_id = expected.account_id
 AND COALESCE(found.project_id, '') = COALESCE(expected.project_id, '')
 AND COALESCE(found.sold_by, '') = COALESCE(expected.sold_by, '')
 AND found.currency = expected.currency AND found.tax_rate = expected.tax_rate AND found.tax_name = expected.tax_name
WHERE expected.account_id IS NULL OR found.account_id IS NULL
   OR abs(CAST(found.taxable_amount * 100 AS DECIMAL(60,8)) - expected.hundredfold) * 2
     > CAST(smallest_unit(expected.currency_exponent) AS DECIMAL(60,8)) * 100 * expected.tax_count
ORDER BY account_id, project_id, tax_name
