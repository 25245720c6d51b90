-- described_sample: a sample of the date.
SELECT stream_id, series_id, measured_at, quantity, created, deleted, is_state, carried_forward, record_digest
FROM given
WHERE NOT carried_forward
