-- service_day: what a project's use of a service cost on each date. A standing charge stands on its first day.
--
-- grain   account_id, project_id, service, charge_date
-- reads   rated_usage, rate, non_usage_charge, exchange_rate
-- params  $currency TEXT                    of the seller, ISO 4217
-- writes  account_id       TEXT
--         project_id       TEXT
--         service          TEXT not null
--         charge_date      DATE not null
--         contracted_cost  DECIMAL(38,18) not null
--
-- Costs are in the seller's currency, at the rates of the period. Each charge is converted and rounded by itself before anything is
-- added, so that whatever a project's charges are summed by adds up to the same. Of prices in a currency without a rate there is none.
WITH charge AS (
  SELECT rated_usage.account_id, rated_usage.project_id, rate.service, rated_usage.charge_date, rate.currency, rated_usage.contracted_cost
  FROM rated_usage
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  UNION ALL
  SELECT account_id, project_id, service, charge_period_start, currency, contracted_cost
  FROM non_usage_charge
  WHERE project_id IS NOT NULL
),
exchanged AS (
  SELECT charge.account_id, charge.project_id, charge.service, charge.charge_date,
         CASE WHEN exchange_rate.multiplier = exchange_rate.divisor THEN CAST(charge.contracted_cost AS DECIMAL(60,18)) ELSE CAST(CAST(charge.contracted_cost AS DECIMAL(44,18)) * CAST(exchange_rate.multiplier AS DECIMAL(40,12)) / CAST(exchange_rate.divisor AS DECIMAL(40,12)) AS DECIMAL(60,18)) END AS contracted_cost
  FROM charge
  LEFT JOIN exchange_rate ON exchange_rate.price_currency = charge.currency AND exchange_rate.currency = CAST($currency AS TEXT)
)
SELECT account_id,
       project_id,
       service,
       charge_date,
       CAST(COALESCE(SUM(contracted_cost), CAST(0 AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost
FROM exchanged
GROUP BY account_id, project_id, service, charge_date
ORDER BY account_id NULLS LAST, project_id NULLS LAST, service, charge_date
