-- lines_are_rounded_costs: a usage or purchase line is its cost at the exchange rate, rounded.
--
-- reads   invoice, invoice_line, exchange_rate
-- calls   smallest_unit
--
-- The tolerance is half the smallest unit of the invoice's currency. Charges that can be shares of an amount have a
-- tolerance of the whole unit, and shared_amounts_add_up compares their sum. Fees, minimum spends and corrections are
-- excluded.
WITH measured AS (
  SELECT invoice_line.invoice_number, invoice_line.line_number, invoice_line.contracted_cost, invoice_line.net_amount,
         CASE WHEN invoice_line.charge_kind IN ('flat_fee', 'minimum', 'maximum')
               AND invoice_line.charge_category = 'Usage' THEN 1 ELSE 2 END AS parts_of_unit,
         smallest_unit(invoice.currency_exponent) AS smallest_unit,
         CAST(exchange_rate.multiplier AS DECIMAL(24,12)) AS cost_factor,
         CAST(exchange_rate.divisor AS DECIMAL(24,12)) AS net_factor
  FROM invoice_line
  JOIN invoice ON invoice.invoice_number = invoice_line.invoice_number
  LEFT JOIN exchange_rate ON exchange_rate.price_currency = invoice_line.price_currency
   AND exchange_rate.currency = invoice.currency
  WHERE invoice_line.charge_category <> 'Adjustment' AND invoice_line.term_id IS NULL
    AND invoice.correction_reason IS NULL
)
SELECT invoice_number, line_number, contracted_cost, net_amount
FROM measured
WHERE cost_factor IS NULL
   OR abs(CAST(contracted_cost AS DECIMAL(44,18)) * cost_factor - CAST(net_amount AS DECIMAL(44,18)) * net_factor)
     * parts_of_unit > CAST(smallest_unit AS DECIMAL(44,18)) * net_factor
ORDER BY invoice_number, line_number
