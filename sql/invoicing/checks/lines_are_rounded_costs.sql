-- lines_are_rounded_costs: a line of usage or of a standing charge is its unrounded cost at the one rate of its currencies, to half of the currency's smallest unit.
--
-- reads   invoice, invoice_line, exchange_rate
WITH measured AS (
  SELECT invoice_line.invoice_number, invoice_line.line_number, invoice_line.contracted_cost, invoice_line.net_amount,
         CASE invoice.currency_exponent
           WHEN 0 THEN CAST(1 AS DECIMAL(5,4)) WHEN 1 THEN CAST(0.1 AS DECIMAL(5,4)) WHEN 2 THEN CAST(0.01 AS DECIMAL(5,4))
           WHEN 3 THEN CAST(0.001 AS DECIMAL(5,4)) ELSE CAST(0.0001 AS DECIMAL(5,4)) END AS smallest_unit,
         CAST(exchange_rate.multiplier AS DECIMAL(24,12)) AS cost_factor,
         CAST(exchange_rate.divisor AS DECIMAL(24,12)) AS net_factor
  FROM invoice_line
  JOIN invoice ON invoice.invoice_number = invoice_line.invoice_number
  LEFT JOIN exchange_rate ON exchange_rate.price_currency = invoice_line.price_currency AND exchange_rate.currency = invoice.currency
  WHERE invoice_line.charge_category <> 'Adjustment' AND invoice_line.term_id IS NULL AND invoice.correction_reason IS NULL
)
SELECT invoice_number, line_number, contracted_cost, net_amount
FROM measured
WHERE cost_factor IS NULL
   OR abs(CAST(contracted_cost AS DECIMAL(44,18)) * cost_factor - CAST(net_amount AS DECIMAL(44,18)) * net_factor) * 2 > CAST(smallest_unit AS DECIMAL(44,18)) * net_factor
ORDER BY invoice_number, line_number
