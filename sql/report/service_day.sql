-- service_day: what a project's use of a service cost on each date. A standing charge stands on its first day.
--
-- grain   account_id, project_id, service, charge_date
-- reads   rated_usage, rate, standing_charge
-- writes  account_id       TEXT
--         project_id       TEXT
--         service          TEXT not null
--         charge_date      DATE not null
--         contracted_cost  DECIMAL(38,18) not null
WITH charge AS (
  SELECT rated_usage.account_id, rated_usage.project_id, rate.service, rated_usage.charge_date, rated_usage.contracted_cost
  FROM rated_usage
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  UNION ALL
  SELECT account_id, project_id, service, charge_period_start, contracted_cost
  FROM standing_charge
  WHERE project_id IS NOT NULL
)
SELECT account_id,
       project_id,
       service,
       charge_date,
       CAST(SUM(CAST(contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost
FROM charge
GROUP BY account_id, project_id, service, charge_date
ORDER BY account_id NULLS LAST, project_id NULLS LAST, service, charge_date
