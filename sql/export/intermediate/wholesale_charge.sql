-- wholesale_charge: a charge without usage that a reseller owes for a customer's project, in the reseller's currency.
--
-- grain   sold_by, project_id, sku, line_by, charge_date, currency
-- reads   non_usage_charge, reseller_currency, exchange_rate
-- calls   convert_cost
-- params  $currency  TEXT   of the seller, ISO 4217
-- writes  sold_by          TEXT not null    account of the reseller
--         project_id       TEXT not null
--         sku              TEXT not null
--         line_by          TEXT not null
--         charge_date      DATE not null    first day of the charge
--         currency         TEXT not null    of the reseller
--         contracted_cost  DECIMAL(38,18)   null if a price currency has no exchange rate
WITH converted AS (
  SELECT non_usage_charge.account_id AS sold_by, non_usage_charge.project_id, non_usage_charge.sku,
         non_usage_charge.line_by, non_usage_charge.charge_period_start AS charge_date, reseller_currency.currency,
         convert_cost(non_usage_charge.contracted_cost, exchange_rate.multiplier, exchange_rate.divisor)
           AS contracted_cost
  FROM non_usage_charge
  JOIN reseller_currency ON reseller_currency.sold_by = non_usage_charge.account_id
  LEFT JOIN exchange_rate ON exchange_rate.price_currency = non_usage_charge.currency
   AND exchange_rate.currency = reseller_currency.currency
  WHERE non_usage_charge.project_id IS NOT NULL
)
SELECT sold_by,
       project_id,
       sku,
       line_by,
       charge_date,
       currency,
       CASE WHEN COUNT(*) = COUNT(contracted_cost)
            THEN CAST(SUM(CAST(contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) END AS contracted_cost
FROM converted
GROUP BY sold_by, project_id, sku, line_by, charge_date, currency
