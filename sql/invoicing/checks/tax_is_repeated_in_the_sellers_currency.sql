-- tax_is_repeated_in_the_sellers_currency: the tax in the seller's currency (BT-111) is that of the document at the rate that stands on it, to half of that currency's smallest unit.
--
-- reads   invoice
WITH measured AS (
  SELECT invoice_number, tax_amount, tax_amount_in_seller_currency,
         CASE seller_currency_exponent
           WHEN 0 THEN CAST(1 AS DECIMAL(5,4)) WHEN 1 THEN CAST(0.1 AS DECIMAL(5,4)) WHEN 2 THEN CAST(0.01 AS DECIMAL(5,4))
           WHEN 3 THEN CAST(0.001 AS DECIMAL(5,4)) ELSE CAST(0.0001 AS DECIMAL(5,4)) END AS smallest_unit,
         CASE WHEN exchange_base = currency THEN CAST(exchange_rate AS DECIMAL(28,12)) ELSE CAST(1 AS DECIMAL(28,12)) END AS tax_factor,
         CASE WHEN exchange_rate IS NULL OR exchange_base = currency THEN CAST(1 AS DECIMAL(28,12)) ELSE CAST(exchange_rate AS DECIMAL(28,12)) END AS seller_factor
  FROM invoice
  WHERE seller_currency_exponent IS NOT NULL
)
SELECT invoice_number, tax_amount, tax_amount_in_seller_currency
FROM measured
WHERE abs(CAST(tax_amount AS DECIMAL(40,4)) * tax_factor - CAST(tax_amount_in_seller_currency AS DECIMAL(40,4)) * seller_factor) * 2 > CAST(smallest_unit AS DECIMAL(40,4)) * seller_factor
   OR tax_amount_in_seller_currency % smallest_unit <> 0
ORDER BY invoice_number
