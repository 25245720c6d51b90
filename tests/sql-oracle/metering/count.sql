-- count: the number of records in each window.
--
-- Each record counts for its own series.
SELECT series_id,
       charge_date,
       window_start,
       window_end,
       CAST(COUNT(*) AS DECIMAL(38,9)) AS consumed_quantity,
       COUNT(*) AS sample_count
FROM windowed_sample
GROUP BY series_id, charge_date, window_start, window_end
ORDER BY series_id, window_start
