-- non_usage_charges: a row of usage.csv for a charge without usage, on its first day and without a meter.
--
-- grain   account_id, charge_date, project_id, resource_id, service, sku, dimensions, pricing_unit, currency
-- reads   non_usage_charge, suspended_account
-- writes  charge_date        DATE not null
--         account_id         TEXT not null
--         project_id         TEXT
--         resource_id        TEXT not null
--         meter              TEXT not null             empty
--         service            TEXT not null
--         sku                TEXT not null
--         consumed_quantity  DECIMAL(38,9) not null
--         consumed_unit      TEXT not null
--         pricing_quantity   DECIMAL(38,9) not null
--         pricing_unit       TEXT not null
--         cost               DECIMAL(38,18) not null   unrounded
--         list_cost          DECIMAL(38,18) not null   equal to cost; zero for commitment discounts, whose usage has
--                                                      the list cost
--         currency           TEXT not null             of the price
--         status             TEXT not null             invoiced, retail, suspended, internal
--         dimensions         TEXT not null
--         labels             TEXT not null
WITH suspended AS (
  SELECT DISTINCT account_id, account_name
  FROM suspended_account
),
standing AS (
  SELECT charge_period_start, account_id, account_name, project_id, resource_id, service, sku, unit, line_by, currency,
         MAX(status) AS status,
         CAST(SUM(CAST(quantity AS DECIMAL(50,9))) AS DECIMAL(38,9)) AS quantity,
         CAST(SUM(CAST(contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost,
         CAST(SUM(CASE WHEN charge_kind IN ('reservation', 'hourly_commitment') THEN CAST(0 AS DECIMAL(60,18))
                       ELSE CAST(contracted_cost AS DECIMAL(60,18)) END) AS DECIMAL(38,18)) AS list_cost
  FROM non_usage_charge
  GROUP BY charge_period_start, account_id, account_name, project_id, resource_id, service, sku, unit, line_by, currency
)
SELECT standing.charge_period_start AS charge_date,
       standing.account_id,
       standing.project_id,
       standing.resource_id,
       '' AS meter,
       standing.service,
       standing.sku,
       standing.quantity AS consumed_quantity,
       standing.unit AS consumed_unit,
       standing.quantity AS pricing_quantity,
       standing.unit AS pricing_unit,
       standing.contracted_cost AS cost,
       standing.list_cost,
       standing.currency,
       CASE WHEN suspended.account_id IS NOT NULL AND standing.status IN ('invoiced', 'retail') THEN 'suspended'
            ELSE standing.status END AS status,
       standing.line_by AS dimensions,
       '' AS labels
FROM standing
LEFT JOIN suspended ON suspended.account_id = standing.account_id
 AND suspended.account_name IS NOT DISTINCT FROM standing.account_name
ORDER BY standing.account_id, charge_date, standing.project_id NULLS FIRST, standing.resource_id, standing.service,
         standing.sku, dimensions, pricing_unit, standing.currency
