-- usage_is_covered_once: commitment discounts cover no more than the usage of a window.
--
-- reads   covered_window, metered_usage, payer_series
WITH covered AS (
  SELECT series_id, window_start, SUM(CAST(covered_quantity AS DECIMAL(60,9))) AS covered_quantity
  FROM covered_window
  GROUP BY series_id, window_start
)
SELECT covered.series_id, covered.window_start, covered.covered_quantity, metered_usage.consumed_quantity
FROM covered
LEFT JOIN payer_series ON payer_series.series_id = covered.series_id
LEFT JOIN metered_usage ON metered_usage.series_id = COALESCE(payer_series.metered_series_id, covered.series_id)
 AND metered_usage.window_start = covered.window_start
WHERE metered_usage.series_id IS NULL OR covered.covered_quantity > metered_usage.consumed_quantity
ORDER BY series_id, window_start
