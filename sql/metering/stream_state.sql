-- stream_state: what the next day needs from this one, one row for each stream of a meter.
--
-- grain   stream_id
-- reads   described_sample, previous_stream_state
-- params  $day_end BIGINT                               microseconds UTC
--         $horizon BIGINT                               microseconds
-- writes  stream_id         BIGINT UNSIGNED not null
--         last_measured_at  TIMESTAMP not null
--         last_quantity     DECIMAL(28,9) not null
--         last_series_id    BIGINT UNSIGNED not null
--         deleted           BOOLEAN not null
--         is_state             BOOLEAN not null
--
-- A stream that was silent for longer than the horizon is forgotten: its next reading is a first one. A state that holds
-- until another word is remembered for as long as there is none.
WITH reading AS (
  SELECT stream_id, measured_at, record_digest, quantity, series_id, deleted, is_state
  FROM described_sample
  UNION ALL
  SELECT stream_id, last_measured_at, CAST(0 AS BIGINT UNSIGNED), last_quantity, last_series_id, deleted, is_state
  FROM previous_stream_state
),
ranked AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY stream_id ORDER BY measured_at DESC, record_digest DESC) AS recency
  FROM reading
)
SELECT stream_id,
       measured_at AS last_measured_at,
       quantity AS last_quantity,
       series_id AS last_series_id,
       deleted,
       is_state
FROM ranked
WHERE recency = 1
  AND ((is_state AND NOT deleted) OR CAST(measured_at AS BIGINT) >= CAST($day_end AS BIGINT) - CAST($horizon AS BIGINT))
ORDER BY stream_id
