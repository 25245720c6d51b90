-- pool_usage: the quantity of a day's usage in its pool, with the total of the pool before and after it.
--
-- grain   pool_number, pool_instance, charge_date, segment_start, usage_order, priced_number
-- reads   usage_segment, priced_series, covered_window, unique_value, pool_window, percentile_window
-- calls   pool_quantity, pool_totals
-- writes  pool_number    BIGINT not null
--         pool_instance  BIGINT not null          the day number or window of a pool that restarts; otherwise zero
--         charge_date    DATE not null
--         segment_start  TIMESTAMP not null
--         usage_order    BIGINT not null
--         priced_number  BIGINT not null          of the series, component and segment
--         pool_quantity  DECIMAL(38,9) not null   in metered units, with the rule's multiplier, percentile and rounding
--         pool_before    DECIMAL(38,9) not null
--         pool_after     DECIMAL(38,9) not null
--         pool_total     DECIMAL(38,9) not null   of the whole pool instance
--         is_last        BOOLEAN not null         in its instance
--
-- Usage that a reservation or an hourly commitment covers does not count.
--
-- A percentile selects one window of the period by its rank, and only the usage of that window counts. All other usage
-- of the pool has a quantity of zero.
--
-- If the meter counts different values, a pool counts each value once, at its first usage. All later usage of the value
-- has a quantity of zero. Over windows, each window counts its own values.
--
-- A rounded quantity is the difference of two rounded running totals, so that the parts add up to the rounded total. A
-- total below zero is rounded in the same direction, and the nearest multiple is half away from zero. Single windows
-- are not rounded.
--
-- The running total can fall, because a meter with `signed = true` has negative quantities.
--
-- The engine assumes that the columns of a GROUP BY stay unique after UNNEST, and would sort by these columns alone. So
-- the statement selects their minimum, which is equal.
WITH covered AS (
  SELECT series_id, charge_date, segment_start,
         CAST(SUM(CAST(covered_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9)) AS covered_quantity
  FROM covered_window
  GROUP BY series_id, charge_date, segment_start
),
by_percentile AS (
  SELECT pool_window.pool_number, pool_window.priced_number, pool_window.charge_date, pool_window.segment_start,
         pool_window.usage_order,
         CAST(SUM(CASE WHEN percentile_window.pool_number IS NULL THEN CAST(0 AS DECIMAL(60,9))
                       ELSE CAST(pool_window.pool_quantity AS DECIMAL(60,9)) END) AS DECIMAL(38,9)) AS quantity
  FROM pool_window
  LEFT JOIN percentile_window ON percentile_window.pool_number = pool_window.pool_number
   AND percentile_window.window_start = pool_window.window_start
  WHERE pool_window.percentile_discard IS NOT NULL
  GROUP BY pool_window.pool_number, pool_window.priced_number, pool_window.charge_date, pool_window.segment_start,
           pool_window.usage_order
),
counted AS (
  SELECT priced_series.pool_number,
         CASE WHEN priced_series.pool_period = 'day' THEN CAST(CAST(usage_segment.charge_date AS INT) AS BIGINT)
              ELSE CAST(0 AS BIGINT) END AS pool_instance,
         usage_segment.charge_date, usage_segment.segment_start, priced_series.usage_order, priced_series.priced_number,
         pool_quantity(usage_segment.consumed_quantity, covered.covered_quantity, priced_series.multiplier,
                       priced_series.priced_number, usage_segment.charge_date) AS quantity,
         unique_value.value_number, priced_series.multiplier,
         priced_series.rounding_multiple, priced_series.rounding_direction, priced_series.rounding_by_day
  FROM priced_series
  JOIN usage_segment ON usage_segment.series_id = priced_series.series_id
   AND usage_segment.segment_start = priced_series.segment_start
  LEFT JOIN covered ON covered.series_id = usage_segment.series_id AND covered.charge_date = usage_segment.charge_date
   AND covered.segment_start = usage_segment.segment_start AND priced_series.component = 'base'
  LEFT JOIN unique_value ON unique_value.series_id = usage_segment.series_id
  WHERE NOT priced_series.by_window
  UNION ALL
  SELECT by_percentile.pool_number, CAST(0 AS BIGINT), by_percentile.charge_date, by_percentile.segment_start,
         by_percentile.usage_order, by_percentile.priced_number, by_percentile.quantity,
         CAST(NULL AS BIGINT), priced_series.multiplier,
         priced_series.rounding_multiple, priced_series.rounding_direction, priced_series.rounding_by_day
  FROM by_percentile
  JOIN priced_series ON priced_series.priced_number = by_percentile.priced_number
  UNION ALL
  SELECT pool_number, CAST(window_start AS BIGINT), charge_date, segment_start, usage_order, priced_number,
         pool_quantity, CAST(NULL AS BIGINT), CAST(1 AS DECIMAL(28,9)),
         CAST(NULL AS DECIMAL(38,9)), CAST(NULL AS TEXT), FALSE
  FROM pool_window
  WHERE percentile_discard IS NULL
),
totalled AS (
  SELECT MIN(pool_number) AS pool_number, MIN(pool_instance) AS pool_instance,
         unnest(pool_totals(charge_date, segment_start, usage_order, priced_number, quantity, value_number, multiplier,
                            rounding_multiple, rounding_direction, rounding_by_day)) AS used
  FROM counted
  GROUP BY pool_number, pool_instance
)
SELECT pool_number,
       pool_instance,
       used['charge_date'] AS charge_date,
       used['segment_start'] AS segment_start,
       used['usage_order'] AS usage_order,
       used['priced_number'] AS priced_number,
       used['pool_quantity'] AS pool_quantity,
       used['pool_before'] AS pool_before,
       used['pool_after'] AS pool_after,
       used['pool_total'] AS pool_total,
       used['is_last'] AS is_last
FROM totalled
ORDER BY pool_number, pool_instance, charge_date, segment_start, usage_order, priced_number
