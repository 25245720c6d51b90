-- stream_state: the last state of a stream at the end of a date, which the next date starts from.
--
-- A stream without a sample for longer than the horizon has no row: its next reading counts as a first reading. A
-- reported state is kept until the next event of the stream, however long that takes.
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
