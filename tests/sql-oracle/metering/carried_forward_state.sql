-- carried_forward_state: a reported state that is still valid at the start of a window, as a sample at that start.
--
-- A virtual machine that is reported only once, at its creation, exists in every later hour until the next event. Each
-- window that its state reaches gets one row at its start. Aggregations over the values of a window read these rows
-- together with the samples. Aggregations over time need none of them.
SELECT stream_id,
       series_id,
       window_start AS measured_at,
       quantity,
       FALSE AS created,
       FALSE AS deleted,
       TRUE AS is_state,
       TRUE AS carried_forward,
       CAST(0 AS BIGINT UNSIGNED) AS record_digest
FROM windowed_state
WHERE is_state AND window_start > measured_at
ORDER BY stream_id, measured_at
