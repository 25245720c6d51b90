-- duration: the seconds of each window in which a state was valid.
--
-- See windowed_state for the validity of a state.
SELECT series_id,
       charge_date,
       window_start,
       window_end,
       CAST(
         CAST(SUM(microseconds) AS DECIMAL(20,0)) * CAST(0.000001 AS DECIMAL(7,6)) AS DECIMAL(38,9)
       ) AS consumed_quantity,
       COUNT(*) FILTER (WHERE is_first_window) AS sample_count
FROM windowed_state
GROUP BY series_id, charge_date, window_start, window_end
ORDER BY series_id, window_start
