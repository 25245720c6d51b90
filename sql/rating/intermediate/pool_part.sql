-- pool_part: the part of a day's usage in one tier of its rate, or the flat fee of a tier that it enters.
--
-- grain   pool_number, pool_instance, charge_date, tier_price_number
-- reads   pool_usage, pool_included_unit, tier_price
-- calls   tier_fees, tier_part
-- writes  pool_number            BIGINT not null
--         pool_instance          BIGINT not null
--         charge_date            DATE not null
--         tier_price_number      BIGINT not null
--         priced_number          BIGINT not null
--         line_number            BIGINT not null
--         divisor                DECIMAL(28,9) not null
--         contracted_unit_price  DECIMAL(28,12) not null
--         unit_price_per         DECIMAL(28,9) not null
--         part_quantity          DECIMAL(38,9)             in metered units; for a flat fee its share, usually one;
--                                                          null if the tier has no part of the usage
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
-- bounds of the tier are rounded, so a small share can be -0.000000001. If the total of the pool is zero or less, all
-- usage is in the first tier. Its price also applies if negative usage of one project cancels that of another.
--
-- Included units of a pool are in tier zero, before its free units, and move the bounds of all other tiers.
--
-- Usage can have a priced quantity of zero, such as a flavor without vCPUs that is priced by vCPU. It still gets one
-- row, in the tier of the running total. If the total equals a bound, that is the tier that starts there.
WITH placed AS (
  SELECT tier_price.priced_number, tier_price.tier_price_number, tier_price.line_number, tier_price.charge_kind,
         tier_price.divisor, tier_price.contracted_unit_price, tier_price.unit_price_per,
         tier_price.package, tier_price.package_rounding, tier_price.is_shared, tier_price.is_volume,
         tier_price.is_owed_at_zero,
         pool_usage.pool_number, pool_usage.pool_instance, pool_usage.charge_date, pool_usage.pool_quantity,
         pool_usage.pool_before, pool_usage.pool_after, pool_usage.pool_total, pool_usage.is_last,
         CASE WHEN tier_price.tier_number = 0 OR pool_included_unit.granted_quantity IS NULL THEN tier_price.pool_floor
              ELSE CAST(tier_price.pool_floor + pool_included_unit.granted_quantity AS DECIMAL(38,9)) END AS pool_floor,
         CASE WHEN pool_included_unit.granted_quantity IS NULL THEN tier_price.pool_ceiling
              ELSE CAST(tier_price.pool_ceiling + pool_included_unit.granted_quantity AS DECIMAL(38,9))
              END AS pool_ceiling
  FROM tier_price
  JOIN pool_usage ON pool_usage.priced_number = tier_price.priced_number
  LEFT JOIN pool_included_unit ON pool_included_unit.pool_number = pool_usage.pool_number
  WHERE (tier_price.total_above IS NULL
      OR pool_usage.pool_total
        > tier_price.total_above + COALESCE(pool_included_unit.granted_quantity, CAST(0 AS DECIMAL(38,9))))
    AND (tier_price.total_up_to IS NULL
      OR pool_usage.pool_total
        <= tier_price.total_up_to + COALESCE(pool_included_unit.granted_quantity, CAST(0 AS DECIMAL(38,9))))
)
SELECT pool_number,
       pool_instance,
       charge_date,
       tier_price_number,
       priced_number,
       line_number,
       divisor,
       contracted_unit_price,
       unit_price_per,
       CASE WHEN charge_kind = 'usage'
            THEN tier_part(pool_quantity, pool_before, pool_after, pool_total, pool_floor, pool_ceiling, package,
                           package_rounding, is_shared, priced_number)
            ELSE tier_fees(pool_before, pool_after, pool_total, pool_floor, is_last, is_shared, is_volume,
                           is_owed_at_zero, priced_number) END AS part_quantity
FROM placed
