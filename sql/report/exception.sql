-- exception: usage, records, inputs, projects, accounts or documents that a close leaves out, with the amount.
--
-- grain   position, subject, detail, account_id, project_id, unit, currency
-- reads   unrated_resource, rejected_record, input_file, unread_input, project_summary, active_series, usage_segment,
--         suspended_account, invoice
-- params  $period_start  BIGINT   microseconds UTC
--         $period_end    BIGINT   microseconds UTC, exclusive
--         $has_accounts  BIGINT   1 if accounts are configured, so that a project without one is unassigned
--         $currency      TEXT     of the seller, ISO 4217
-- writes  position    BIGINT not null
--         kind        TEXT not null    unrated_usage, rejected_records, unread_input, unassigned_project,
--                                      suspended_account, carried_forward or skipped
--         subject     TEXT not null    meter, reason, source, project or account
--         detail      TEXT not null    reason, file or project
--         account_id  TEXT             null if the exception has no account
--         project_id  TEXT
--         item_count  BIGINT not null  resources, records, inputs, accounts or documents
--         quantity    DECIMAL(38,9)
--         unit        TEXT not null
--         first_date  DATE             of the usage
--         last_date   DATE
--         amount      DECIMAL(38,18)   before tax; unrounded for usage that is not invoiced
--         currency    TEXT not null    empty without an amount
--
-- Rejected records count if their file has usage of the period, or no usage at all.
WITH rejected AS (
  SELECT rejected_record.reason, input_file.source || ': ' || input_file.url AS file
  FROM rejected_record
  JOIN input_file ON input_file.input_file_id = rejected_record.input_file_id
  WHERE input_file.first_measured_at IS NULL
     OR (CAST(input_file.first_measured_at AS BIGINT) < CAST($period_end AS BIGINT)
         AND CAST(input_file.last_measured_at AS BIGINT) >= CAST($period_start AS BIGINT))
),
unassigned AS (
  SELECT project_id,
         CAST(SUM(CAST(contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS amount
  FROM project_summary
  WHERE project_id IS NULL OR (CAST($has_accounts AS BIGINT) = 1 AND account_name IS NULL)
  GROUP BY project_id
),
used AS (
  SELECT active_series.project_id,
         COUNT(DISTINCT active_series.resource_id) AS resource_count,
         MIN(usage_segment.charge_date) AS first_date,
         MAX(usage_segment.charge_date) AS last_date
  FROM active_series
  JOIN usage_segment ON usage_segment.series_id = active_series.series_id
  WHERE active_series.account_name IS NULL
  GROUP BY active_series.project_id
),
entry AS (
  SELECT 1 AS position, 'unrated_usage' AS kind, meter AS subject, reason AS detail, account_id, project_id,
         COUNT(DISTINCT resource_id) AS item_count,
         CAST(SUM(CAST(quantity AS DECIMAL(50,9))) AS DECIMAL(38,9)) AS quantity, unit,
         MIN(first_date) AS first_date, MAX(last_date) AS last_date,
         CAST(NULL AS DECIMAL(38,18)) AS amount, '' AS currency
  FROM unrated_resource
  GROUP BY meter, reason, account_id, project_id, unit
  UNION ALL
  SELECT 2, 'rejected_records', reason, file, NULL AS account_id, NULL AS project_id, COUNT(*), NULL AS quantity,
         '' AS unit, NULL AS first_date, NULL AS last_date, NULL AS amount, '' AS currency
  FROM rejected
  GROUP BY reason, file
  UNION ALL
  SELECT 3, 'unread_input', source, url || ': ' || detail, NULL AS account_id, NULL AS project_id, 1, NULL AS quantity,
         '' AS unit, NULL AS first_date, NULL AS last_date, NULL AS amount, '' AS currency
  FROM unread_input
  UNION ALL
  SELECT 4, 'unassigned_project', COALESCE(unassigned.project_id, ''), '' AS detail, NULL AS account_id,
         unassigned.project_id, COALESCE(used.resource_count, 0), NULL AS quantity, '' AS unit, used.first_date,
         used.last_date, unassigned.amount, CAST($currency AS TEXT)
  FROM unassigned
  LEFT JOIN used ON (used.project_id IS NOT DISTINCT FROM unassigned.project_id)
  UNION ALL
  SELECT 5, 'suspended_account', account_id AS subject, detail, account_id, NULL AS project_id, 1, NULL AS quantity,
         '' AS unit, NULL AS first_date, NULL AS last_date, contracted_cost, price_currency
  FROM suspended_account
  UNION ALL
  SELECT CASE WHEN document_kind = 'carried_forward' THEN 6 ELSE 7 END, document_kind, account_id AS subject,
         COALESCE(project_id, ''), account_id, project_id, COUNT(*), NULL AS quantity, '' AS unit, NULL AS first_date,
         NULL AS last_date, CAST(SUM(CAST(carried_forward AS DECIMAL(50,4))) AS DECIMAL(38,18)), currency
  FROM invoice
  WHERE document_kind IN ('carried_forward', 'skipped')
  GROUP BY document_kind, account_id, project_id, currency
)
SELECT CAST(position AS BIGINT) AS position,
       kind,
       subject,
       detail,
       account_id,
       project_id,
       CAST(item_count AS BIGINT) AS item_count,
       quantity,
       unit,
       first_date,
       last_date,
       amount,
       currency
FROM entry
ORDER BY position, subject, detail, account_id NULLS FIRST, project_id NULLS FIRST, unit, currency
