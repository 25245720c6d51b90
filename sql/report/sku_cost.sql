-- sku_cost: what a project used and paid of each sku, with its standing charges.
--
-- grain   account_id, project_id, service, sku, description, unit
-- reads   rated_usage, rate, non_usage_charge, exchange_rate
-- params  $currency TEXT                    of the seller, ISO 4217
-- writes  account_id       TEXT
--         project_id       TEXT
--         service          TEXT not null
--         sku              TEXT not null
--         description      TEXT not null
--         unit             TEXT not null
--         quantity         DECIMAL(28,9) not null
--         contracted_cost  DECIMAL(38,18) not null
--         list_cost        DECIMAL(38,18) not null   by the public card
--
-- Costs are in the seller's currency, at the rates of the period. Each charge is converted and rounded by itself before anything is
-- added, so that whatever a project's charges are summed by adds up to the same. Of prices in a currency without a rate there is none.
WITH charge AS (
  SELECT rated_usage.account_id, rated_usage.project_id, rate.service, rate.sku, rate.description, rate.pricing_unit AS unit, rate.currency, rated_usage.pricing_quantity, rated_usage.contracted_cost, rated_usage.list_cost
  FROM rated_usage
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  UNION ALL
  SELECT account_id, project_id, service, sku, description, unit, currency, quantity, contracted_cost,
         CASE WHEN charge_kind IN ('reservation', 'hourly_commitment') THEN CAST(0 AS DECIMAL(38,18)) ELSE contracted_cost END AS list_cost
  FROM non_usage_charge
  WHERE project_id IS NOT NULL
),
exchanged AS (
  SELECT charge.account_id, charge.project_id, charge.service, charge.sku, charge.description, charge.unit, charge.pricing_quantity,
         CASE WHEN exchange_rate.multiplier = exchange_rate.divisor THEN CAST(charge.contracted_cost AS DECIMAL(60,18)) ELSE CAST(CAST(charge.contracted_cost AS DECIMAL(44,18)) * CAST(exchange_rate.multiplier AS DECIMAL(40,12)) / CAST(exchange_rate.divisor AS DECIMAL(40,12)) AS DECIMAL(60,18)) END AS contracted_cost,
         CASE WHEN exchange_rate.multiplier = exchange_rate.divisor THEN CAST(charge.list_cost AS DECIMAL(60,18)) ELSE CAST(CAST(charge.list_cost AS DECIMAL(44,18)) * CAST(exchange_rate.multiplier AS DECIMAL(40,12)) / CAST(exchange_rate.divisor AS DECIMAL(40,12)) AS DECIMAL(60,18)) END AS list_cost
  FROM charge
  LEFT JOIN exchange_rate ON exchange_rate.price_currency = charge.currency AND exchange_rate.currency = CAST($currency AS TEXT)
)
SELECT account_id,
       project_id,
       service,
       sku,
       description,
       unit,
       CAST(SUM(CAST(pricing_quantity AS DECIMAL(50,9))) AS DECIMAL(28,9)) AS quantity,
       CAST(COALESCE(SUM(contracted_cost), CAST(0 AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost,
       CAST(COALESCE(SUM(list_cost), CAST(0 AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS list_cost
FROM exchanged
GROUP BY account_id, project_id, service, sku, description, unit
ORDER BY account_id NULLS LAST, project_id NULLS LAST, service, sku, description, unit
