-- pool_running_total: the quantity of a day's usage in its pool, with one running total over all pools.
--
-- grain   pool_number, pool_instance, charge_date, segment_start, usage_order
-- reads   usage_segment, metered_usage, charge_segment, priced_series, covered_window, payer_series, pool_window_count,
--         unique_value
-- writes  pool_number    BIGINT not null
--         pool_instance  BIGINT not null          the day number or window of a pool that restarts; otherwise zero
--         charge_date    DATE not null
--         segment_start  TIMESTAMP not null
--         usage_order    BIGINT not null
--         series_id      BIGINT UNSIGNED not null
--         component      TEXT not null
--         priced_number  BIGINT not null
--         pool_quantity  DECIMAL(38,9) not null   in metered units, with the rule's multiplier, percentile and rounding
--         running_total  DECIMAL(38,9) not null   sum up to and including this row, over all pools
--         row_number     BIGINT not null
--         is_window      BOOLEAN not null         the row is a window; otherwise it is a day
--
-- There are thousands of pools with few rows each, and the engine keeps a state for each window partition. The running
-- total therefore covers all pools, and each pool is the difference of two totals. A day of the largest value is less
-- than 10^23, so 10^6 such rows fit into the 29 digits before the decimal point.
--
-- Usage that a reservation or an hourly commitment covers does not count.
--
-- A percentile selects one window of the period by its rank, and only the usage of that window counts. The highest
-- hundredths are ignored, their number rounded down, and the highest remaining window counts. Windows of zero have a
-- rank too. If pool_window_count has the pool, all its other windows are zero. They have the last ranks, so their
-- number suffices, and the pool has a quantity of zero if one of them is selected.
--
-- If the meter counts different values, a pool counts each value once, at its first usage. All later usage of the value
-- has a quantity of zero. Over windows, each window counts its own values.
--
-- A rounded quantity is the difference of two rounded running totals, so that the parts add up to the rounded total. A
-- total below zero is rounded in the same direction, and the nearest multiple is half away from zero.
WITH covered_segment AS (
  SELECT series_id, charge_date, segment_start,
         CAST(SUM(CAST(covered_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9)) AS covered_quantity
  FROM covered_window
  GROUP BY series_id, charge_date, segment_start
),
covered_by_window AS (
  SELECT series_id, window_start,
         CAST(SUM(CAST(covered_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9)) AS covered_quantity
  FROM covered_window
  GROUP BY series_id, window_start
),
direct_usage AS (
  SELECT usage_segment.series_id, usage_segment.charge_date, usage_segment.segment_start,
         priced_series.component, priced_series.priced_number, priced_series.pool_number, priced_series.usage_order,
         CASE WHEN priced_series.pool_period = 'day' THEN CAST(CAST(usage_segment.charge_date AS INT) AS BIGINT)
              ELSE CAST(0 AS BIGINT) END AS pool_instance,
         FALSE AS is_window,
         priced_series.rounding_multiple, priced_series.rounding_direction, priced_series.rounding_by_day,
         priced_series.multiplier, unique_value.value_number,
         CAST(CAST(usage_segment.consumed_quantity * CAST(priced_series.multiplier AS DECIMAL(40,9)) AS DECIMAL(38,9))
            - COALESCE(CAST(covered_segment.covered_quantity * CAST(priced_series.multiplier AS DECIMAL(40,9))
                              AS DECIMAL(38,9)), CAST(0 AS DECIMAL(38,9))) AS DECIMAL(38,9)) AS pool_quantity
  FROM usage_segment
  JOIN priced_series ON priced_series.series_id = usage_segment.series_id
   AND priced_series.segment_start = usage_segment.segment_start
  LEFT JOIN covered_segment ON covered_segment.series_id = usage_segment.series_id
   AND covered_segment.charge_date = usage_segment.charge_date
   AND covered_segment.segment_start = usage_segment.segment_start AND priced_series.component = 'base'
  LEFT JOIN unique_value ON unique_value.series_id = usage_segment.series_id
  WHERE NOT priced_series.by_window
),
direct AS (
  SELECT series_id, charge_date, segment_start, component, priced_number, pool_number, usage_order, pool_instance,
         is_window, rounding_multiple, rounding_direction, rounding_by_day,
         CASE WHEN value_number IS NULL THEN pool_quantity
              WHEN ROW_NUMBER() OVER (
                PARTITION BY pool_number, pool_instance, value_number ORDER BY charge_date, segment_start, usage_order
              ) = 1 THEN CAST(multiplier AS DECIMAL(38,9))
              ELSE CAST(0 AS DECIMAL(38,9)) END AS pool_quantity
  FROM direct_usage
),
windowed_usage AS (
  SELECT usage_segment.series_id, usage_segment.charge_date, usage_segment.segment_start, metered_usage.window_start,
         priced_series.component, priced_series.priced_number, priced_series.pool_number, priced_series.usage_order,
         priced_series.pool_period,
         priced_series.percentile_discard, priced_series.rounding_multiple, priced_series.rounding_direction,
         priced_series.rounding_by_day,
         metered_usage.consumed_quantity, priced_series.multiplier, unique_value.value_number,
         CAST(CAST(metered_usage.consumed_quantity * CAST(priced_series.multiplier AS DECIMAL(40,9)) AS DECIMAL(38,9))
            - COALESCE(CAST(covered_by_window.covered_quantity * CAST(priced_series.multiplier AS DECIMAL(40,9))
                              AS DECIMAL(38,9)), CAST(0 AS DECIMAL(38,9))) AS DECIMAL(38,9)) AS pool_quantity
  FROM usage_segment
  JOIN priced_series ON priced_series.series_id = usage_segment.series_id
   AND priced_series.segment_start = usage_segment.segment_start
  LEFT JOIN payer_series ON payer_series.series_id = usage_segment.series_id
  JOIN metered_usage ON metered_usage.series_id = COALESCE(payer_series.metered_series_id, usage_segment.series_id)
   AND metered_usage.charge_date = usage_segment.charge_date
  JOIN charge_segment ON charge_segment.charge_date = usage_segment.charge_date
   AND charge_segment.segment_start = usage_segment.segment_start
   AND metered_usage.window_start >= charge_segment.part_start AND metered_usage.window_start < charge_segment.part_end
  LEFT JOIN covered_by_window ON covered_by_window.series_id = usage_segment.series_id
   AND covered_by_window.window_start = metered_usage.window_start
   AND priced_series.component = 'base'
  LEFT JOIN unique_value ON unique_value.series_id = usage_segment.series_id
  WHERE priced_series.by_window AND metered_usage.consumed_quantity <> 0
),
windowed AS (
  SELECT series_id, charge_date, segment_start, window_start, component, priced_number, pool_number, usage_order,
         percentile_discard, rounding_multiple, rounding_direction, rounding_by_day, consumed_quantity,
         CASE WHEN value_number IS NULL THEN pool_quantity
              WHEN ROW_NUMBER() OVER (
                PARTITION BY pool_number, window_start, value_number ORDER BY segment_start, usage_order
              ) = 1 THEN CAST(multiplier AS DECIMAL(38,9))
              ELSE CAST(0 AS DECIMAL(38,9)) END AS pool_quantity
  FROM windowed_usage
),
measured AS (
  SELECT DISTINCT priced_series.series_id, priced_series.pool_number, priced_series.percentile_discard
  FROM priced_series
  JOIN usage_segment ON usage_segment.series_id = priced_series.series_id
   AND usage_segment.segment_start = priced_series.segment_start
  WHERE priced_series.percentile_discard IS NOT NULL
),
each_window AS (
  SELECT pool_number, window_start, MAX(percentile_discard) AS percentile_discard,
         SUM(CAST(pool_quantity AS DECIMAL(60,9))) AS window_quantity
  FROM (
    SELECT pool_number, window_start, percentile_discard, pool_quantity
    FROM windowed
    WHERE percentile_discard IS NOT NULL
    UNION ALL
    SELECT measured.pool_number, metered_usage.window_start, measured.percentile_discard,
           metered_usage.consumed_quantity
    FROM measured
    LEFT JOIN payer_series ON payer_series.series_id = measured.series_id
    JOIN metered_usage ON metered_usage.series_id = COALESCE(payer_series.metered_series_id, measured.series_id)
     AND (payer_series.paid_from IS NULL OR metered_usage.window_start >= payer_series.paid_from)
     AND (payer_series.paid_to IS NULL OR metered_usage.window_start < payer_series.paid_to)
    WHERE metered_usage.consumed_quantity = 0
  )
  GROUP BY pool_number, window_start
),
ranked AS (
  SELECT each_window.pool_number, each_window.window_start, each_window.percentile_discard,
         ROW_NUMBER() OVER (
           PARTITION BY each_window.pool_number ORDER BY each_window.window_quantity DESC, each_window.window_start
         ) AS window_rank,
         COALESCE(pool_window_count.window_count, COUNT(*) OVER (PARTITION BY each_window.pool_number)) AS window_count
  FROM each_window
  LEFT JOIN pool_window_count ON pool_window_count.pool_number = each_window.pool_number
),
percentile AS (
  SELECT pool_number, window_start
  FROM ranked
  WHERE CAST(window_rank - 1 AS DECIMAL(20,0)) * CAST(100 AS DECIMAL(3,0))
    <= CAST(window_count AS DECIMAL(20,0)) * percentile_discard
    AND CAST(window_count AS DECIMAL(20,0)) * percentile_discard
      < CAST(window_rank AS DECIMAL(20,0)) * CAST(100 AS DECIMAL(3,0))
),
counted AS (
  SELECT series_id, charge_date, segment_start, component, priced_number, pool_number, usage_order, pool_instance,
         is_window,
         rounding_multiple, rounding_direction, rounding_by_day, pool_quantity
  FROM direct
  UNION ALL
  SELECT series_id, charge_date, segment_start, component, priced_number, pool_number, usage_order,
         CAST(window_start AS BIGINT), TRUE,
         NULL, NULL, FALSE, pool_quantity
  FROM windowed
  WHERE percentile_discard IS NULL AND consumed_quantity <> 0
  UNION ALL
  SELECT windowed.series_id, windowed.charge_date, windowed.segment_start, windowed.component, windowed.priced_number,
         windowed.pool_number,
         windowed.usage_order, CAST(0 AS BIGINT), FALSE, windowed.rounding_multiple, windowed.rounding_direction,
         windowed.rounding_by_day,
         CAST(SUM(CASE WHEN percentile.pool_number IS NULL THEN CAST(0 AS DECIMAL(60,9))
                       ELSE CAST(windowed.pool_quantity AS DECIMAL(60,9)) END) AS DECIMAL(38,9))
  FROM windowed
  LEFT JOIN percentile ON percentile.pool_number = windowed.pool_number
   AND percentile.window_start = windowed.window_start
  WHERE windowed.percentile_discard IS NOT NULL
  GROUP BY windowed.series_id, windowed.charge_date, windowed.segment_start, windowed.component, windowed.priced_number,
           windowed.pool_number,
           windowed.usage_order, windowed.rounding_multiple, windowed.rounding_direction, windowed.rounding_by_day
),
running AS (
  SELECT *,
         CAST(SUM(CAST(pool_quantity AS DECIMAL(60,9))) OVER (
           PARTITION BY pool_number, pool_instance, CASE WHEN rounding_by_day THEN charge_date END
           ORDER BY charge_date, segment_start, usage_order
           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
         ) AS DECIMAL(38,9)) AS exact_after
  FROM counted
  WHERE rounding_multiple IS NOT NULL
),
remaining AS (
  SELECT *, exact_after - pool_quantity AS exact_before,
         exact_after % rounding_multiple AS rest_after,
         (exact_after - pool_quantity) % rounding_multiple AS rest_before
  FROM running
),
rounded AS (
  SELECT series_id, charge_date, segment_start, component, priced_number, pool_number, usage_order, pool_instance,
         is_window,
         CAST(CASE WHEN (rounding_direction = 'up' AND rest_after > 0)
                     OR (rounding_direction = 'nearest' AND rest_after + rest_after >= rounding_multiple)
                   THEN exact_after - rest_after + rounding_multiple
                   WHEN (rounding_direction = 'down' AND rest_after < 0)
                     OR (rounding_direction = 'nearest' AND rest_after + rest_after <= -rounding_multiple)
                   THEN exact_after - rest_after - rounding_multiple
                   ELSE exact_after - rest_after END
            - CASE WHEN (rounding_direction = 'up' AND rest_before > 0)
                     OR (rounding_direction = 'nearest' AND rest_before + rest_before >= rounding_multiple)
                   THEN exact_before - rest_before + rounding_multiple
                   WHEN (rounding_direction = 'down' AND rest_before < 0)
                     OR (rounding_direction = 'nearest' AND rest_before + rest_before <= -rounding_multiple)
                   THEN exact_before - rest_before - rounding_multiple
                   ELSE exact_before - rest_before END AS DECIMAL(38,9)) AS pool_quantity
  FROM remaining
),
quantified AS (
  SELECT series_id, charge_date, segment_start, component, priced_number, pool_number, usage_order, pool_instance,
         is_window, pool_quantity
  FROM counted
  WHERE rounding_multiple IS NULL
  UNION ALL
  SELECT series_id, charge_date, segment_start, component, priced_number, pool_number, usage_order, pool_instance,
         is_window, pool_quantity
  FROM rounded
)
SELECT pool_number,
       pool_instance,
       charge_date,
       segment_start,
       usage_order,
       series_id,
       component,
       priced_number,
       pool_quantity,
       CAST(SUM(CAST(pool_quantity AS DECIMAL(60,9))) OVER in_order AS DECIMAL(38,9)) AS running_total,
       CAST(ROW_NUMBER() OVER in_order AS BIGINT) AS row_number,
       is_window
FROM quantified
WINDOW in_order AS (
  ORDER BY pool_number, pool_instance, charge_date, segment_start, usage_order
  ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
)
ORDER BY pool_number, pool_instance, charge_date, segment_start, usage_order
