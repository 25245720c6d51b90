-- record_count: the number of records in all files, by outcome.
--
-- grain   none
-- reads   input_file
-- writes  file_count       BIGINT not null
--         read_count       BIGINT not null
--         unmetered_count  BIGINT not null
--         accepted_count   BIGINT not null
--         duplicate_count  BIGINT not null
--         rejected_count   BIGINT not null
--         retracted_count  BIGINT not null
SELECT COUNT(*) AS file_count,
       CAST(COALESCE(SUM(read_count), 0) AS BIGINT) AS read_count,
       CAST(COALESCE(SUM(unmetered_count), 0) AS BIGINT) AS unmetered_count,
       CAST(COALESCE(SUM(accepted_count), 0) AS BIGINT) AS accepted_count,
       CAST(COALESCE(SUM(duplicate_count), 0) AS BIGINT) AS duplicate_count,
       CAST(COALESCE(SUM(rejected_count), 0) AS BIGINT) AS rejected_count,
       CAST(COALESCE(SUM(retracted_count), 0) AS BIGINT) AS retracted_count
FROM input_file
