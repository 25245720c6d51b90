-- count_unique: one for each window that contains a sample of a counted value.
--
-- Each counted value of a resource is a stream of its own, so this is the presence of the value in the window. Rating
-- counts each value once in its pool, because only a pool determines the time over which values are counted.
SELECT LAST_VALUE(series_id ORDER BY measured_at) AS series_id,
       charge_date,
       window_start,
       window_end,
       CAST(1 AS DECIMAL(38,9)) AS consumed_quantity,
       COUNT(*) FILTER (WHERE NOT carried_forward) AS sample_count
FROM windowed_sample
WHERE NOT deleted
GROUP BY stream_id, charge_date, window_start, window_end
ORDER BY series_id, window_start
