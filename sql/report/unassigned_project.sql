-- unassigned_project: a project with usage that no account has, and as one row all usage without a project.
--
-- grain   project_id
-- reads   active_series
-- params  $has_accounts  BIGINT   1 if accounts are configured; without accounts, each project pays for itself
-- writes  project_id      TEXT              null for usage without a project
--         resource_count  BIGINT not null   resources of all meters
SELECT project_id,
       COUNT(DISTINCT resource_id) AS resource_count
FROM active_series
WHERE project_id IS NULL OR (CAST($has_accounts AS BIGINT) = 1 AND account_name IS NULL)
GROUP BY project_id
ORDER BY project_id NULLS LAST
