-- rated_usage: what each day's usage costs, one row for each price tier it reaches, and for each fee, minimum or maximum.
--
-- grain   series_id, charge_date, segment_start, component, tier_number, charge_kind
-- reads   priced_part, pool_adjustment, priced_series, covered_part, list_share
-- writes  account_id            TEXT                      absent: nobody is known to pay
--         project_id            TEXT
--         series_id             BIGINT UNSIGNED not null
--         charge_date           DATE not null
--         segment_start         TIMESTAMP not null
--         component             TEXT not null
--         rate_id               TEXT not null
--         tier_number           BIGINT not null
--         charge_kind           TEXT not null             usage, flat_fee, minimum, maximum, or reserved: covered, and paid for otherwise
--         tier_start            DECIMAL(28,9) not null
--         line_by               TEXT not null
--         pricing_quantity      DECIMAL(28,9) not null    zero of a minimum or maximum
--         contracted_unit_price DECIMAL(28,12) not null   in the currency of the rate, as all costs
--         unit_price_per        DECIMAL(28,9) not null    the unit price is for so many priced units
--         contracted_cost       DECIMAL(38,18) not null   unrounded; rounded once, in invoice_line
--         list_unit_price       DECIMAL(28,12)            by the public card; absent: not one price, or one of another unit
--         list_cost             DECIMAL(38,18) not null   what the same usage would cost by the public card; unrounded
--
-- Whoever has the public card alone and holds nothing pays what is listed. What the public card does not price, or not in
-- the same currency, is listed at its own price.
-- What is covered costs nothing, since what it was bought for is a standing charge; on the public card it costs what all usage costs.
WITH charge AS (
  SELECT series_id, charge_date, segment_start, component, tier_number, charge_kind, priced_number, tier_start,
         pricing_quantity, contracted_unit_price, unit_price_per, contracted_cost
  FROM priced_part
  UNION ALL
  SELECT series_id, charge_date, segment_start, component, CAST(0 AS BIGINT), charge_kind, priced_number, CAST(0 AS DECIMAL(28,9)),
         CAST(0 AS DECIMAL(28,9)), CAST(0 AS DECIMAL(28,12)), CAST(1 AS DECIMAL(28,9)), contracted_cost
  FROM pool_adjustment
  UNION ALL
  SELECT series_id, charge_date, segment_start, 'base', CAST(0 AS BIGINT), 'reserved', priced_number,
         CAST(0 AS DECIMAL(28,9)), pricing_quantity, CAST(0 AS DECIMAL(28,12)), CAST(1 AS DECIMAL(28,9)), CAST(0 AS DECIMAL(38,18))
  FROM covered_part
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
       charge.contracted_cost,
       CASE WHEN list_share.priced_number IS NULL THEN charge.contracted_unit_price ELSE list_share.list_unit_price END AS list_unit_price,
       COALESCE(list_share.list_cost, charge.contracted_cost) AS list_cost
FROM charge
JOIN priced_series ON priced_series.priced_number = charge.priced_number
LEFT JOIN list_share ON list_share.priced_number = charge.priced_number AND list_share.charge_date = charge.charge_date
 AND list_share.tier_number = charge.tier_number AND list_share.charge_kind = charge.charge_kind
ORDER BY series_id, charge_date, segment_start, component, tier_number, charge_kind
