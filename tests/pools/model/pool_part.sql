-- pool_part: the part of a day's usage in one tier of its rate, or the flat fee of a tier that it enters.
--
-- grain   series_id, charge_date, segment_start, component, tier_number, charge_kind
-- reads   pool_usage, pool_included_unit, priced_series, rate_tier
-- writes  series_id              BIGINT UNSIGNED not null
--         charge_date            DATE not null
--         segment_start          TIMESTAMP not null
--         component              TEXT not null
--         tier_number            BIGINT not null
--         charge_kind            TEXT not null            usage or flat_fee
--         priced_number          BIGINT not null
--         line_group             BIGINT not null
--         usage_order            BIGINT not null
--         tier_start             DECIMAL(28,9) not null
--         contracted_unit_price  DECIMAL(28,12) not null
--         unit_price_per         DECIMAL(28,9) not null
--         part_quantity          DECIMAL(38,9) not null   in metered units; for a flat fee its share, usually one
--
-- The running total of a pool decides which tier contains each part of a row; parts are exact. With volume tiers the
-- tier of the total prices everything. In a tier with packages a part is the difference of two running totals of whole
-- packages.
--
-- A total can fall, because a meter with `signed = true` has negative quantities. The part of a falling row is
-- negative, and a fee that the pool no longer owes is -1. The first tier has no lower bound, so it also prices a total
-- below zero. There, packages count once they are complete. The first tier starts at zero and is not empty.
--
-- If several projects share a pool, no project comes first: each tier is shared in proportion to usage. A share is
-- again the difference of two running totals, rounded to nine places, so that the shares add up to the tier. Both
-- bounds of the tier are rounded, so a small share can be -0.000000001. Products of two totals are computed with 76
-- digits, because the engine would give the product of two 38-digit decimals 38 digits. If the total of the pool is
-- zero or less, all usage is in the first tier. Its price also applies if negative usage of one project cancels that
-- of another.
--
-- Included units of a pool are in tier zero, before its free units, and move the bounds of all other tiers.
--
-- Usage can have a priced quantity of zero, such as a flavor without vCPUs that is priced by vCPU. It still gets one
-- row, in the tier of the running total. If the total equals a bound, that is the tier that starts there.
WITH placed AS (
  SELECT pool_usage.series_id, pool_usage.charge_date, pool_usage.segment_start, pool_usage.component,
         pool_usage.priced_number,
         pool_usage.usage_order, pool_usage.is_window, pool_usage.is_last,
         pool_usage.pool_before, pool_usage.pool_after, pool_usage.pool_total, pool_usage.pool_quantity,
         priced_series.line_group, priced_series.factor, priced_series.is_shared, priced_series.flat_fee_at_zero,
         priced_series.unit_price AS own_price,
         rate_tier.tier_number, rate_tier.tier_start,
         CASE WHEN rate_tier.tier_number = 0 OR pool_included_unit.granted_quantity IS NULL THEN rate_tier.pool_floor
              ELSE CAST(rate_tier.pool_floor + pool_included_unit.granted_quantity AS DECIMAL(38,9)) END AS pool_floor,
         CASE WHEN pool_included_unit.granted_quantity IS NULL THEN rate_tier.pool_ceiling
              ELSE CAST(rate_tier.pool_ceiling + pool_included_unit.granted_quantity AS DECIMAL(38,9))
              END AS pool_ceiling,
         rate_tier.unit_price, rate_tier.price_per,
         rate_tier.flat_fee, rate_tier.package, rate_tier.package_rounding,
         rate_tier.total_above IS NOT NULL OR rate_tier.total_up_to IS NOT NULL AS is_volume
  FROM pool_usage
  JOIN priced_series ON priced_series.priced_number = pool_usage.priced_number
  JOIN rate_tier ON rate_tier.rate_id = priced_series.rate_id
  LEFT JOIN pool_included_unit ON pool_included_unit.pool_number = pool_usage.pool_number
  WHERE (rate_tier.total_above IS NULL
      OR pool_usage.pool_total
        > rate_tier.total_above + COALESCE(pool_included_unit.granted_quantity, CAST(0 AS DECIMAL(38,9))))
    AND (rate_tier.total_up_to IS NULL
      OR pool_usage.pool_total
        <= rate_tier.total_up_to + COALESCE(pool_included_unit.granted_quantity, CAST(0 AS DECIMAL(38,9))))
),
bounded AS (
  SELECT *,
         pool_floor = 0 AND (pool_ceiling IS NULL OR pool_ceiling > 0) AS is_first,
         CASE WHEN is_shared THEN pool_total ELSE LEAST(pool_before, pool_after) END AS lowest,
         CASE WHEN is_shared THEN pool_total ELSE GREATEST(pool_before, pool_after) END AS highest
  FROM placed
),
inside AS (
  SELECT *,
         CASE WHEN is_shared THEN LEAST(pool_total, COALESCE(pool_ceiling, pool_total))
              WHEN is_first THEN LEAST(pool_after, COALESCE(pool_ceiling, pool_after))
              ELSE GREATEST(LEAST(pool_after, COALESCE(pool_ceiling, pool_after)), pool_floor) END
           - pool_floor AS inside_after,
         CASE WHEN is_shared THEN CAST(0 AS DECIMAL(38,9))
              WHEN is_first THEN LEAST(pool_before, COALESCE(pool_ceiling, pool_before))
              ELSE GREATEST(LEAST(pool_before, COALESCE(pool_ceiling, pool_before)), pool_floor) - pool_floor
              END AS inside_before
  FROM bounded
  WHERE CASE WHEN is_shared
             THEN (highest > pool_floor AND (pool_ceiling IS NULL OR pool_ceiling > pool_floor))
               OR (is_first AND highest <= 0)
             ELSE (is_first OR highest > pool_floor OR (pool_quantity = 0 AND pool_after = pool_floor))
               AND (pool_ceiling IS NULL OR lowest < pool_ceiling) END
),
fee AS (
  SELECT *,
         CASE WHEN pool_after > pool_floor THEN 1 ELSE 0 END
           - CASE WHEN pool_before > pool_floor THEN 1 ELSE 0 END AS entries,
         pool_total <= pool_floor AND flat_fee_at_zero AND tier_number = 1 AND is_last AS is_at_zero
  FROM placed
  WHERE flat_fee IS NOT NULL
),
packed AS (
  SELECT *,
         CASE WHEN package IS NULL THEN inside_after
              ELSE inside_after - inside_after % package
                 + CASE WHEN package_rounding = 'started' AND inside_after % package > 0 THEN package
                        ELSE CAST(0 AS DECIMAL(38,9)) END END AS packed_after,
         CASE WHEN package IS NULL THEN inside_before
              ELSE inside_before - inside_before % package
                 + CASE WHEN package_rounding = 'started' AND inside_before % package > 0 THEN package
                        ELSE CAST(0 AS DECIMAL(38,9)) END END AS packed_before
  FROM inside
),
part AS (
  SELECT series_id, charge_date, segment_start, component, tier_number, 'usage' AS charge_kind, priced_number,
         line_group, usage_order, tier_start,
         CAST(COALESCE(CASE WHEN tier_number > 0 THEN own_price END, unit_price) * factor AS DECIMAL(28,12))
           AS contracted_unit_price,
         price_per AS unit_price_per,
         is_window,
         CAST(CASE WHEN NOT is_shared THEN packed_after - packed_before
                   WHEN pool_total = 0 THEN pool_quantity
                   ELSE CAST(CAST(pool_after AS DECIMAL(40,9)) * CAST(pool_floor + packed_after AS DECIMAL(40,9))
                              / CAST(pool_total AS DECIMAL(40,9)) AS DECIMAL(38,9))
                      - CAST(CAST(pool_before AS DECIMAL(40,9)) * CAST(pool_floor + packed_after AS DECIMAL(40,9))
                              / CAST(pool_total AS DECIMAL(40,9)) AS DECIMAL(38,9))
                      - CAST(CAST(pool_after AS DECIMAL(40,9)) * CAST(pool_floor AS DECIMAL(40,9))
                              / CAST(pool_total AS DECIMAL(40,9)) AS DECIMAL(38,9))
                      + CAST(CAST(pool_before AS DECIMAL(40,9)) * CAST(pool_floor AS DECIMAL(40,9))
                              / CAST(pool_total AS DECIMAL(40,9)) AS DECIMAL(38,9)) END AS DECIMAL(38,9))
                                AS part_quantity
  FROM packed
  UNION ALL
  SELECT series_id, charge_date, segment_start, component, tier_number, 'flat_fee', priced_number, line_group,
         usage_order, tier_start,
         CAST(flat_fee * factor AS DECIMAL(28,12)),
         CAST(1 AS DECIMAL(28,9)),
         is_window,
         CAST(CASE WHEN is_shared AND pool_total > pool_floor
                   THEN CAST(CAST(pool_after AS DECIMAL(50,18)) / pool_total AS DECIMAL(38,9))
                     - CAST(CAST(pool_before AS DECIMAL(50,18)) / pool_total AS DECIMAL(38,9))
                   WHEN is_shared OR is_volume THEN CAST(1 AS DECIMAL(38,9))
                   ELSE CAST(entries + CASE WHEN is_at_zero THEN 1 ELSE 0 END AS DECIMAL(38,9)) END AS DECIMAL(38,9))
  FROM fee
  WHERE CASE WHEN is_shared THEN pool_total > pool_floor OR is_at_zero
             WHEN is_volume THEN is_at_zero OR (is_last AND pool_total > pool_floor)
             ELSE entries + CASE WHEN is_at_zero THEN 1 ELSE 0 END <> 0 END
)
SELECT series_id, charge_date, segment_start, component, tier_number, charge_kind, priced_number, line_group,
       usage_order, tier_start,
       contracted_unit_price, unit_price_per, part_quantity
FROM part
WHERE NOT is_window
UNION ALL
SELECT series_id, charge_date, segment_start, component, tier_number, charge_kind, priced_number, line_group,
       usage_order, tier_start,
       contracted_unit_price, unit_price_per,
       CAST(SUM(CAST(part_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9))
FROM part
WHERE is_window
GROUP BY series_id, charge_date, segment_start, component, tier_number, charge_kind, priced_number, line_group,
         usage_order, tier_start,
         contracted_unit_price, unit_price_per
ORDER BY series_id, charge_date, segment_start, component, tier_number, charge_kind
