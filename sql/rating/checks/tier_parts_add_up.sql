-- tier_parts_add_up: the priced quantity of a rate equals the quantity of its pools.
--
-- reads   pool_usage, priced_series, rate, rate_tier, rated_usage
--
-- Each pool total is rounded once for each tier, so the sums may differ by one unit of the last place for each row. A
-- rate with packages prices whole packages, which differ from the usage, so it is excluded.
WITH packaged AS (
  SELECT DISTINCT rate_id
  FROM rate_tier
  WHERE package IS NOT NULL
),
pool_sum AS (
  SELECT priced_number, SUM(CAST(pool_quantity AS DECIMAL(50,9))) AS pool_quantity
  FROM pool_usage
  GROUP BY priced_number
),
metered AS (
  SELECT priced_series.rate_id, CAST(SUM(pool_sum.pool_quantity) AS DECIMAL(60,9)) AS pool_quantity
  FROM pool_sum
  JOIN priced_series ON priced_series.priced_number = pool_sum.priced_number
  GROUP BY priced_series.rate_id
),
priced AS (
  SELECT rate_id, SUM(CAST(pricing_quantity AS DECIMAL(50,9))) AS pricing_quantity, COUNT(*) AS row_count
  FROM rated_usage
  WHERE charge_kind = 'usage'
  GROUP BY rate_id
)
SELECT rate.rate_id, metered.pool_quantity, rate.pricing_divisor, priced.pricing_quantity
FROM metered
JOIN rate ON rate.rate_id = metered.rate_id
LEFT JOIN packaged ON packaged.rate_id = metered.rate_id
LEFT JOIN priced ON priced.rate_id = metered.rate_id
WHERE packaged.rate_id IS NULL
  AND (priced.rate_id IS NULL
    OR abs(metered.pool_quantity / CAST(rate.pricing_divisor AS DECIMAL(40,9)) - priced.pricing_quantity)
      > CAST(priced.row_count AS DECIMAL(20,0)) * CAST(0.000000001 AS DECIMAL(10,9)))
ORDER BY rate_id
