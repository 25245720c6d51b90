-- duration: the seconds of each window in which a state was valid.
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
