-- time_weighted: the integral of a level over the time of each window, in unit-seconds.
--
-- See windowed_state for the validity of a level. The sum is computed with 76 digits, so it cannot overflow, and
-- rounded once, to nine places.
SELECT series_id,
       charge_date,
       window_start,
       window_end,
       CAST(
         SUM(CAST(quantity AS DECIMAL(48,9)) * CAST(microseconds AS DECIMAL(20,0)))
           * CAST(0.000001 AS DECIMAL(39,6)) AS DECIMAL(38,9)
       ) AS consumed_quantity,
       COUNT(*) FILTER (WHERE is_first_window) AS sample_count
FROM windowed_state
GROUP BY series_id, charge_date, window_start, window_end
ORDER BY series_id, window_start
