-- increase: the growth of a counter in each window.
--
-- Growth is the difference to the previous reading, across series and dates. It belongs to the series and window of the
-- later reading. A reading smaller than the previous one means that the counter restarted at zero. The first reading of
-- a stream is a baseline with no growth, unless the record reports that the resource was created immediately before.
WITH reading AS (
  SELECT stream_id, series_id, charge_date, window_start, window_end, measured_at, quantity, created,
         FALSE AS is_carried_in
  FROM windowed_sample
  UNION ALL
  SELECT stream_id, last_series_id, NULL, NULL, NULL, last_measured_at, last_quantity, FALSE, TRUE
  FROM previous_stream_state
),
followed AS (
  SELECT *, LAG(quantity) OVER (PARTITION BY stream_id ORDER BY measured_at) AS previous_quantity
  FROM reading
),
growth AS (
  SELECT series_id, charge_date, window_start, window_end,
         CASE
           WHEN previous_quantity IS NULL AND created THEN quantity
           WHEN previous_quantity IS NULL THEN CAST(0 AS DECIMAL(28,9))
           WHEN quantity < previous_quantity THEN quantity
           ELSE CAST(quantity - previous_quantity AS DECIMAL(28,9))
         END AS grown_quantity
  FROM followed
  WHERE NOT is_carried_in
)
SELECT series_id,
       charge_date,
       window_start,
       window_end,
       CAST(SUM(grown_quantity) AS DECIMAL(38,9)) AS consumed_quantity,
       COUNT(*) AS sample_count
FROM growth
GROUP BY series_id, charge_date, window_start, window_end
ORDER BY series_id, window_start
