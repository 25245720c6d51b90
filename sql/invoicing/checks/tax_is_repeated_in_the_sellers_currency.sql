-- tax_is_repeated_in_the_sellers_currency: BT-111 equals the tax at the exchange rate of the document.
--
-- reads   invoice
-- calls   smallest_unit
--
-- The tolerance is half the smallest unit of the seller's currency, and a whole unit for a correction, whose tax is
-- cumulative.
WITH measured AS (
  SELECT invoice_number, tax_amount, tax_amount_in_seller_currency,
         smallest_unit(seller_currency_exponent) AS smallest_unit,
         CASE WHEN correction_reason IS NULL THEN 1 ELSE 2 END AS half_units,
         CASE WHEN exchange_base = currency THEN CAST(exchange_rate AS DECIMAL(28,12))
              ELSE CAST(1 AS DECIMAL(28,12)) END AS tax_factor,
         CASE WHEN exchange_rate IS NULL OR exchange_base = currency THEN CAST(1 AS DECIMAL(28,12))
              ELSE CAST(exchange_rate AS DECIMAL(28,12)) END AS seller_factor
  FROM invoice
)
SELECT invoice_number, tax_amount, tax_amount_in_seller_currency
FROM measured
WHERE abs(CAST(tax_amount AS DECIMAL(40,4)) * tax_factor - CAST(tax_amount_in_seller_currency AS DECIMAL(40,4))
           * seller_factor) * 2 > CAST(smallest_unit AS DECIMAL(40,4)) * seller_factor * half_units
   OR tax_amount_in_seller_currency % smallest_unit <> 0
ORDER BY invoice_number
