-- rated_usage: what each day's usage costs, one row for each price tier it reaches, and for each fee, minimum or maximum.
--
-- grain   series_id, charge_date, segment_start, component, tier_number, charge_kind
-- reads   priced_part, pool_adjustment, priced_series
-- writes  account_id            TEXT                      absent: nobody is known to pay
--         project_id            TEXT
--         series_id             BIGINT UNSIGNED not null
--         charge_date           DATE not null
--         segment_start         TIMESTAMP not null
--         component             TEXT not null
--         rate_id               TEXT not null
--         tier_number           BIGINT not null
--         charge_kind           TEXT not null             usage, flat_fee, minimum or maximum
--         tier_start            DECIMAL(28,9) not null
--         line_by               TEXT not null
--         pricing_quantity      DECIMAL(28,9) not null    zero of a minimum or maximum
--         contracted_unit_price DECIMAL(28,12) not null
--         unit_price_per        DECIMAL(28,9) not null    the unit price is for so many priced units
--         contracted_cost       DECIMAL(38,18) not null   unrounded; rounded once, in invoice_line
WITH charge AS (
  SELECT series_id, charge_date, segment_start, component, tier_number, charge_kind, priced_number, tier_start,
         pricing_quantity, contracted_unit_price, unit_price_per, contracted_cost
  FROM priced_part
  UNION ALL
  SELECT series_id, charge_date, segment_start, component, CAST(0 AS BIGINT), charge_kind, priced_number, CAST(0 AS DECIMAL(28,9)),
         CAST(0 AS DECIMAL(28,9)), CAST(0 AS DECIMAL(28,12)), CAST(1 AS DECIMAL(28,9)), contracted_cost
  FROM pool_adjustment
)
SELECT priced_series.account_id,
       priced_series.project_id,
       charge.series_id,
       charge.charge_date,
       charge.segment_start,
       charge.component,
       priced_series.rate_id,
       charge.tier_number,
       charge.charge_kind,
       charge.tier_start,
       priced_series.line_by,
       charge.pricing_quantity,
       charge.contracted_unit_price,
       charge.unit_price_per,
       charge.contracted_cost
FROM charge
JOIN priced_series ON priced_series.priced_number = charge.priced_number
ORDER BY series_id, charge_date, segment_start, component, tier_number, charge_kind
