-- tier_parts_add_up: over all tiers and rows of a rate, the priced quantity is the metered one, to the last place that is kept.
--
-- reads   usage_segment, applicable_rate, rate, rated_usage
--
-- Each pool's total is rounded once for each tier, so the sums may differ by one unit of the last place for each row.
WITH metered AS (
  SELECT applicable_rate.rate_id,
         SUM(CAST(CAST(usage_segment.consumed_quantity * applicable_rate.multiplier AS DECIMAL(28,9)) AS DECIMAL(50,9))) AS pool_quantity,
         COUNT(*) AS row_count
  FROM usage_segment
  JOIN applicable_rate ON applicable_rate.series_id = usage_segment.series_id AND applicable_rate.segment_start = usage_segment.segment_start
  WHERE applicable_rate.factor IS NOT NULL
  GROUP BY applicable_rate.rate_id
),
priced AS (
  SELECT rate_id, SUM(CAST(pricing_quantity AS DECIMAL(50,9))) AS pricing_quantity, COUNT(*) AS row_count
  FROM rated_usage
  GROUP BY rate_id
)
SELECT rate.rate_id, metered.pool_quantity, rate.pricing_divisor, priced.pricing_quantity
FROM metered
JOIN rate ON rate.rate_id = metered.rate_id
LEFT JOIN priced ON priced.rate_id = metered.rate_id
WHERE priced.rate_id IS NULL
   OR abs(metered.pool_quantity / CAST(rate.pricing_divisor AS DECIMAL(40,9)) - priced.pricing_quantity) > CAST(priced.row_count AS DECIMAL(20,0)) * CAST(0.000000001 AS DECIMAL(10,9))
ORDER BY rate_id
