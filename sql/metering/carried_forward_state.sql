-- carried_forward_state: the states that still hold when a window begins, as if they had been sampled then.
--
-- grain   stream_id, measured_at
-- reads   described_sample, previous_stream_state
-- params  $day_start BIGINT                             microseconds UTC
--         $day_end BIGINT                               microseconds UTC
--         $window BIGINT                                microseconds
--         $known_until BIGINT                            microseconds UTC: nothing is known of what is later
--         $state_timeout BIGINT                         microseconds
-- writes  stream_id      BIGINT UNSIGNED not null
--         series_id      BIGINT UNSIGNED not null
--         measured_at    TIMESTAMP not null
--         quantity       DECIMAL(28,9) not null
--         created        BOOLEAN not null
--         deleted        BOOLEAN not null
--         is_state          BOOLEAN not null
--         held           BOOLEAN not null
--         record_digest  BIGINT UNSIGNED not null
--
-- A machine that is notified once, when it is made, is there in every hour until something else is said of it. Each
-- window that such a state reaches gets one row at its start; those that fold values of a window read them beside the
-- samples, and those that weigh by time need none.
WITH reading AS (
  SELECT stream_id, series_id, CAST(measured_at AS BIGINT) AS measured_at, quantity, deleted, is_state
  FROM described_sample
  UNION ALL
  SELECT stream_id, last_series_id, CAST(last_measured_at AS BIGINT), last_quantity, deleted, is_state
  FROM previous_stream_state
),
followed AS (
  SELECT *, LEAD(measured_at) OVER (PARTITION BY stream_id ORDER BY measured_at) AS next_measured_at
  FROM reading
),
held AS (
  SELECT stream_id, series_id, quantity, measured_at,
         LEAST(measured_at + CAST($state_timeout AS BIGINT), COALESCE(next_measured_at, CAST($day_end AS BIGINT)),
               CAST($known_until AS BIGINT), CAST($day_end AS BIGINT)) AS held_to
  FROM followed
  WHERE is_state AND NOT deleted
),
windowed AS (
  SELECT stream_id, series_id, quantity, measured_at,
         UNNEST(generate_series(
           (GREATEST(measured_at, CAST($day_start AS BIGINT)) - CAST($day_start AS BIGINT)) / CAST($window AS BIGINT),
           (held_to - 1 - CAST($day_start AS BIGINT)) / CAST($window AS BIGINT))) AS window_number
  FROM held
  WHERE held_to > GREATEST(measured_at, CAST($day_start AS BIGINT))
)
SELECT stream_id,
       series_id,
       arrow_cast(CAST($day_start AS BIGINT) + window_number * CAST($window AS BIGINT), 'Timestamp(Microsecond, Some("UTC"))') AS measured_at,
       quantity,
       FALSE AS created,
       FALSE AS deleted,
       TRUE AS is_state,
       TRUE AS held,
       CAST(0 AS BIGINT UNSIGNED) AS record_digest
FROM windowed
WHERE CAST($day_start AS BIGINT) + window_number * CAST($window AS BIGINT) > measured_at
ORDER BY stream_id, measured_at
