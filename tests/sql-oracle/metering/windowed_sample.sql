-- windowed_sample: a sample with the window that contains it.
WITH numbered AS (
  SELECT stream_id, series_id, measured_at, quantity, created, deleted, carried_forward, record_digest,
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
       carried_forward,
       record_digest
FROM bounded
