-- pool_adjustment: the amount that raises a pool to its minimum, or limits it or its tiers to a maximum or cap price.
--
-- grain   series_id, charge_date, segment_start, component, charge_kind
-- reads   pool_usage, priced_part, pool_limit, tier_price
-- writes  series_id        BIGINT UNSIGNED not null
--         charge_date      DATE not null
--         segment_start    TIMESTAMP not null
--         component        TEXT not null
--         charge_kind      TEXT not null             minimum or maximum
--         priced_number    BIGINT not null
--         contracted_cost  DECIMAL(38,18) not null   positive for a minimum, usually negative for a maximum
--
-- The allowed cost of a pool is its running cost, the cap price from the cap quantity on, and at most its maximum. The
-- difference to the running cost grows from row to row, and each row gets its growth. Days before a cap are therefore
-- charged in full, and days after it at zero. A minimum is known only at the end of the period, so the last row gets
-- it. The cost of a meter with negative records can be below zero, and only a minimum raises it.
--
-- A tier with a maximum amount adds at most this amount to the allowed cost. Its flat fee counts too. The excess of a
-- tier grows only with rows in the tier. The running cost of the pool is reduced by the excesses of all its tiers.
--
-- If several projects share a pool, each gets a part of both in proportion to its cost. If nothing has a cost, the
-- parts are in proportion to usage. A part is the difference of two running shares, the last of which is one, so that
-- the parts add up.
WITH tier_limit AS (
  SELECT DISTINCT tier_price.priced_number, tier_price.tier_number, tier_price.max_amount
  FROM pool_limit
  JOIN tier_price ON tier_price.priced_number = pool_limit.priced_number
  WHERE tier_price.max_amount IS NOT NULL
),
tier_cost AS (
  SELECT priced_part.priced_number, priced_part.charge_date, priced_part.tier_number, tier_limit.max_amount,
         CAST(SUM(CAST(priced_part.contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS row_cost
  FROM priced_part
  JOIN tier_limit ON tier_limit.priced_number = priced_part.priced_number
   AND tier_limit.tier_number = priced_part.tier_number
  GROUP BY priced_part.priced_number, priced_part.charge_date, priced_part.tier_number, tier_limit.max_amount
),
tier_running AS (
  SELECT pool_usage.pool_number, pool_usage.pool_instance, pool_usage.segment_start, pool_usage.usage_order,
         tier_cost.*,
         CAST(SUM(CAST(tier_cost.row_cost AS DECIMAL(60,18))) OVER (
           PARTITION BY pool_usage.pool_number, pool_usage.pool_instance, tier_cost.tier_number
           ORDER BY pool_usage.charge_date, pool_usage.segment_start, pool_usage.usage_order, pool_usage.priced_number
           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
         ) AS DECIMAL(38,18)) AS cost_after
  FROM pool_usage
  JOIN tier_cost ON tier_cost.priced_number = pool_usage.priced_number
   AND tier_cost.charge_date = pool_usage.charge_date
),
tier_limited AS (
  SELECT *, LEAST(cost_after, CAST(max_amount AS DECIMAL(38,18))) - cost_after AS excess_after
  FROM tier_running
),
tier_growth AS (
  SELECT priced_number, charge_date,
         excess_after - COALESCE(LAG(excess_after) OVER (
           PARTITION BY pool_number, pool_instance, tier_number
           ORDER BY charge_date, segment_start, usage_order, priced_number
         ), CAST(0 AS DECIMAL(38,18))) AS excess
  FROM tier_limited
),
tier_excess AS (
  SELECT priced_number, charge_date, CAST(SUM(CAST(excess AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS excess
  FROM tier_growth
  GROUP BY priced_number, charge_date
),
cost AS (
  SELECT priced_part.series_id, priced_part.component, priced_part.priced_number, priced_part.charge_date,
         CAST(SUM(CAST(priced_part.contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS row_cost
  FROM priced_part
  JOIN pool_limit ON pool_limit.priced_number = priced_part.priced_number
  GROUP BY priced_part.series_id, priced_part.component, priced_part.priced_number, priced_part.charge_date
),
costed AS (
  SELECT pool_usage.*, pool_limit.is_shared, pool_limit.minimum, pool_limit.maximum, pool_limit.cap_quantity,
         pool_limit.cap_price,
         cost.series_id, cost.component, cost.row_cost,
         CAST(SUM(CAST(cost.row_cost AS DECIMAL(60,18))) OVER (
           PARTITION BY pool_usage.pool_number, pool_usage.pool_instance
           ORDER BY pool_usage.charge_date, pool_usage.segment_start, pool_usage.usage_order, pool_usage.priced_number
           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
         ) AS DECIMAL(38,18)) AS cost_after,
         CAST(SUM(CAST(cost.row_cost AS DECIMAL(60,18))) OVER (
           PARTITION BY pool_usage.pool_number, pool_usage.pool_instance
         ) AS DECIMAL(38,18)) AS cost_total,
         CAST(SUM(CAST(COALESCE(tier_excess.excess, CAST(0 AS DECIMAL(38,18))) AS DECIMAL(60,18))) OVER (
           PARTITION BY pool_usage.pool_number, pool_usage.pool_instance
           ORDER BY pool_usage.charge_date, pool_usage.segment_start, pool_usage.usage_order, pool_usage.priced_number
           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
         ) AS DECIMAL(38,18)) AS tier_excess_after
  FROM pool_usage
  JOIN pool_limit ON pool_limit.priced_number = pool_usage.priced_number
  JOIN cost ON cost.priced_number = pool_usage.priced_number AND cost.charge_date = pool_usage.charge_date
  LEFT JOIN tier_excess ON tier_excess.priced_number = pool_usage.priced_number
   AND tier_excess.charge_date = pool_usage.charge_date
),
capped AS (
  SELECT *,
         CASE WHEN cap_quantity IS NOT NULL AND pool_after >= cap_quantity THEN CAST(cap_price AS DECIMAL(38,18))
              ELSE CAST(cost_after + tier_excess_after AS DECIMAL(38,18)) END AS capped_after
  FROM costed
),
limited AS (
  SELECT *, LEAST(capped_after, COALESCE(CAST(maximum AS DECIMAL(38,18)), capped_after)) - cost_after AS excess_after
  FROM capped
),
ended AS (
  SELECT *,
         excess_after - COALESCE(LAG(excess_after) OVER (
           PARTITION BY pool_number, pool_instance ORDER BY charge_date, segment_start, usage_order, priced_number
         ), CAST(0 AS DECIMAL(38,18))) AS excess,
         LAST_VALUE(excess_after) OVER (
           PARTITION BY pool_number, pool_instance ORDER BY charge_date, segment_start, usage_order, priced_number
           ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
         ) AS excess_total,
         LAST_VALUE(minimum) OVER (
           PARTITION BY pool_number, pool_instance ORDER BY charge_date, segment_start, usage_order, priced_number
           ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
         ) AS last_minimum,
         ROW_NUMBER() OVER (
           PARTITION BY pool_number, pool_instance
           ORDER BY charge_date DESC, segment_start DESC, usage_order DESC, priced_number DESC
         ) AS from_the_end
  FROM limited
),
topped AS (
  SELECT *,
         CASE WHEN last_minimum IS NULL THEN CAST(0 AS DECIMAL(38,18))
              ELSE GREATEST(CAST(last_minimum AS DECIMAL(38,18)) - (cost_total + excess_total),
                            CAST(0 AS DECIMAL(38,18))) END AS top_up,
         CASE WHEN cost_total = 0 THEN CAST(pool_after AS DECIMAL(56,18))
              ELSE CAST(cost_after AS DECIMAL(56,18)) END AS weight_after,
         CASE WHEN cost_total = 0 THEN CAST(pool_before AS DECIMAL(56,18))
              ELSE CAST(cost_after - row_cost AS DECIMAL(56,18)) END AS weight_before,
         CASE WHEN cost_total = 0 THEN CAST(pool_total AS DECIMAL(38,18)) ELSE cost_total END AS weight_total
  FROM ended
),
shared AS (
  SELECT *,
         CASE WHEN is_shared AND weight_total <> 0
              THEN CAST(weight_after / weight_total AS DECIMAL(38,18)) END AS share_after,
         CASE WHEN is_shared AND weight_total <> 0
              THEN CAST(weight_before / weight_total AS DECIMAL(38,18)) END AS share_before
  FROM topped
),
adjusted AS (
  SELECT series_id, charge_date, segment_start, component, priced_number, 'maximum' AS charge_kind,
         COALESCE(CAST(CAST(excess_total AS DECIMAL(40,18)) * share_after AS DECIMAL(38,18))
                   - CAST(CAST(excess_total AS DECIMAL(40,18)) * share_before AS DECIMAL(38,18)), excess)
                     AS contracted_cost
  FROM shared
  UNION ALL
  SELECT series_id, charge_date, segment_start, component, priced_number, 'minimum',
         COALESCE(CAST(CAST(top_up AS DECIMAL(40,18)) * share_after AS DECIMAL(38,18))
                   - CAST(CAST(top_up AS DECIMAL(40,18)) * share_before AS DECIMAL(38,18)),
                  CASE WHEN from_the_end = 1 THEN top_up ELSE CAST(0 AS DECIMAL(38,18)) END)
  FROM shared
)
SELECT series_id, charge_date, segment_start, component, charge_kind, priced_number,
       CAST(contracted_cost AS DECIMAL(38,18)) AS contracted_cost
FROM adjusted
WHERE contracted_cost <> 0
ORDER BY series_id, charge_date, segment_start, component, charge_kind
