-- list_price: the cost of the usage of an account with its own prices, at the prices of the public card alone.
--
-- grain   series_id, charge_date, segment_start, component, tier_number, charge_kind
-- reads   priced_part, pool_adjustment, priced_series, rate
-- writes  series_id         BIGINT UNSIGNED not null
--         charge_date       DATE not null
--         segment_start     TIMESTAMP not null
--         component         TEXT not null
--         tier_number       BIGINT not null
--         charge_kind       TEXT not null
--         pricing_quantity  DECIMAL(38,9) not null    zero for a minimum or maximum
--         list_unit_price   DECIMAL(28,12) not null
--         unit_price_per    DECIMAL(28,9) not null
--         pricing_unit      TEXT not null
--         pricing_divisor   DECIMAL(28,9) not null
--         currency          TEXT not null
--         list_cost         DECIMAL(38,18) not null   unrounded
--
-- The relation contains accounts with their own rate cards or commitment discounts. All their usage is priced again
-- without these, in separate pools. A tier of the public card is therefore reached by the account's total usage, not by
-- the rest that its other prices leave.
WITH charge AS (
  SELECT series_id, charge_date, segment_start, component, tier_number, charge_kind, priced_number,
         pricing_quantity, contracted_unit_price, unit_price_per, contracted_cost
  FROM priced_part
  UNION ALL
  SELECT series_id, charge_date, segment_start, component, CAST(0 AS BIGINT), charge_kind, priced_number,
         CAST(0 AS DECIMAL(38,9)), CAST(0 AS DECIMAL(28,12)), CAST(1 AS DECIMAL(28,9)), contracted_cost
  FROM pool_adjustment
)
SELECT charge.series_id,
       charge.charge_date,
       charge.segment_start,
       charge.component,
       charge.tier_number,
       charge.charge_kind,
       charge.pricing_quantity,
       charge.contracted_unit_price AS list_unit_price,
       charge.unit_price_per,
       rate.pricing_unit,
       rate.pricing_divisor,
       rate.currency,
       charge.contracted_cost AS list_cost
FROM charge
JOIN priced_series ON priced_series.priced_number = charge.priced_number
JOIN rate ON rate.rate_id = priced_series.rate_id
ORDER BY series_id, charge_date, segment_start, component, tier_number, charge_kind
