-- converted_usage: a row of rated_usage with its costs in the seller's currency.
--
-- grain   series_id, charge_date, segment_start, component, tier_number, charge_kind
-- reads   rated_usage, rate, exchange_rate
-- calls   convert_cost
-- params  $currency  TEXT   of the seller, ISO 4217
-- writes  series_id         BIGINT UNSIGNED not null
--         charge_date       DATE not null
--         segment_start     TIMESTAMP not null
--         component         TEXT not null
--         tier_number       BIGINT not null
--         charge_kind       TEXT not null
--         account_id        TEXT
--         project_id        TEXT
--         service           TEXT not null
--         sku               TEXT not null
--         description       TEXT not null
--         unit              TEXT not null
--         pricing_quantity  DECIMAL(38,9) not null
--         contracted_cost   DECIMAL(38,18)   null if the price currency has no exchange rate
--         list_cost         DECIMAL(38,18)   at the prices of the public card; null under the same condition
--
-- Each row is converted and rounded by itself before any sum. Sums by service, sku, resource and project therefore
-- agree with each other.
SELECT rated_usage.series_id,
       rated_usage.charge_date,
       rated_usage.segment_start,
       rated_usage.component,
       rated_usage.tier_number,
       rated_usage.charge_kind,
       rated_usage.account_id,
       rated_usage.project_id,
       rate.service,
       rate.sku,
       rate.description,
       rate.pricing_unit AS unit,
       rated_usage.pricing_quantity,
       convert_cost(rated_usage.contracted_cost, exchange_rate.multiplier, exchange_rate.divisor) AS contracted_cost,
       convert_cost(rated_usage.list_cost, exchange_rate.multiplier, exchange_rate.divisor) AS list_cost
FROM rated_usage
JOIN rate ON rate.rate_id = rated_usage.rate_id
LEFT JOIN exchange_rate ON exchange_rate.price_currency = rate.currency
 AND exchange_rate.currency = CAST($currency AS TEXT)
