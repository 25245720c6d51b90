-- increase: how much a counter grew in each window.
--
-- grain   series_id, window_start
-- reads   described_sample, previous_stream_state
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
-- The growth since the reading before belongs to the later reading's series and window; it runs across series and days.
-- A reading smaller than the one before is a counter that began again at zero. A stream's first reading is a baseline
-- and brings nothing, unless the record says that the resource was made just before.
WITH reading AS (
  SELECT stream_id, series_id, measured_at, quantity, created, FALSE AS carried
  FROM described_sample
  UNION ALL
  SELECT stream_id, last_series_id, last_measured_at, last_quantity, FALSE, TRUE
  FROM previous_stream_state
),
growth AS (
  SELECT series_id, measured_at, quantity, created, carried,
         LAG(quantity) OVER (PARTITION BY stream_id ORDER BY measured_at) AS previous_quantity
  FROM reading
),
windowed AS (
  SELECT series_id,
         CASE
           WHEN previous_quantity IS NULL AND created THEN quantity
           WHEN previous_quantity IS NULL THEN CAST(0 AS DECIMAL(28,9))
           WHEN quantity < previous_quantity THEN quantity
           ELSE CAST(quantity - previous_quantity AS DECIMAL(28,9))
         END AS grown_quantity,
         (CAST(measured_at AS BIGINT) - CAST($day_start AS BIGINT)) / CAST($window AS BIGINT) AS window_number
  FROM growth
  WHERE NOT carried
)
SELECT series_id,
       CAST($charge_date AS DATE) AS charge_date,
       arrow_cast(CAST($day_start AS BIGINT) + window_number * CAST($window AS BIGINT), 'Timestamp(Microsecond, Some("UTC"))') AS window_start,
       arrow_cast(LEAST(CAST($day_start AS BIGINT) + (window_number + 1) * CAST($window AS BIGINT), CAST($day_end AS BIGINT)), 'Timestamp(Microsecond, Some("UTC"))') AS window_end,
       CAST(SUM(grown_quantity) AS DECIMAL(28,9)) AS consumed_quantity,
       COUNT(*) AS sample_count
FROM windowed
GROUP BY series_id, window_number
ORDER BY series_id, window_start
