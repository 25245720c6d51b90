-- rated_cost_is_invoiced_once: every cost of an invoiced account is on a line, suspended or unbilled.
--
-- reads   rated_usage, rate, active_series, non_usage_charge, invoice_line, suspended_account, unbilled_cost
--
-- The costs are compared by account and price currency, to the last of 18 places.
WITH cost AS (
  SELECT active_series.account_id, rate.currency, CAST(rated_usage.contracted_cost AS DECIMAL(60,18)) AS contracted_cost
  FROM rated_usage
  JOIN active_series ON active_series.series_id = rated_usage.series_id
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  WHERE active_series.status IN ('invoiced', 'retail')
  UNION ALL
  SELECT account_id, currency, CAST(contracted_cost AS DECIMAL(60,18)) AS contracted_cost
  FROM non_usage_charge
  WHERE status IN ('invoiced', 'retail')
),
rated AS (
  SELECT account_id, currency, SUM(contracted_cost) AS contracted_cost
  FROM cost
  GROUP BY account_id, currency
),
part AS (
  SELECT account_id, price_currency, CAST(contracted_cost AS DECIMAL(60,18)) AS contracted_cost
  FROM invoice_line
  UNION ALL
  SELECT account_id, price_currency, CAST(contracted_cost AS DECIMAL(60,18)) AS contracted_cost
  FROM suspended_account
  UNION ALL
  SELECT account_id, price_currency, CAST(contracted_cost AS DECIMAL(60,18)) AS contracted_cost
  FROM unbilled_cost
),
invoiced AS (
  SELECT account_id, price_currency, SUM(contracted_cost) AS contracted_cost
  FROM part
  GROUP BY account_id, price_currency
)
SELECT COALESCE(rated.account_id, invoiced.account_id) AS account_id,
       COALESCE(rated.currency, invoiced.price_currency) AS price_currency,
       rated.contracted_cost AS rated_cost, invoiced.contracted_cost AS invoiced_cost
FROM rated
FULL JOIN invoiced ON invoiced.account_id = rated.account_id AND invoiced.price_currency = rated.currency
WHERE COALESCE(rated.contracted_cost, CAST(0 AS DECIMAL(60,18)))
  <> COALESCE(invoiced.contracted_cost, CAST(0 AS DECIMAL(60,18)))
ORDER BY account_id, price_currency
