-- count_unique: one for each window that contains a sample of a counted value.
--
-- grain   series_id, window_start
-- reads   windowed_sample
-- params  $charge_date  DATE
--         $day_start    BIGINT   microseconds UTC
--         $day_end      BIGINT   microseconds UTC
--         $window       BIGINT   microseconds
-- writes  series_id          BIGINT UNSIGNED not null
--         charge_date        DATE not null
--         window_start       TIMESTAMP not null
--         window_end         TIMESTAMP not null
--         consumed_quantity  DECIMAL(38,9) not null
--         sample_count       BIGINT not null
--
-- Each counted value of a resource is a stream of its own, so this is the presence of the value in the window. Rating
-- counts each value once in its pool, because only a pool determines the time over which values are counted.
SELECT LAST_VALUE(series_id ORDER BY measured_at) AS series_id,
       charge_date,
       window_start,
       window_end,
       CAST(1 AS DECIMAL(38,9)) AS consumed_quantity,
       COUNT(*) FILTER (WHERE NOT held) AS sample_count
FROM windowed_sample
WHERE NOT deleted
GROUP BY stream_id, charge_date, window_start, window_end
ORDER BY series_id, window_start
