-- max: the largest value in each window.
--
-- grain   series_id, window_start
-- reads   described_sample
-- params  $charge_date DATE
--         $day_start BIGINT                             microseconds UTC
--         $day_end BIGINT                               microseconds UTC
--         $window BIGINT                                microseconds
-- writes  series_id          BIGINT UNSIGNED not null
--         charge_date        DATE not null
--         window_start       TIMESTAMP not null
--         window_end         TIMESTAMP not null
--         consumed_quantity  DECIMAL(28,9) not null
--         sample_count       BIGINT not null
--
-- The window goes whole to the series of its last sample, so that a resize hour is billed once.
-- A record of a deletion is no evidence that the resource was there.
WITH windowed AS (
  SELECT stream_id, series_id, measured_at, quantity, held, (CAST(measured_at AS BIGINT) - CAST($day_start AS BIGINT)) / CAST($window AS BIGINT) AS window_number
  FROM described_sample
  WHERE NOT deleted
)
SELECT LAST_VALUE(series_id ORDER BY measured_at) AS series_id,
       CAST($charge_date AS DATE) AS charge_date,
       arrow_cast(CAST($day_start AS BIGINT) + window_number * CAST($window AS BIGINT), 'Timestamp(Microsecond, Some("UTC"))') AS window_start,
       arrow_cast(LEAST(CAST($day_start AS BIGINT) + (window_number + 1) * CAST($window AS BIGINT), CAST($day_end AS BIGINT)), 'Timestamp(Microsecond, Some("UTC"))') AS window_end,
       MAX(quantity) AS consumed_quantity,
       COUNT(*) FILTER (WHERE NOT held) AS sample_count
FROM windowed
GROUP BY stream_id, window_number
ORDER BY series_id, window_start
