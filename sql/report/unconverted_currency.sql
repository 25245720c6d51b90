-- unconverted_currency: a currency of charges without an exchange rate to the seller's, so that reports leave them out.
--
-- grain   price_currency
-- reads   rated_usage, rate, non_usage_charge, exchange_rate
-- params  $currency  TEXT   of the seller, ISO 4217
-- writes  price_currency  TEXT not null
WITH foreign_rate AS (
  SELECT rate.rate_id, rate.currency
  FROM rate
  LEFT JOIN exchange_rate ON exchange_rate.price_currency = rate.currency
   AND exchange_rate.currency = CAST($currency AS TEXT)
  WHERE exchange_rate.price_currency IS NULL
),
priced AS (
  SELECT foreign_rate.currency
  FROM foreign_rate
  JOIN rated_usage ON rated_usage.rate_id = foreign_rate.rate_id
  WHERE rated_usage.contracted_cost <> 0
  UNION ALL
  SELECT non_usage_charge.currency
  FROM non_usage_charge
  LEFT JOIN exchange_rate ON exchange_rate.price_currency = non_usage_charge.currency
   AND exchange_rate.currency = CAST($currency AS TEXT)
  WHERE exchange_rate.price_currency IS NULL AND non_usage_charge.contracted_cost <> 0
)
SELECT DISTINCT currency AS price_currency
FROM priced
ORDER BY price_currency
