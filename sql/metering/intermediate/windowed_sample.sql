-- windowed_sample: a sample with the window that contains it.
--
-- grain   stream_id, measured_at, record_digest
-- reads   described_sample
-- params  $charge_date  DATE
--         $day_start    BIGINT   microseconds UTC
--         $day_end      BIGINT   microseconds UTC
--         $window       BIGINT   microseconds
-- writes  stream_id      BIGINT UNSIGNED not null
--         series_id      BIGINT UNSIGNED not null
--         charge_date    DATE not null
--         window_start   TIMESTAMP not null
--         window_end     TIMESTAMP not null   exclusive; the last window of a date ends with the date
--         measured_at    TIMESTAMP not null
--         quantity       DECIMAL(28,9) not null
--         created        BOOLEAN not null
--         deleted        BOOLEAN not null
--         held           BOOLEAN not null
--         record_digest  BIGINT UNSIGNED not null
WITH numbered AS (
  SELECT stream_id, series_id, measured_at, quantity, created, deleted, held, record_digest,
         (CAST(measured_at AS BIGINT) - CAST($day_start AS BIGINT)) / CAST($window AS BIGINT) AS window_number
  FROM described_sample
),
bounded AS (
  SELECT *,
         CAST($day_start AS BIGINT) + window_number * CAST($window AS BIGINT) AS starts_at,
         CAST($day_start AS BIGINT) + (window_number + 1) * CAST($window AS BIGINT) AS ends_at
  FROM numbered
)
SELECT stream_id,
       series_id,
       CAST($charge_date AS DATE) AS charge_date,
       arrow_cast(starts_at, 'Timestamp(Microsecond, Some("UTC"))') AS window_start,
       arrow_cast(LEAST(ends_at, CAST($day_end AS BIGINT)), 'Timestamp(Microsecond, Some("UTC"))') AS window_end,
       measured_at,
       quantity,
       created,
       deleted,
       held,
       record_digest
FROM bounded
