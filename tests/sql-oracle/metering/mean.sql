-- mean: the mean of the values in each window; all samples have equal weight.
--
-- The whole window belongs to the series of its last sample, so that an hour with a resize is billed once. A deletion
-- record does not prove that the resource existed in the window.
--
-- The quotient is truncated to 13 places and then rounded to nine, which equals the rounded exact mean.
SELECT LAST_VALUE(series_id ORDER BY measured_at) AS series_id,
       charge_date,
       window_start,
       window_end,
       CAST(SUM(quantity) / CAST(COUNT(*) AS DECIMAL(20,0)) AS DECIMAL(38,9)) AS consumed_quantity,
       COUNT(*) FILTER (WHERE NOT carried_forward) AS sample_count
FROM windowed_sample
WHERE NOT deleted
GROUP BY stream_id, charge_date, window_start, window_end
ORDER BY series_id, window_start
