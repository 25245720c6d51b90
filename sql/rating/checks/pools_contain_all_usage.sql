-- pools_contain_all_usage: pools of a rate contain exactly the usage of the rate that no commitment discount covers.
--
-- reads   usage_segment, priced_series, pool_usage, covered_window, unique_value
--
-- Rates with rounding or percentiles, rates that count by single windows, and meters that count different values are
-- excluded. Usage is summed by price first, because a price is a number and a rate is a text.
WITH covered AS (
  SELECT series_id, charge_date, segment_start,
         CAST(SUM(CAST(covered_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9)) AS covered_quantity
  FROM covered_window
  GROUP BY series_id, charge_date, segment_start
),
counted AS (
  SELECT priced_series.priced_number,
         SUM(CAST(CASE WHEN priced_series.multiplier = 1 THEN usage_segment.consumed_quantity
                       ELSE CAST(usage_segment.consumed_quantity * CAST(priced_series.multiplier AS DECIMAL(40,9))
                              AS DECIMAL(38,9)) END AS DECIMAL(60,9))
           - COALESCE(CAST(CAST(covered.covered_quantity * CAST(priced_series.multiplier AS DECIMAL(40,9))
                             AS DECIMAL(38,9)) AS DECIMAL(60,9)),
                      CAST(0 AS DECIMAL(60,9)))) AS metered_quantity
  FROM priced_series
  JOIN usage_segment ON usage_segment.series_id = priced_series.series_id
   AND usage_segment.segment_start = priced_series.segment_start
  LEFT JOIN covered ON covered.series_id = usage_segment.series_id AND covered.charge_date = usage_segment.charge_date
   AND covered.segment_start = usage_segment.segment_start AND priced_series.component = 'base'
  LEFT JOIN unique_value ON unique_value.series_id = usage_segment.series_id
  WHERE priced_series.rounding_multiple IS NULL AND priced_series.percentile_discard IS NULL
    AND unique_value.series_id IS NULL
    AND NOT priced_series.by_window
  GROUP BY priced_series.priced_number
),
metered AS (
  SELECT priced_series.rate_id, SUM(counted.metered_quantity) AS metered_quantity
  FROM counted
  JOIN priced_series ON priced_series.priced_number = counted.priced_number
  GROUP BY priced_series.rate_id
),
pool_sum AS (
  SELECT priced_number, SUM(CAST(pool_quantity AS DECIMAL(50,9))) AS pool_quantity
  FROM pool_usage
  GROUP BY priced_number
),
pooled AS (
  SELECT priced_series.rate_id, SUM(pool_sum.pool_quantity) AS pool_quantity
  FROM pool_sum
  JOIN priced_series ON priced_series.priced_number = pool_sum.priced_number
  GROUP BY priced_series.rate_id
)
SELECT metered.rate_id, metered.metered_quantity, pooled.pool_quantity
FROM metered
LEFT JOIN pooled ON pooled.rate_id = metered.rate_id
WHERE pooled.rate_id IS NULL OR metered.metered_quantity <> pooled.pool_quantity
ORDER BY rate_id
