-- shared_amounts_add_up: the shares of an amount per account sum to the rounded amount.
--
-- reads   invoice, invoice_line, exchange_rate, rate, unbilled_cost
-- calls   smallest_unit
--
-- The tolerance is half the smallest unit of the invoice's currency. A rate whose pool is per account shares its flat
-- fees, minimum and maximum out to the projects. Each share is a line, on one document or on one for each project.
WITH shared AS (
  SELECT service, component, sku, description, currency
  FROM rate
  GROUP BY service, component, sku, description, currency
  HAVING bool_and(pool_scope = 'account')
),
amount AS (
  SELECT invoice.account_id, invoice_line.service, invoice_line.component, invoice_line.sku, invoice_line.description,
         invoice_line.charge_kind, invoice_line.tier_start, invoice_line.price_currency,
         invoice_line.contracted_unit_price, invoice_line.unit_price_per, invoice.currency, invoice.currency_exponent,
         SUM(CAST(invoice_line.contracted_cost AS DECIMAL(50,18))) AS contracted_cost,
         SUM(CAST(invoice_line.net_amount AS DECIMAL(50,4))) AS net_amount
  FROM shared
  JOIN invoice_line ON invoice_line.service = shared.service AND invoice_line.component = shared.component
   AND invoice_line.sku = shared.sku AND invoice_line.description = shared.description
   AND invoice_line.price_currency = shared.currency
  JOIN invoice ON invoice.invoice_number = invoice_line.invoice_number
  WHERE invoice_line.charge_category = 'Usage' AND invoice_line.term_id IS NULL AND invoice.correction_reason IS NULL
    AND invoice_line.charge_kind IN ('flat_fee', 'minimum', 'maximum')
    AND invoice.account_id NOT IN (SELECT account_id FROM unbilled_cost)
  GROUP BY invoice.account_id, invoice_line.service, invoice_line.component, invoice_line.sku,
           invoice_line.description, invoice_line.charge_kind, invoice_line.tier_start, invoice_line.price_currency,
           invoice_line.contracted_unit_price, invoice_line.unit_price_per, invoice.currency, invoice.currency_exponent
)
SELECT amount.account_id, amount.sku, amount.description, amount.charge_kind, amount.contracted_cost, amount.net_amount
FROM amount
JOIN exchange_rate ON exchange_rate.price_currency = amount.price_currency
 AND exchange_rate.currency = amount.currency
WHERE abs(amount.contracted_cost * CAST(exchange_rate.multiplier AS DECIMAL(24,12))
          - CAST(amount.net_amount AS DECIMAL(50,18)) * CAST(exchange_rate.divisor AS DECIMAL(24,12))) * 2
    > CAST(smallest_unit(amount.currency_exponent) AS DECIMAL(44,18))
        * CAST(exchange_rate.divisor AS DECIMAL(24,12))
ORDER BY account_id, sku, description, charge_kind
