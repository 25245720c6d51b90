-- sku_cost: the quantity and cost of a sku in a project, including charges without usage.
--
-- grain   account_id, project_id, service, sku, description, unit
-- reads   converted_usage, converted_non_usage_charge
-- params  $currency  TEXT   of the seller, ISO 4217
-- writes  account_id       TEXT
--         project_id       TEXT
--         service          TEXT not null
--         sku              TEXT not null
--         description      TEXT not null
--         unit             TEXT not null
--         quantity         DECIMAL(38,9) not null
--         contracted_cost  DECIMAL(38,18) not null
--         list_cost        DECIMAL(38,18) not null   at the prices of the public card
--
-- Costs are in the seller's currency: see converted_usage. A cost without an exchange rate is left out.
WITH charge AS (
  SELECT account_id, project_id, service, sku, description, unit, pricing_quantity AS quantity, contracted_cost,
         list_cost
  FROM converted_usage
  UNION ALL
  SELECT account_id, project_id, service, sku, description, unit, quantity, contracted_cost, list_cost
  FROM converted_non_usage_charge
)
SELECT account_id,
       project_id,
       service,
       sku,
       description,
       unit,
       CAST(SUM(CAST(quantity AS DECIMAL(50,9))) AS DECIMAL(38,9)) AS quantity,
       CAST(COALESCE(SUM(CAST(contracted_cost AS DECIMAL(60,18))), CAST(0 AS DECIMAL(60,18))) AS DECIMAL(38,18))
         AS contracted_cost,
       CAST(COALESCE(SUM(CAST(list_cost AS DECIMAL(60,18))), CAST(0 AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS list_cost
FROM charge
GROUP BY account_id, project_id, service, sku, description, unit
ORDER BY account_id NULLS LAST, project_id NULLS LAST, service, sku, description, unit
