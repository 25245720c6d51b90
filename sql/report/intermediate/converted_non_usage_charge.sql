-- converted_non_usage_charge: the charges of a project without usage, in the seller's currency.
--
-- grain   account_id, project_id, service, sku, description, unit, charge_date
-- reads   non_usage_charge, exchange_rate
-- calls   convert_cost
-- params  $currency  TEXT   of the seller, ISO 4217
-- writes  account_id       TEXT not null
--         project_id       TEXT not null
--         service          TEXT not null
--         sku              TEXT not null
--         description      TEXT not null
--         unit             TEXT not null
--         charge_date      DATE not null    first day of the charge
--         quantity         DECIMAL(38,9) not null
--         contracted_cost  DECIMAL(38,18)   null if the price currency has no exchange rate
--         list_cost        DECIMAL(38,18)   zero for commitment discounts: the usage that they cover has it
--
-- Each charge is converted and rounded by itself before it is added, as in converted_usage.
WITH converted AS (
  SELECT non_usage_charge.account_id, non_usage_charge.project_id, non_usage_charge.service, non_usage_charge.sku,
         non_usage_charge.description, non_usage_charge.unit, non_usage_charge.charge_period_start AS charge_date,
         non_usage_charge.charge_kind, non_usage_charge.quantity,
         convert_cost(non_usage_charge.contracted_cost, exchange_rate.multiplier, exchange_rate.divisor)
           AS contracted_cost
  FROM non_usage_charge
  LEFT JOIN exchange_rate ON exchange_rate.price_currency = non_usage_charge.currency
   AND exchange_rate.currency = CAST($currency AS TEXT)
  WHERE non_usage_charge.project_id IS NOT NULL
),
listed AS (
  SELECT *,
         CASE WHEN charge_kind IN ('reservation', 'hourly_commitment') THEN CAST(0 AS DECIMAL(38,18))
              ELSE contracted_cost END AS list_cost
  FROM converted
)
SELECT account_id,
       project_id,
       service,
       sku,
       description,
       unit,
       charge_date,
       CAST(SUM(CAST(quantity AS DECIMAL(50,9))) AS DECIMAL(38,9)) AS quantity,
       CAST(SUM(CAST(contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost,
       CAST(SUM(CAST(list_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS list_cost
FROM listed
GROUP BY account_id, project_id, service, sku, description, unit, charge_date
