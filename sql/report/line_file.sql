-- line_file: a file with samples of one invoice line.
--
-- grain   url, sha256
-- reads   line_usage, sample, withdrawn_sample, input_file
-- writes  url                TEXT not null
--         sha256             TEXT not null
--         sample_count       BIGINT not null
--         first_measured_at  TIMESTAMP not null
--         last_measured_at   TIMESTAMP not null
--
-- Retracted samples are included if they were retracted after the document was issued.
WITH used AS (
  SELECT DISTINCT stream_id
  FROM line_usage
),
counted AS (
  SELECT input_file_id, stream_id, measured_at
  FROM sample
  UNION ALL
  SELECT input_file_id, stream_id, measured_at
  FROM withdrawn_sample
)
SELECT input_file.url,
       input_file.sha256,
       COUNT(*) AS sample_count,
       MIN(counted.measured_at) AS first_measured_at,
       MAX(counted.measured_at) AS last_measured_at
FROM counted
JOIN used ON used.stream_id = counted.stream_id
JOIN input_file ON input_file.input_file_id = counted.input_file_id
GROUP BY input_file.url, input_file.sha256
ORDER BY url, sha256
