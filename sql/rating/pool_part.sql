-- pool_part: the part of each day's usage that lies in a tier of its rate.
--
-- grain   series_id, charge_date, segment_start, component, tier_number
-- reads   usage_segment, priced_series, rate_tier
-- writes  series_id              BIGINT UNSIGNED not null
--         charge_date            DATE not null
--         segment_start          TIMESTAMP not null
--         component              TEXT not null
--         tier_number            BIGINT not null
--         priced_number          BIGINT not null
--         line_group             BIGINT not null
--         usage_order            BIGINT not null
--         tier_start             DECIMAL(28,9) not null
--         contracted_unit_price  DECIMAL(28,12) not null
--         part_quantity          DECIMAL(28,9) not null    in metered units
--
-- The running total of a pool decides which tier each part of a row lies in; parts are exact. It is one running total
-- over all pools, one after the other, less what it was where each pool begins: there are thousands of pools of few
-- rows, and the engine keeps a state for each partition of a window. Nothing is negative, so a pool begins where it is
-- smallest. A portion of usage has at most 10^7 rows of 10^19, which 29 digits before the point hold.
--
-- Usage may have a priced quantity of zero (a flavor without vCPUs, priced by vCPU). It is rated all the same, in
-- one row: in the tier where the pool stands, which on a bound is the one that begins there.
WITH priced AS (
  SELECT usage_segment.series_id, usage_segment.charge_date, usage_segment.segment_start,
         priced_series.component, priced_series.priced_number, priced_series.rate_id, priced_series.unit_price, priced_series.factor,
         priced_series.pool_number, priced_series.line_group, priced_series.usage_order,
         CASE WHEN priced_series.pool_by_day THEN CAST(usage_segment.charge_date AS INT) ELSE 0 END AS pool_day,
         CAST(usage_segment.consumed_quantity * priced_series.multiplier AS DECIMAL(28,9)) AS pool_quantity
  FROM usage_segment
  JOIN priced_series ON priced_series.series_id = usage_segment.series_id AND priced_series.segment_start = usage_segment.segment_start
),
summed AS (
  SELECT *,
         SUM(pool_quantity) OVER (
           ORDER BY pool_number, pool_day, charge_date, segment_start, usage_order
           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
         ) AS all_after
  FROM priced
),
pool AS (
  SELECT pool_number, pool_day, MIN(all_after - pool_quantity) AS all_before
  FROM summed
  GROUP BY pool_number, pool_day
),
pooled AS (
  SELECT summed.*, summed.all_after - pool.all_before AS pool_after
  FROM summed
  JOIN pool ON pool.pool_number = summed.pool_number AND pool.pool_day = summed.pool_day
)
SELECT pooled.series_id,
       pooled.charge_date,
       pooled.segment_start,
       pooled.component,
       rate_tier.tier_number,
       pooled.priced_number,
       pooled.line_group,
       pooled.usage_order,
       rate_tier.tier_start,
       CAST(COALESCE(pooled.unit_price, rate_tier.unit_price) * pooled.factor AS DECIMAL(28,12)) AS contracted_unit_price,
       CAST(LEAST(pooled.pool_after, COALESCE(rate_tier.pool_ceiling, pooled.pool_after))
          - GREATEST(pooled.pool_after - pooled.pool_quantity, rate_tier.pool_floor) AS DECIMAL(28,9)) AS part_quantity
FROM pooled
JOIN rate_tier ON rate_tier.rate_id = pooled.rate_id
WHERE (pooled.pool_after > rate_tier.pool_floor OR (pooled.pool_quantity = 0 AND pooled.pool_after = rate_tier.pool_floor))
  AND (rate_tier.pool_ceiling IS NULL OR pooled.pool_after - pooled.pool_quantity < rate_tier.pool_ceiling)
ORDER BY series_id, charge_date, segment_start, component, tier_number
