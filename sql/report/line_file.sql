-- line_file: the files whose samples stand behind one invoice line.
--
-- grain   url, sha256
-- reads   line_usage, sample, input_file
-- writes  url                TEXT not null
--         sha256             TEXT not null
--         sample_count       BIGINT not null
--         first_measured_at  TIMESTAMP not null
--         last_measured_at   TIMESTAMP not null
WITH used AS (
  SELECT DISTINCT stream_id
  FROM line_usage
)
SELECT input_file.url,
       input_file.sha256,
       COUNT(*) AS sample_count,
       MIN(sample.measured_at) AS first_measured_at,
       MAX(sample.measured_at) AS last_measured_at
FROM sample
JOIN used ON used.stream_id = sample.stream_id
JOIN input_file ON input_file.input_file_id = sample.input_file_id
GROUP BY input_file.url, input_file.sha256
ORDER BY url, sha256
