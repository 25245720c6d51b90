-- rated_usage: what each day's usage costs, one row for each price tier it reaches.
--
-- grain   series_id, charge_date, segment_start, component, tier_number
-- reads   usage_segment, applicable_rate, rate, rate_tier, active_series
-- writes  account_id            TEXT                      absent: nobody is known to pay
--         project_id            TEXT
--         series_id             BIGINT UNSIGNED not null
--         charge_date           DATE not null
--         segment_start         TIMESTAMP not null
--         component             TEXT not null
--         rate_id               TEXT not null
--         tier_number           BIGINT not null
--         tier_start            DECIMAL(28,9) not null
--         line_by               TEXT not null
--         pricing_quantity      DECIMAL(28,9) not null
--         contracted_unit_price DECIMAL(28,12) not null
--         contracted_cost       DECIMAL(38,18) not null   unrounded; rounded once, in invoice_line
--
-- The running total of a pool decides which tier each part of a row lies in; parts are exact. The parts of one invoice
-- line are then priced by difference: a pricing function F takes the line's running quantity to a cost, and a part costs
-- F(after) less F(before) in a total order. That telescopes to F(whole quantity of the line) whatever the split into days,
-- resources and pools, and gives each of them its own cost. F is rounded to 18 places, half away from zero; a difference
-- never is. Its quotient is cut at 25 places first, which cannot change the rounding at 18. All of it in 76 digits.
--
-- Usage may have a priced quantity of zero (a flavor without vCPUs, priced by vCPU). It is rated all the same, in
-- one row: in the tier where the pool stands, which on a bound is the one that begins there.
WITH priced AS (
  SELECT usage_segment.series_id, usage_segment.charge_date, usage_segment.segment_start,
         applicable_rate.component, applicable_rate.rate_id, applicable_rate.unit_price, applicable_rate.factor, applicable_rate.line_by,
         rate.service, rate.sku, rate.description AS rate_description, rate.pool, rate.pricing_unit, rate.pricing_divisor, rate.price_per, rate.cost_divisor,
         active_series.account_id, active_series.project_id, active_series.resource_id, active_series.meter, active_series.description,
         CASE WHEN rate.pool_scope = 'resource' THEN active_series.resource_id END AS pool_resource_id,
         CASE WHEN rate.pool_period = 'day' THEN usage_segment.charge_date END AS pool_date,
         CAST(usage_segment.consumed_quantity * applicable_rate.multiplier AS DECIMAL(28,9)) AS pool_quantity
  FROM usage_segment
  JOIN applicable_rate ON applicable_rate.series_id = usage_segment.series_id AND applicable_rate.segment_start = usage_segment.segment_start
  JOIN rate ON rate.rate_id = applicable_rate.rate_id
  JOIN active_series ON active_series.series_id = usage_segment.series_id
  WHERE applicable_rate.factor IS NOT NULL
),
pooled AS (
  SELECT *,
         SUM(pool_quantity) OVER (
           PARTITION BY pool, account_id, project_id, pool_resource_id, pool_date
           ORDER BY charge_date, segment_start, resource_id, sku, meter, description, component, rate_id
           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
         ) AS pool_after
  FROM priced
),
part AS (
  SELECT pooled.*, rate_tier.tier_number, rate_tier.tier_start,
         CAST(COALESCE(pooled.unit_price, rate_tier.unit_price) * pooled.factor AS DECIMAL(28,12)) AS contracted_unit_price,
         CAST(LEAST(pooled.pool_after, COALESCE(rate_tier.pool_ceiling, pooled.pool_after))
            - GREATEST(pooled.pool_after - pooled.pool_quantity, rate_tier.pool_floor) AS DECIMAL(28,9)) AS part_quantity
  FROM pooled
  JOIN rate_tier ON rate_tier.rate_id = pooled.rate_id
  WHERE (pooled.pool_after > rate_tier.pool_floor OR (pooled.pool_quantity = 0 AND pooled.pool_after = rate_tier.pool_floor))
    AND (rate_tier.pool_ceiling IS NULL OR pooled.pool_after - pooled.pool_quantity < rate_tier.pool_ceiling)
),
lined AS (
  SELECT *,
         SUM(part_quantity) OVER (
           PARTITION BY account_id, project_id, service, component, sku, rate_description, line_by, tier_start,
                        contracted_unit_price, pricing_unit, price_per, pricing_divisor
           ORDER BY charge_date, segment_start, resource_id, meter, description, rate_id, tier_number
           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
         ) AS line_after
  FROM part
),
measured AS (
  SELECT *,
         CAST(line_after AS DECIMAL(40,9)) AS quantity_after,
         CAST(line_after - part_quantity AS DECIMAL(40,9)) AS quantity_before
  FROM lined
)
SELECT account_id,
       project_id,
       series_id,
       charge_date,
       segment_start,
       component,
       rate_id,
       tier_number,
       tier_start,
       line_by,
       CAST(CAST(quantity_after / CAST(pricing_divisor AS DECIMAL(40,9)) AS DECIMAL(28,9))
          - CAST(quantity_before / CAST(pricing_divisor AS DECIMAL(40,9)) AS DECIMAL(28,9)) AS DECIMAL(28,9)) AS pricing_quantity,
       contracted_unit_price,
       CAST(CAST(quantity_after * CAST(contracted_unit_price AS DECIMAL(40,12)) / CAST(cost_divisor AS DECIMAL(40,9)) AS DECIMAL(38,18))
          - CAST(quantity_before * CAST(contracted_unit_price AS DECIMAL(40,12)) / CAST(cost_divisor AS DECIMAL(40,9)) AS DECIMAL(38,18)) AS DECIMAL(38,18)) AS contracted_cost
FROM measured
ORDER BY series_id, charge_date, segment_start, component, tier_number
