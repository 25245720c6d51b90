-- time_weighted: the integral of a level over the time of each window, in unit-seconds.
--
-- grain   series_id, window_start
-- reads   windowed_state
-- params  $charge_date    DATE
--         $day_start      BIGINT   microseconds UTC
--         $day_end        BIGINT   microseconds UTC
--         $window         BIGINT   microseconds
--         $max_gap        BIGINT   microseconds
--         $known_until    BIGINT   microseconds UTC: no state is known later than this
--         $state_timeout  BIGINT   microseconds
-- writes  series_id          BIGINT UNSIGNED not null
--         charge_date        DATE not null
--         window_start       TIMESTAMP not null
--         window_end         TIMESTAMP not null
--         consumed_quantity  DECIMAL(38,9) not null
--         sample_count       BIGINT not null
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
