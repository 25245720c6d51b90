-- exception: usage, records, inputs, projects, accounts or documents that a close leaves out, with the amount.
--
-- grain   position, subject, detail, unit, currency
-- reads   unrated_resource, rejected_record, input_file, unread_input, project_summary, suspended_account, invoice
-- params  $period_start  BIGINT   microseconds UTC
--         $period_end    BIGINT   microseconds UTC, exclusive
--         $has_accounts  BIGINT   1 if accounts are configured, so that a project without one is unassigned
--         $currency      TEXT     of the seller, ISO 4217
-- writes  position    BIGINT not null
--         kind        TEXT not null    unrated_usage, rejected_records, unread_input, unassigned_project,
--                                      suspended_account, carried_forward or skipped
--         subject     TEXT not null    meter, reason, source, project or account
--         detail      TEXT not null
--         item_count  BIGINT not null
--         quantity    DECIMAL(38,9)
--         unit        TEXT not null
--         amount      DECIMAL(38,18)   before tax; unrounded for usage that is not invoiced
--         currency    TEXT not null    empty without an amount
--
-- Rejected records count if their file has usage of the period, or no usage at all.
WITH rejected AS (
  SELECT rejected_record.reason
  FROM rejected_record
  JOIN input_file ON input_file.input_file_id = rejected_record.input_file_id
  WHERE input_file.first_measured_at IS NULL
     OR (CAST(input_file.first_measured_at AS BIGINT) < CAST($period_end AS BIGINT)
         AND CAST(input_file.last_measured_at AS BIGINT) >= CAST($period_start AS BIGINT))
),
entry AS (
  SELECT 1 AS position, 'unrated_usage' AS kind, meter AS subject, reason AS detail, COUNT(*) AS item_count,
         CAST(SUM(CAST(quantity AS DECIMAL(50,9))) AS DECIMAL(38,9)) AS quantity, unit,
         CAST(NULL AS DECIMAL(38,18)) AS amount, '' AS currency
  FROM unrated_resource
  GROUP BY meter, reason, unit
  UNION ALL
  SELECT 2, 'rejected_records', reason, '', COUNT(*), NULL, '', NULL, ''
  FROM rejected
  GROUP BY reason
  UNION ALL
  SELECT 3, 'unread_input', source, url || ': ' || detail, 1, NULL, '', NULL, ''
  FROM unread_input
  UNION ALL
  SELECT 4, 'unassigned_project', COALESCE(project_id, ''), '', 1, NULL, '',
         CAST(SUM(CAST(contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)), CAST($currency AS TEXT)
  FROM project_summary
  WHERE project_id IS NULL OR (CAST($has_accounts AS BIGINT) = 1 AND account_name IS NULL)
  GROUP BY project_id
  UNION ALL
  SELECT 5, 'suspended_account', account_id, detail, 1, NULL, '', contracted_cost, price_currency
  FROM suspended_account
  UNION ALL
  SELECT CASE WHEN document_kind = 'carried_forward' THEN 6 ELSE 7 END, document_kind, account_id,
         COALESCE(project_id, ''), COUNT(*), NULL, '',
         CAST(SUM(CAST(carried_forward AS DECIMAL(50,4))) AS DECIMAL(38,18)), currency
  FROM invoice
  WHERE document_kind IN ('carried_forward', 'skipped')
  GROUP BY document_kind, account_id, project_id, currency
)
SELECT CAST(position AS BIGINT) AS position,
       kind,
       subject,
       detail,
       CAST(item_count AS BIGINT) AS item_count,
       quantity,
       unit,
       amount,
       currency
FROM entry
ORDER BY position, subject, detail, unit, currency
