-- sum: the sum of the amounts in each window.
--
-- grain   series_id, window_start
-- reads   described_sample
-- params  $charge_date DATE
--         $day_start BIGINT                             microseconds UTC
--         $day_end BIGINT                               microseconds UTC
--         $window BIGINT                                microseconds
--         $record_minimum DECIMAL(28,9)                 what a record counts at the least
--         $record_multiple DECIMAL(28,9)                and in steps of what
-- writes  series_id          BIGINT UNSIGNED not null
--         charge_date        DATE not null
--         window_start       TIMESTAMP not null
--         window_end         TIMESTAMP not null
--         consumed_quantity  DECIMAL(28,9) not null
--         sample_count       BIGINT not null
--
-- Each amount belongs to the series of its own record. Minimum and granularity are those of a single record, so they come
-- before the sum; a record of nothing counts nothing.
WITH raised AS (
  SELECT series_id, measured_at,
         CASE WHEN quantity = 0 THEN quantity ELSE GREATEST(quantity, CAST($record_minimum AS DECIMAL(28,9))) END AS quantity
  FROM described_sample
),
windowed AS (
  SELECT series_id,
         CAST(quantity + CASE WHEN quantity % CAST($record_multiple AS DECIMAL(28,9)) = 0 THEN CAST(0 AS DECIMAL(28,9))
                              ELSE CAST($record_multiple AS DECIMAL(28,9)) - quantity % CAST($record_multiple AS DECIMAL(28,9)) END AS DECIMAL(28,9)) AS quantity,
         (CAST(measured_at AS BIGINT) - CAST($day_start AS BIGINT)) / CAST($window AS BIGINT) AS window_number
  FROM raised
)
SELECT series_id,
       CAST($charge_date AS DATE) AS charge_date,
       arrow_cast(CAST($day_start AS BIGINT) + window_number * CAST($window AS BIGINT), 'Timestamp(Microsecond, Some("UTC"))') AS window_start,
       arrow_cast(LEAST(CAST($day_start AS BIGINT) + (window_number + 1) * CAST($window AS BIGINT), CAST($day_end AS BIGINT)), 'Timestamp(Microsecond, Some("UTC"))') AS window_end,
       CAST(SUM(quantity) AS DECIMAL(28,9)) AS consumed_quantity,
       COUNT(*) AS sample_count
FROM windowed
GROUP BY series_id, window_number
ORDER BY series_id, window_start
