-- service_day: what a project's use of a service cost on each date.
--
-- grain   project_id, service, charge_date
-- reads   rated_usage, rate
-- writes  project_id       TEXT
--         service          TEXT not null
--         charge_date      DATE not null
--         contracted_cost  DECIMAL(38,18) not null
SELECT rated_usage.project_id,
       rate.service,
       rated_usage.charge_date,
       CAST(SUM(CAST(rated_usage.contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost
FROM rated_usage
JOIN rate ON rate.rate_id = rated_usage.rate_id
GROUP BY rated_usage.project_id, rate.service, rated_usage.charge_date
ORDER BY project_id NULLS LAST, service, charge_date
