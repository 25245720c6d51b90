-- project_summary: every project that used anything in the period, with what it cost.
--
-- grain   project_id
-- reads   active_series, rated_usage, usage_segment
-- writes  project_id       TEXT
--         project_name     TEXT
--         account_id       TEXT
--         account_name     TEXT
--         status           TEXT not null
--         contracted_cost  DECIMAL(38,18) not null
WITH used AS (
  SELECT DISTINCT active_series.project_id, active_series.project_name, active_series.account_id, active_series.account_name, active_series.status
  FROM active_series
  JOIN usage_segment ON usage_segment.series_id = active_series.series_id
),
cost AS (
  SELECT project_id, SUM(CAST(contracted_cost AS DECIMAL(60,18))) AS contracted_cost
  FROM rated_usage
  GROUP BY project_id
)
SELECT used.project_id,
       used.project_name,
       used.account_id,
       used.account_name,
       used.status,
       CAST(COALESCE(cost.contracted_cost, CAST(0 AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost
FROM used
LEFT JOIN cost ON cost.project_id IS NOT DISTINCT FROM used.project_id
ORDER BY project_id NULLS LAST
