-- rated_usage: what each day's usage costs, one row for each price tier it reaches.
--
-- grain   series_id, charge_date, segment_start, component, tier_number
-- reads   pool_part, priced_series
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
-- The parts of one invoice line are priced by difference: a pricing function F takes the line's running quantity to a
-- cost, and a part costs F(after) less F(before) in a total order. That telescopes to F(whole quantity of the line)
-- whatever the split into days, resources and pools, and gives each of them its own cost. F is rounded to 18 places, half
-- away from zero; a difference never is. Its quotient is cut at 25 places first, which cannot change the rounding at 18.
-- All of it in 76 digits. The running quantity is taken as in pool_part, over all lines at once.
WITH summed AS (
  SELECT *,
         SUM(part_quantity) OVER (
           ORDER BY line_group, tier_start, contracted_unit_price, charge_date, segment_start, usage_order, tier_number
           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
         ) AS all_after
  FROM pool_part
),
line AS (
  SELECT line_group, tier_start, contracted_unit_price, MIN(all_after - part_quantity) AS all_before
  FROM summed
  GROUP BY line_group, tier_start, contracted_unit_price
),
measured AS (
  SELECT summed.*,
         CAST(summed.all_after - line.all_before AS DECIMAL(40,9)) AS quantity_after,
         CAST(summed.all_after - line.all_before - summed.part_quantity AS DECIMAL(40,9)) AS quantity_before
  FROM summed
  JOIN line ON line.line_group = summed.line_group AND line.tier_start = summed.tier_start
   AND line.contracted_unit_price = summed.contracted_unit_price
)
SELECT priced_series.account_id,
       priced_series.project_id,
       measured.series_id,
       measured.charge_date,
       measured.segment_start,
       measured.component,
       priced_series.rate_id,
       measured.tier_number,
       measured.tier_start,
       priced_series.line_by,
       CAST(CAST(quantity_after / CAST(pricing_divisor AS DECIMAL(40,9)) AS DECIMAL(28,9))
          - CAST(quantity_before / CAST(pricing_divisor AS DECIMAL(40,9)) AS DECIMAL(28,9)) AS DECIMAL(28,9)) AS pricing_quantity,
       measured.contracted_unit_price,
       CAST(CAST(quantity_after * CAST(contracted_unit_price AS DECIMAL(40,12)) / CAST(cost_divisor AS DECIMAL(40,9)) AS DECIMAL(38,18))
          - CAST(quantity_before * CAST(contracted_unit_price AS DECIMAL(40,12)) / CAST(cost_divisor AS DECIMAL(40,9)) AS DECIMAL(38,18)) AS DECIMAL(38,18)) AS contracted_cost
FROM measured
JOIN priced_series ON priced_series.priced_number = measured.priced_number
ORDER BY series_id, charge_date, segment_start, component, tier_number
