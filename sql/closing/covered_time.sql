-- covered_time: the first and last sample that a source delivered in an hour.
--
-- grain   source, hour_start
-- reads   sample, input_file
-- writes  source             TEXT not null
--         hour_start         TIMESTAMP not null   whole hours of UTC
--         first_measured_at  TIMESTAMP not null
--         last_measured_at   TIMESTAMP not null
SELECT input_file.source,
       date_trunc('hour', sample.measured_at) AS hour_start,
       MIN(sample.measured_at) AS first_measured_at,
       MAX(sample.measured_at) AS last_measured_at
FROM sample
JOIN input_file ON input_file.input_file_id = sample.input_file_id
GROUP BY input_file.source, date_trunc('hour', sample.measured_at)
ORDER BY source, hour_start
