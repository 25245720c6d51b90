-- line_file: a file with samples of one invoice line.
--
-- grain   url, sha256
-- reads   line_usage, sample, retracted_sample, input_file
-- writes  url                TEXT not null
--         sha256             TEXT not null
--         sample_count       BIGINT not null
--         first_measured_at  TIMESTAMP not null
--         last_measured_at   TIMESTAMP not null
--
-- Retracted samples are included if they were retracted after the document was issued. A delivery that has taken the
-- place of a retracted sample did not count then.
WITH used AS (
  SELECT DISTINCT stream_id
  FROM line_usage
),
counted AS (
  SELECT sample.input_file_id, sample.stream_id, sample.measured_at
  FROM sample
  LEFT JOIN retracted_sample
    ON retracted_sample.stream_id = sample.stream_id
    AND retracted_sample.measured_at = sample.measured_at
    AND retracted_sample.record_digest = sample.record_digest
  WHERE retracted_sample.stream_id IS NULL
  UNION ALL
  SELECT retracted.input_file_id, retracted.stream_id, retracted.measured_at
  FROM (
    -- A file that is delivered again after its retraction can be retracted again.
    SELECT DISTINCT input_file_id, stream_id, measured_at, record_digest
    FROM retracted_sample
  ) AS retracted
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
