-- rejected_reason: the number of rejected records for each reason.
--
-- grain   reason
-- reads   rejected_record
-- writes  reason        TEXT not null
--         record_count  BIGINT not null
SELECT reason, COUNT(*) AS record_count
FROM rejected_record
GROUP BY reason
ORDER BY reason
