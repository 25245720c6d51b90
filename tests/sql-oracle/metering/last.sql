-- last: the value of the last sample in each window.
--
-- The whole window belongs to the series of its last sample, so that an hour with a resize is billed once. A deletion
-- record does not prove that the resource existed in the window.
SELECT LAST_VALUE(series_id ORDER BY measured_at) AS series_id,
       charge_date,
       window_start,
       window_end,
       CAST(LAST_VALUE(quantity ORDER BY measured_at) AS DECIMAL(38,9)) AS consumed_quantity,
       COUNT(*) FILTER (WHERE NOT carried_forward) AS sample_count
FROM windowed_sample
WHERE NOT deleted
GROUP BY stream_id, charge_date, window_start, window_end
ORDER BY series_id, window_start
