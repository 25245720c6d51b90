-- project_summary: every project that used anything in the period or owes something for it, with what it cost each of its payers.
--
-- grain   project_id, account_id
-- reads   active_series, rated_usage, usage_segment, standing_charge
-- writes  project_id       TEXT
--         project_name     TEXT
--         account_id       TEXT
--         account_name     TEXT
--         status           TEXT not null
--         contracted_cost  DECIMAL(38,18) not null
--         list_cost        DECIMAL(38,18) not null   by the public card
WITH known AS (
  SELECT active_series.project_id, active_series.project_name, active_series.account_id, active_series.account_name, active_series.status, 0 AS position
  FROM active_series
  JOIN usage_segment ON usage_segment.series_id = active_series.series_id
  UNION
  SELECT project_id, project_name, account_id, account_name, status, 1
  FROM standing_charge
  WHERE project_id IS NOT NULL
),
ranked AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY project_id, account_id ORDER BY position, account_name NULLS FIRST, project_name, status) AS project_rank
  FROM known
),
used AS (
  SELECT project_id, project_name, account_id, account_name, status
  FROM ranked
  WHERE project_rank = 1
),
owed AS (
  SELECT project_id, account_id, CAST(contracted_cost AS DECIMAL(60,18)) AS contracted_cost, CAST(list_cost AS DECIMAL(60,18)) AS list_cost
  FROM rated_usage
  UNION ALL
  SELECT project_id, account_id, CAST(contracted_cost AS DECIMAL(60,18)) AS contracted_cost, CASE WHEN charge_kind IN ('reservation', 'hourly_commitment') THEN CAST(0 AS DECIMAL(60,18)) ELSE CAST(contracted_cost AS DECIMAL(60,18)) END AS list_cost
  FROM standing_charge
  WHERE project_id IS NOT NULL
),
cost AS (
  SELECT project_id, account_id, SUM(contracted_cost) AS contracted_cost, SUM(list_cost) AS list_cost
  FROM owed
  GROUP BY project_id, account_id
)
SELECT used.project_id,
       used.project_name,
       used.account_id,
       used.account_name,
       used.status,
       CAST(COALESCE(cost.contracted_cost, CAST(0 AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost,
       CAST(COALESCE(cost.list_cost, CAST(0 AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS list_cost
FROM used
LEFT JOIN cost ON (cost.project_id IS NOT DISTINCT FROM used.project_id) AND (cost.account_id IS NOT DISTINCT FROM used.account_id)
ORDER BY project_id NULLS LAST, account_id NULLS LAST
