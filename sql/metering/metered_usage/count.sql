-- count: the number of records in each window.
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
