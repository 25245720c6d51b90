-- stream_day: the windows of a stream on a date, and its last reading.
--
-- grain   stream_id
-- reads   described_sample
-- calls   last_reading, metered_windows
-- params  $day_start       BIGINT   microseconds UTC
--         $day_end         BIGINT   microseconds UTC
--         $observed_until  BIGINT   microseconds UTC; no state is carried forward beyond this instant
-- writes  stream_id         BIGINT UNSIGNED not null
--         windows           WINDOWS not null    list of structs with the columns of metered_usage, without the date
--         last_measured_at  TIMESTAMP not null
--         last_quantity     DECIMAL(28,9) not null
--         last_series_id    BIGINT UNSIGNED not null
--         deleted           BOOLEAN not null   the resource was deleted at last_measured_at
--         is_state          BOOLEAN not null   the state is valid until the next event of the stream
--
-- The measure of the meter decides what counts. Sums, counts and growth belong to the series of their own sample. Other
-- aggregations of values belong to the last series of their window, so that an hour with a resize is billed once.
-- Durations and integrals over time are divided at the instant of a change. Windows follow each other from the start of
-- the date; the last window ends with the date.
--
-- A sampled value is valid until the next sample, at most for max_gap. A state is valid until the next event, at most
-- for state_timeout, and not longer than observed_until. A deletion ends it.
WITH metered AS (
  SELECT stream_id,
         metered_windows(
           measured_at, quantity, series_id, created, deleted, is_state, carried_forward,
           aggregation, window_length, max_gap, state_timeout, record_minimum, record_multiple,
           CAST($day_start AS BIGINT), CAST($day_end AS BIGINT), CAST($observed_until AS BIGINT)
           ORDER BY measured_at
         ) AS windows,
         last_reading(measured_at, quantity, series_id, deleted, is_state ORDER BY measured_at) AS reading
  FROM described_sample
  GROUP BY stream_id
)
SELECT stream_id,
       windows,
       reading['measured_at'] AS last_measured_at,
       reading['quantity'] AS last_quantity,
       reading['series_id'] AS last_series_id,
       reading['deleted'] AS deleted,
       reading['is_state'] AS is_state
FROM metered
ORDER BY stream_id
