-- project_summary: the cost of a project with usage or charges in the period, for each account that pays for it.
--
-- grain   project_id, account_id
-- reads   active_series, usage_segment, non_usage_charge, converted_usage, converted_non_usage_charge
-- params  $currency  TEXT   of the seller, ISO 4217
-- writes  project_id       TEXT                      null for usage without a project
--         project_name     TEXT
--         account_id       TEXT
--         account_name     TEXT
--         status           TEXT not null             invoiced, internal, retail or unattributed
--         contracted_cost  DECIMAL(38,18) not null
--         list_cost        DECIMAL(38,18) not null   at the prices of the public card
--
-- Costs are in the seller's currency: see converted_usage. A cost without an exchange rate is left out.
WITH known AS (
  SELECT active_series.project_id, active_series.project_name, active_series.account_id, active_series.account_name,
         active_series.status, 0 AS position
  FROM active_series
  WHERE active_series.series_id IN (SELECT usage_segment.series_id FROM usage_segment)
  UNION
  SELECT project_id, project_name, account_id, account_name, status, 1
  FROM non_usage_charge
  WHERE project_id IS NOT NULL
),
ranked AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY project_id, account_id ORDER BY position, account_name NULLS FIRST,
                               project_name, status) AS project_rank
  FROM known
),
used AS (
  SELECT project_id, project_name, account_id, account_name, status
  FROM ranked
  WHERE project_rank = 1
),
rated AS (
  SELECT series_id,
         SUM(CAST(contracted_cost AS DECIMAL(60,18))) AS contracted_cost,
         SUM(CAST(list_cost AS DECIMAL(60,18))) AS list_cost
  FROM converted_usage
  GROUP BY series_id
),
owed AS (
  SELECT active_series.project_id, active_series.account_id, rated.contracted_cost, rated.list_cost
  FROM rated
  JOIN active_series ON active_series.series_id = rated.series_id
  UNION ALL
  SELECT project_id, account_id, CAST(contracted_cost AS DECIMAL(60,18)), CAST(list_cost AS DECIMAL(60,18))
  FROM converted_non_usage_charge
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
LEFT JOIN cost ON (cost.project_id IS NOT DISTINCT FROM used.project_id)
 AND (cost.account_id IS NOT DISTINCT FROM used.account_id)
ORDER BY project_id NULLS LAST, account_id NULLS LAST
