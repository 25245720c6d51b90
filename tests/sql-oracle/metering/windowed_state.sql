-- windowed_state: the part of a window in which a state of a stream is valid.
--
-- A state is valid until the next sample of its stream; a deletion ends it. A sampled state is valid for at most
-- max_gap. A reported state is valid for at most state_timeout, and until the last instant that is known. The state
-- that the previous date carries in remains valid. Each part belongs to the series of its state, so a new series splits
-- a window at the instant of the change.
WITH reading AS (
  SELECT stream_id, series_id, CAST(measured_at AS BIGINT) AS measured_at, quantity, deleted, is_state, record_digest,
         FALSE AS is_carried_in
  FROM described_sample
  UNION ALL
  SELECT stream_id, last_series_id, CAST(last_measured_at AS BIGINT), last_quantity, deleted, is_state,
         CAST(0 AS BIGINT UNSIGNED), TRUE
  FROM previous_stream_state
),
followed AS (
  SELECT *,
         COALESCE(LEAD(measured_at) OVER (PARTITION BY stream_id ORDER BY measured_at), CAST($day_end AS BIGINT))
           AS next_measured_at
  FROM reading
),
valid AS (
  SELECT *,
         GREATEST(measured_at, CAST($day_start AS BIGINT)) AS valid_from,
         LEAST(
           CASE WHEN is_state THEN LEAST(measured_at + CAST($state_timeout AS BIGINT), CAST($observed_until AS BIGINT))
                ELSE measured_at + CAST($max_gap AS BIGINT) END,
           next_measured_at,
           CAST($day_end AS BIGINT)
         ) AS valid_to
  FROM followed
  WHERE NOT deleted
),
numbered AS (
  SELECT *,
         UNNEST(generate_series(
           (valid_from - CAST($day_start AS BIGINT)) / CAST($window AS BIGINT),
           (valid_to - 1 - CAST($day_start AS BIGINT)) / CAST($window AS BIGINT)
         )) AS window_number
  FROM valid
  WHERE valid_to > valid_from
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
       arrow_cast(measured_at, 'Timestamp(Microsecond, Some("UTC"))') AS measured_at,
       quantity,
       is_state,
       is_carried_in,
       NOT is_carried_in AND measured_at >= starts_at AS is_first_window,
       LEAST(valid_to, ends_at) - GREATEST(valid_from, starts_at) AS microseconds,
       record_digest
FROM bounded
