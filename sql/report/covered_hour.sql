-- covered_hour: an hour in which a source delivered a sample of a meter.
--
-- grain   source, meter, hour_start
-- reads   sample, stream, input_file
-- writes  source        TEXT not null
--         meter         TEXT not null
--         hour_start    TIMESTAMP not null   whole hours of UTC
--         sample_count  BIGINT not null
--
-- A sample that two sources deliver counts for the first source only. Services report events irregularly, so an hour
-- without one is no gap: events are left out.
SELECT input_file.source,
       stream.meter,
       date_trunc('hour', sample.measured_at) AS hour_start,
       COUNT(*) AS sample_count
FROM sample
JOIN stream ON stream.stream_id = sample.stream_id
JOIN input_file ON input_file.input_file_id = sample.input_file_id
WHERE sample.is_state IS NOT TRUE
GROUP BY input_file.source, stream.meter, date_trunc('hour', sample.measured_at)
ORDER BY source, meter, hour_start
