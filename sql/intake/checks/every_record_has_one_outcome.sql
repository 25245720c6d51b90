-- every_record_has_one_outcome: each fact that a file brought is accepted, a duplicate or rejected, and only what no meter asks for brings none.
--
-- reads   input_file
SELECT input_file_id, url, read_count, unmetered_count, fact_count, accepted_count, duplicate_count, rejected_count
FROM input_file
WHERE fact_count <> accepted_count + duplicate_count + rejected_count
   OR read_count > unmetered_count + fact_count
ORDER BY input_file_id
