-- rated_usage: the cost of a day's usage, one row for each price tier, fee, minimum and maximum.
--
-- grain   series_id, charge_date, segment_start, component, tier_number, charge_kind
-- reads   priced_part, pool_adjustment, priced_series, covered_part, list_share
-- writes  account_id             TEXT                      null if no account is known to pay
--         project_id             TEXT
--         series_id              BIGINT UNSIGNED not null
--         charge_date            DATE not null
--         segment_start          TIMESTAMP not null
--         component              TEXT not null
--         rate_id                TEXT not null
--         tier_number            BIGINT not null
--         charge_kind            TEXT not null             usage, flat_fee, minimum, maximum, or reserved for usage
--                                                          that a commitment discount covers
--         tier_start             DECIMAL(28,9) not null
--         line_by                TEXT not null
--         pricing_quantity       DECIMAL(38,9) not null    zero for a minimum or maximum
--         contracted_unit_price  DECIMAL(28,12) not null   in the currency of the rate, as all costs of this relation
--         unit_price_per         DECIMAL(28,9) not null    number of priced units that the unit price is for
--         contracted_cost        DECIMAL(38,18) not null   unrounded; only invoice_line rounds it
--         list_unit_price        DECIMAL(28,12)            on the public card; null if there are several prices, or
--                                                          prices for another unit
--         list_cost              DECIMAL(38,18) not null   unrounded cost of the same usage at the prices of the public
--                                                          card
--
-- An account that has only the public card and no commitment discount pays list prices. If the public card has no price
-- in the same currency, the list price is the account's own price.
--
-- Covered usage costs nothing, because the commitment discount is a non_usage_charge. Its list cost is that of any
-- other usage.
WITH charge AS (
  SELECT series_id, charge_date, segment_start, component, tier_number, charge_kind, priced_number, tier_start,
         pricing_quantity, contracted_unit_price, unit_price_per, contracted_cost
  FROM priced_part
  UNION ALL
  SELECT series_id, charge_date, segment_start, component, CAST(0 AS BIGINT), charge_kind, priced_number,
         CAST(0 AS DECIMAL(28,9)),
         CAST(0 AS DECIMAL(38,9)), CAST(0 AS DECIMAL(28,12)), CAST(1 AS DECIMAL(28,9)), contracted_cost
  FROM pool_adjustment
  UNION ALL
  SELECT series_id, charge_date, segment_start, 'base', CAST(0 AS BIGINT), 'reserved', priced_number,
         CAST(0 AS DECIMAL(28,9)), pricing_quantity, CAST(0 AS DECIMAL(28,12)), CAST(1 AS DECIMAL(28,9)),
         CAST(0 AS DECIMAL(38,18))
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
       CASE WHEN list_share.priced_number IS NULL THEN charge.contracted_unit_price
            ELSE list_share.list_unit_price END AS list_unit_price,
       COALESCE(list_share.list_cost, charge.contracted_cost) AS list_cost
FROM priced_series
JOIN charge ON charge.priced_number = priced_series.priced_number
LEFT JOIN list_share ON list_share.priced_number = charge.priced_number AND list_share.charge_date = charge.charge_date
 AND list_share.tier_number = charge.tier_number AND list_share.charge_kind = charge.charge_kind
ORDER BY series_id, charge_date, segment_start, component, tier_number, charge_kind
