-- lines_of_a_period_are_rounded_costs: a line and its corrections sum to their cost, rounded once.
--
-- reads   invoice, invoice_line
-- calls   smallest_unit
--
-- The tolerance is half the smallest unit of the currency, whatever the number of corrections. A flat fee can be a
-- share of an amount, and its tolerance is the whole unit. The lines are those of all documents of the period with the
-- same payer, texts, price and tax. A usage that is fully retracted sums to zero. Fees and amounts without a unit are
-- excluded, because a document can have several lines with the same properties. Converted lines are excluded, because a
-- restatement can change their exchange rate.
WITH line AS (
  SELECT invoice.account_id, invoice.project_id AS invoice_project_id, invoice.sold_by, invoice.currency,
         invoice.currency_exponent, invoice_line.project_id, invoice_line.charge_category, invoice_line.service,
         invoice_line.component, invoice_line.sku, invoice_line.description, invoice_line.line_by,
         invoice_line.charge_kind, invoice_line.tier_start, invoice_line.unit, invoice_line.unit_price,
         invoice_line.unit_price_per, invoice_line.tax_treatment,
         SUM(CAST(invoice_line.net_amount AS DECIMAL(50,4))) AS net_amount,
         SUM(CAST(invoice_line.contracted_cost AS DECIMAL(60,18))) AS contracted_cost
  FROM invoice_line
  JOIN invoice ON invoice.invoice_number = invoice_line.invoice_number
  WHERE invoice_line.charge_category <> 'Adjustment' AND invoice_line.term_id IS NULL AND invoice_line.unit <> ''
    AND invoice_line.price_currency = invoice.currency
  GROUP BY invoice.account_id, invoice.project_id, invoice.sold_by, invoice.currency, invoice.currency_exponent,
           invoice_line.project_id, invoice_line.charge_category, invoice_line.service, invoice_line.component,
           invoice_line.sku, invoice_line.description, invoice_line.line_by, invoice_line.charge_kind,
           invoice_line.tier_start, invoice_line.unit, invoice_line.unit_price, invoice_line.unit_price_per,
           invoice_line.tax_treatment
)
SELECT account_id, invoice_project_id, project_id, sku, description, unit_price, net_amount, contracted_cost
FROM line
WHERE abs(contracted_cost - CAST(net_amount AS DECIMAL(60,18))) * CASE WHEN charge_kind = 'flat_fee' THEN 1 ELSE 2 END
    > CAST(smallest_unit(currency_exponent) AS DECIMAL(60,18))
ORDER BY account_id, invoice_project_id, project_id, sku, description, unit_price
