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
charge AS (
  SELECT charge_period_start, account_id, account_name, project_id, resource_id, service, sku, unit, line_by, currency,
         MAX(status) AS status,
         CAST(SUM(CAST(quantity AS DECIMAL(50,9))) AS DECIMAL(38,9)) AS quantity,
         CAST(SUM(CAST(contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost,
         CAST(SUM(CASE WHEN charge_kind IN ('reservation', 'hourly_commitment') THEN CAST(0 AS DECIMAL(60,18))
                       ELSE CAST(contracted_cost AS DECIMAL(60,18)) END) AS DECIMAL(38,18)) AS list_cost
  FROM non_usage_charge
  GROUP BY charge_period_start, account_id, account_name, project_id, resource_id, service, sku, unit, line_by, currency
)
SELECT charge.charge_period_start AS charge_date,
       charge.account_id,
       charge.project_id,
       charge.resource_id,
       '' AS meter,
       charge.service,
       charge.sku,
       charge.quantity AS consumed_quantity,
       charge.unit AS consumed_unit,
       charge.quantity AS pricing_quantity,
       charge.unit AS pricing_unit,
       charge.contracted_cost AS cost,
       charge.list_cost,
       charge.currency,
       CASE WHEN suspended.account_id IS NOT NULL AND charge.status IN ('invoiced', 'retail') THEN 'suspended'
            ELSE charge.status END AS status,
       charge.line_by AS dimensions,
       '' AS labels
FROM charge
LEFT JOIN suspended ON suspended.account_id = charge.account_id
 AND suspended.account_name IS NOT DISTINCT FROM charge.account_name
ORDER BY charge.account_id, charge_date, charge.project_id NULLS FIRST, charge.resource_id, charge.service,
         charge.sku, dimensions, pricing_unit, charge.currency
