-- percentile_window: the window that a percentile selects from the windows of a pool.
--
-- grain   pool_number
-- reads   pool_window, pool_window_count, priced_series, usage_segment, metered_usage, payer_series
-- writes  pool_number   BIGINT not null
--         window_start  TIMESTAMP not null
--
-- The highest hundredths of the windows are ignored, their number rounded down, and the highest remaining window
-- counts. Windows of zero have a rank too. If pool_window_count has the pool, all its other windows are zero. They have
-- the last ranks, so their number suffices, and the pool has no row if one of them is selected.
WITH measured AS (
  SELECT DISTINCT priced_series.series_id, priced_series.pool_number, priced_series.percentile_discard
  FROM priced_series
  JOIN usage_segment ON usage_segment.series_id = priced_series.series_id
   AND usage_segment.segment_start = priced_series.segment_start
  WHERE priced_series.percentile_discard IS NOT NULL
),
each_window AS (
  SELECT pool_number, window_start, MAX(percentile_discard) AS percentile_discard,
         SUM(window_quantity) AS window_quantity
  FROM (
    SELECT pool_number, window_start, percentile_discard, SUM(CAST(pool_quantity AS DECIMAL(60,9))) AS window_quantity
    FROM pool_window
    WHERE percentile_discard IS NOT NULL
    GROUP BY pool_number, window_start, percentile_discard
    UNION ALL
    SELECT measured.pool_number, metered_usage.window_start, measured.percentile_discard,
           CAST(metered_usage.consumed_quantity AS DECIMAL(60,9))
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
)
SELECT pool_number,
       window_start
FROM ranked
WHERE CAST(window_rank - 1 AS DECIMAL(20,0)) * CAST(100 AS DECIMAL(3,0))
  <= CAST(window_count AS DECIMAL(20,0)) * percentile_discard
  AND CAST(window_count AS DECIMAL(20,0)) * percentile_discard
    < CAST(window_rank AS DECIMAL(20,0)) * CAST(100 AS DECIMAL(3,0))
