-- priced_part: a priced part of usage, with its unrounded cost.
--
-- grain   series_id, charge_date, segment_start, component, tier_number, charge_kind
-- reads   line_running_total, priced_series
-- writes  series_id              BIGINT UNSIGNED not null
--         charge_date            DATE not null
--         segment_start          TIMESTAMP not null
--         component              TEXT not null
--         tier_number            BIGINT not null
--         charge_kind            TEXT not null
--         priced_number          BIGINT not null
--         tier_start             DECIMAL(28,9) not null
--         pricing_quantity       DECIMAL(38,9) not null
--         contracted_unit_price  DECIMAL(28,12) not null
--         unit_price_per         DECIMAL(28,9) not null
--         contracted_cost        DECIMAL(38,18) not null   unrounded
--
-- The parts of one invoice line are priced by difference. A pricing function F maps the line's running quantity to a
-- cost, and a part costs F(after) minus F(before) in a total order. The costs therefore add up to F(whole quantity of
-- the line), however it is split by day, resource and pool.
--
-- F is rounded half away from zero to 18 places; a difference is never rounded. The quotient is truncated to 25 places
-- first, which cannot change the rounding at 18. All arithmetic has 76 digits.
--
-- A line starts before its first part. Its smallest running quantity can be less than that. The rounded share of a
-- project in a tier of a shared pool can be -0.000000001.
WITH line AS (
  SELECT line_group, charge_kind, tier_start, contracted_unit_price, unit_price_per,
         FIRST_VALUE(running_quantity - part_quantity ORDER BY charge_date, segment_start, usage_order, tier_number)
           AS all_before
  FROM line_running_total
  GROUP BY line_group, charge_kind, tier_start, contracted_unit_price, unit_price_per
),
measured AS (
  SELECT part.*,
         CASE WHEN part.charge_kind = 'usage' THEN priced_series.pricing_divisor
              ELSE CAST(1 AS DECIMAL(28,9)) END AS divisor,
         CAST(part.running_quantity - line.all_before AS DECIMAL(40,9)) AS quantity_after,
         CAST(part.running_quantity - line.all_before - part.part_quantity AS DECIMAL(40,9)) AS quantity_before
  FROM line_running_total AS part
  JOIN line ON line.line_group = part.line_group AND line.charge_kind = part.charge_kind
   AND line.tier_start = part.tier_start
   AND line.contracted_unit_price = part.contracted_unit_price AND line.unit_price_per = part.unit_price_per
  JOIN priced_series ON priced_series.priced_number = part.priced_number
)
SELECT series_id,
       charge_date,
       segment_start,
       component,
       tier_number,
       charge_kind,
       priced_number,
       tier_start,
       CAST(CAST(quantity_after / CAST(divisor AS DECIMAL(40,9)) AS DECIMAL(38,9))
          - CAST(quantity_before / CAST(divisor AS DECIMAL(40,9)) AS DECIMAL(38,9)) AS DECIMAL(38,9))
            AS pricing_quantity,
       contracted_unit_price,
       unit_price_per,
       CAST(CAST(quantity_after * CAST(contracted_unit_price AS DECIMAL(40,12))
                  / CAST(CAST(divisor AS DECIMAL(40,9)) * unit_price_per AS DECIMAL(40,9)) AS DECIMAL(38,18))
          - CAST(quantity_before * CAST(contracted_unit_price AS DECIMAL(40,12))
                  / CAST(CAST(divisor AS DECIMAL(40,9)) * unit_price_per AS DECIMAL(40,9)) AS DECIMAL(38,18))
                    AS DECIMAL(38,18)) AS contracted_cost
FROM measured
ORDER BY series_id, charge_date, segment_start, component, tier_number, charge_kind
