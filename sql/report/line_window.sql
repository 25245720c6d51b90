-- line_window: a metered window of one invoice line.
--
-- grain   series_id, window_start
-- reads   line_usage, metered_usage, payer_series
-- writes  resource_id        TEXT not null
--         meter              TEXT not null
--         series_id          BIGINT UNSIGNED not null
--         window_start       TIMESTAMP not null
--         window_end         TIMESTAMP not null
--         consumed_quantity  DECIMAL(38,9) not null
--         sample_count       BIGINT not null
WITH used AS (
  SELECT series_id, MIN(resource_id) AS resource_id, MIN(meter) AS meter, MIN(first_date) AS first_date,
         MAX(last_date) AS last_date
  FROM line_usage
  GROUP BY series_id
)
SELECT used.resource_id, used.meter, used.series_id, metered_usage.window_start, metered_usage.window_end,
       metered_usage.consumed_quantity, metered_usage.sample_count
FROM used
LEFT JOIN payer_series ON payer_series.series_id = used.series_id
JOIN metered_usage ON metered_usage.series_id = COALESCE(payer_series.metered_series_id, used.series_id)
 AND metered_usage.charge_date BETWEEN used.first_date AND used.last_date
 AND (payer_series.paid_from IS NULL OR metered_usage.window_start >= payer_series.paid_from)
 AND (payer_series.paid_to IS NULL OR metered_usage.window_start < payer_series.paid_to)
WHERE metered_usage.consumed_quantity <> 0
ORDER BY used.series_id, metered_usage.window_start
