-- tax_of_a_period_is_repeated_in_the_sellers_currency: BT-111 of all documents of a payer is their tax, converted once.
--
-- reads   invoice
-- calls   smallest_unit
--
-- The documents are those with the same exchange rate. The tolerance is half the smallest unit of the seller's
-- currency, whatever the number of corrections.
WITH taxed AS (
  SELECT account_id, project_id, sold_by, currency, seller_currency_exponent, exchange_base, exchange_quote,
         exchange_rate, exchange_rate_date,
         CAST(SUM(CAST(tax_amount AS DECIMAL(28,4))) AS DECIMAL(36,4)) AS tax_amount,
         CAST(SUM(CAST(tax_amount_in_seller_currency AS DECIMAL(28,4))) AS DECIMAL(36,4))
           AS tax_amount_in_seller_currency
  FROM invoice
  GROUP BY account_id, project_id, sold_by, currency, seller_currency_exponent, exchange_base, exchange_quote,
           exchange_rate, exchange_rate_date
),
measured AS (
  SELECT account_id, project_id, currency, tax_amount, tax_amount_in_seller_currency,
         smallest_unit(seller_currency_exponent) AS smallest_unit,
         CASE WHEN exchange_base = currency THEN CAST(exchange_rate AS DECIMAL(28,12))
              ELSE CAST(1 AS DECIMAL(28,12)) END AS tax_factor,
         CASE WHEN exchange_rate IS NULL OR exchange_base = currency THEN CAST(1 AS DECIMAL(28,12))
              ELSE CAST(exchange_rate AS DECIMAL(28,12)) END AS seller_factor
  FROM taxed
)
SELECT account_id, project_id, currency, tax_amount, tax_amount_in_seller_currency
FROM measured
WHERE abs(CAST(tax_amount AS DECIMAL(40,4)) * tax_factor - CAST(tax_amount_in_seller_currency AS DECIMAL(40,4))
           * seller_factor) * 2 > CAST(smallest_unit AS DECIMAL(40,4)) * seller_factor
ORDER BY account_id, project_id, currency
