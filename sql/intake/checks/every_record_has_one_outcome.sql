-- every_record_has_one_outcome: every sample of a file is accepted, duplicate, rejected or retracted.
--
-- reads   input_file
--
-- Only unmetered records have no sample.
SELECT input_file_id, url, read_count, unmetered_count, sample_count, accepted_count, duplicate_count, rejected_count,
       retracted_count
FROM input_file
WHERE sample_count <> accepted_count + duplicate_count + rejected_count + retracted_count
   OR read_count > unmetered_count + sample_count
ORDER BY input_file_id
