-- ended_stream: a stream with samples of ended sources only: the configuration has removed or ended these sources.
--
-- grain   stream_id
-- reads   sample, input_file, configured_source
-- writes  stream_id  BIGINT UNSIGNED not null
SELECT sample.stream_id
FROM sample
JOIN input_file ON input_file.input_file_id = sample.input_file_id
LEFT JOIN configured_source ON configured_source.source = input_file.source
GROUP BY sample.stream_id
HAVING COUNT(configured_source.source) = 0
ORDER BY stream_id
