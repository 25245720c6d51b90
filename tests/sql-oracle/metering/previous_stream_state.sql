-- previous_stream_state: the last reading of a stream before the date.
SELECT stream_id,
       measured_at AS last_measured_at,
       quantity AS last_quantity,
       series_id AS last_series_id,
       deleted,
       is_state
FROM given
WHERE carried_forward
