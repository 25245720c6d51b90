-- covered_hour: the hours in which a source delivered something that a meter took.
--
-- grain   source, meter, hour_start
-- reads   sample, stream, input_file
-- writes  source        TEXT not null
--         meter         TEXT not null
--         hour_start    TIMESTAMP not null   whole hours of UTC
--         sample_count  BIGINT not null
--
-- A fact that two sources deliver is a sample of the first one only. What services notify comes when something happens,
-- and an hour without it is no gap.
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
