-- service_day: the cost of a project for a service on a date. A charge without usage counts on its first day.
--
-- grain   account_id, project_id, service, charge_date
-- reads   converted_usage, converted_non_usage_charge
-- params  $currency  TEXT   of the seller, ISO 4217
-- writes  account_id       TEXT
--         project_id       TEXT
--         service          TEXT not null
--         charge_date      DATE not null
--         contracted_cost  DECIMAL(38,18) not null
--
-- Costs are in the seller's currency: see converted_usage. A cost without an exchange rate is left out.
WITH charge AS (
  SELECT account_id, project_id, service, charge_date, contracted_cost
  FROM converted_usage
  UNION ALL
  SELECT account_id, project_id, service, charge_date, contracted_cost
  FROM converted_non_usage_charge
)
SELECT account_id,
       project_id,
       service,
       charge_date,
       CAST(COALESCE(SUM(CAST(contracted_cost AS DECIMAL(60,18))), CAST(0 AS DECIMAL(60,18))) AS DECIMAL(38,18))
         AS contracted_cost
FROM charge
GROUP BY account_id, project_id, service, charge_date
ORDER BY account_id NULLS LAST, project_id NULLS LAST, service, charge_date
