-- tax_of_a_period_is_rate_of_taxable: all documents of a payer have the tax of their taxable sum, rounded once.
--
-- reads   invoice, tax_breakdown
-- calls   smallest_unit
--
-- The tolerance is half the smallest unit of the currency for each tax group, whatever the number of corrections. If
-- all usage is retracted, the taxable sum and its tax are zero.
WITH taxed AS (
  SELECT invoice.account_id, invoice.project_id, invoice.sold_by, invoice.currency, invoice.currency_exponent,
         tax_breakdown.tax_category, tax_breakdown.tax_rate, tax_breakdown.tax_name,
         tax_breakdown.is_compound, tax_breakdown.exemption_reason,
         CAST(SUM(CAST(tax_breakdown.taxable_amount AS DECIMAL(28,4))) AS DECIMAL(30,4)) AS taxable_amount,
         CAST(SUM(CAST(tax_breakdown.tax_amount AS DECIMAL(28,4))) AS DECIMAL(30,4)) AS tax_amount
  FROM tax_breakdown
  JOIN invoice ON invoice.invoice_number = tax_breakdown.invoice_number
  GROUP BY invoice.account_id, invoice.project_id, invoice.sold_by, invoice.currency, invoice.currency_exponent,
           tax_breakdown.tax_category, tax_breakdown.tax_rate, tax_breakdown.tax_name,
         tax_breakdown.is_compound, tax_breakdown.exemption_reason
)
SELECT account_id, project_id, currency, tax_name, tax_category, tax_rate, taxable_amount, tax_amount
FROM taxed
WHERE abs(tax_amount * 100 - taxable_amount * tax_rate) * 2 > smallest_unit(currency_exponent) * 100
ORDER BY account_id, project_id, currency, tax_name, tax_category, tax_rate
