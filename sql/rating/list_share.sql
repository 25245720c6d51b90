-- list_share: the list cost of each row that is priced by an account's own card or covered.
--
-- grain   priced_number, charge_date, tier_number, charge_kind
-- reads   priced_part, pool_adjustment, covered_part, priced_series, rate, list_price
-- writes  priced_number    BIGINT not null
--         charge_date      DATE not null
--         tier_number      BIGINT not null
--         charge_kind      TEXT not null
--         list_unit_price  DECIMAL(28,12)   null if there are several prices, or prices for another unit
--         list_cost        DECIMAL(38,18) not null
--
-- Each card splits the daily usage of a resource into its own tiers. The statement aligns both splits from the first
-- unit of the day to the last. A row gets the list cost of the stretch that it covers. If both cards have the same
-- tiers, that is the list price of the tier.
--
-- Covered usage comes first, because the public card has no coverage. If the total quantities differ, by rounding or
-- unit, the list quantities are scaled to the account's own total. Within a tier the list cost is shared as the
-- difference of two running quotients, the last of which is the whole cost. The negative usage of a day is aligned in
-- the same way, from zero downwards.
--
-- A list flat fee, minimum or maximum is assigned to the row of the same kind, or else to the first row of the day. Two
-- kinds of components have no row: those without an own price, and those with a list price in another currency. Their
-- list price is their own price.
WITH charge AS (
  SELECT series_id, charge_date, segment_start, component, tier_number, charge_kind, priced_number, pricing_quantity,
         unit_price_per
  FROM priced_part
  UNION ALL
  SELECT series_id, charge_date, segment_start, component, CAST(0 AS BIGINT), charge_kind, priced_number,
         CAST(0 AS DECIMAL(38,9)), CAST(1 AS DECIMAL(28,9))
  FROM pool_adjustment
  UNION ALL
  SELECT series_id, charge_date, segment_start, 'base', CAST(0 AS BIGINT), 'reserved', priced_number, pricing_quantity,
         CAST(1 AS DECIMAL(28,9))
  FROM covered_part
),
listed AS (
  SELECT DISTINCT list_price.series_id, list_price.charge_date, list_price.segment_start, list_price.component
  FROM list_price
  JOIN priced_series ON priced_series.series_id = list_price.series_id
   AND priced_series.segment_start = list_price.segment_start
   AND priced_series.component = list_price.component
  JOIN rate ON rate.rate_id = priced_series.rate_id AND rate.currency = list_price.currency
),
own AS (
  SELECT charge.*,
         ROW_NUMBER() OVER (
           PARTITION BY charge.series_id, charge.charge_date, charge.segment_start, charge.component
           ORDER BY CASE charge.charge_kind WHEN 'reserved' THEN 0 WHEN 'usage' THEN 0 WHEN 'flat_fee' THEN 1
                                            ELSE 2 END, charge.tier_number, charge.charge_kind
         ) AS row_number,
         ROW_NUMBER() OVER (
           PARTITION BY charge.series_id, charge.charge_date, charge.segment_start, charge.component, charge.charge_kind
           ORDER BY charge.tier_number
         ) AS kind_number
  FROM charge
  JOIN listed ON listed.series_id = charge.series_id AND listed.charge_date = charge.charge_date
   AND listed.segment_start = charge.segment_start AND listed.component = charge.component
),
own_stretch AS (
  SELECT own.*, rate.pricing_unit, rate.pricing_divisor,
         CAST(SUM(CAST(own.pricing_quantity AS DECIMAL(60,9))) OVER (
           PARTITION BY own.series_id, own.charge_date, own.segment_start, own.component ORDER BY own.tier_number,
                        own.charge_kind
           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
         ) AS DECIMAL(38,9)) AS quantity_after,
         CAST(SUM(CAST(own.pricing_quantity AS DECIMAL(60,9))) OVER (
           PARTITION BY own.series_id, own.charge_date, own.segment_start, own.component
         ) AS DECIMAL(38,9)) AS quantity_total
  FROM own
  JOIN priced_series ON priced_series.priced_number = own.priced_number
  JOIN rate ON rate.rate_id = priced_series.rate_id
  WHERE own.charge_kind IN ('reserved', 'usage')
),
list_stretch AS (
  SELECT *,
         CAST(SUM(CAST(pricing_quantity AS DECIMAL(60,9))) OVER (
           PARTITION BY series_id, charge_date, segment_start, component ORDER BY tier_number
           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
         ) AS DECIMAL(38,9)) AS quantity_after,
         CAST(SUM(CAST(pricing_quantity AS DECIMAL(60,9))) OVER (
           PARTITION BY series_id, charge_date, segment_start, component
         ) AS DECIMAL(38,9)) AS quantity_total
  FROM list_price
  WHERE charge_kind = 'usage'
),
met AS (
  SELECT own_stretch.priced_number, own_stretch.charge_date, own_stretch.tier_number, own_stretch.charge_kind,
         list_stretch.list_cost,
         CASE WHEN list_stretch.pricing_unit = own_stretch.pricing_unit
               AND list_stretch.pricing_divisor = own_stretch.pricing_divisor
               AND list_stretch.unit_price_per = own_stretch.unit_price_per
              THEN list_stretch.list_unit_price END AS list_unit_price,
         own_stretch.quantity_total = 0 OR list_stretch.quantity_total = 0 AS is_empty,
         own_stretch.row_number = 1 AS is_first,
         own_stretch.quantity_total < 0 AS is_falling,
         CAST(own_stretch.quantity_after - own_stretch.pricing_quantity AS DECIMAL(46,18)) AS own_from,
         CAST(own_stretch.quantity_after AS DECIMAL(46,18)) AS own_to,
         CAST(CASE WHEN own_stretch.quantity_total = list_stretch.quantity_total OR list_stretch.quantity_total = 0
                   THEN CAST(list_stretch.quantity_after - list_stretch.pricing_quantity AS DECIMAL(46,18))
                   ELSE CAST(CAST(list_stretch.quantity_after - list_stretch.pricing_quantity AS DECIMAL(40,9))
                              * CAST(own_stretch.quantity_total AS DECIMAL(40,9))
                      / list_stretch.quantity_total AS DECIMAL(46,18)) END AS DECIMAL(46,18)) AS list_from,
         CAST(CASE WHEN own_stretch.quantity_total = list_stretch.quantity_total OR list_stretch.quantity_total = 0
                   THEN CAST(list_stretch.quantity_after AS DECIMAL(46,18))
                   ELSE CAST(CAST(list_stretch.quantity_after AS DECIMAL(40,9))
                              * CAST(own_stretch.quantity_total AS DECIMAL(40,9))
                      / list_stretch.quantity_total AS DECIMAL(46,18)) END AS DECIMAL(46,18)) AS list_to
  FROM own_stretch
  JOIN list_stretch ON list_stretch.series_id = own_stretch.series_id
   AND list_stretch.charge_date = own_stretch.charge_date
   AND list_stretch.segment_start = own_stretch.segment_start AND list_stretch.component = own_stretch.component
),
beside AS (
  SELECT *,
         CASE WHEN is_falling THEN LEAST(own_from, list_from) ELSE GREATEST(own_from, list_from) END AS met_from,
         CASE WHEN is_falling THEN GREATEST(own_to, list_to) ELSE LEAST(own_to, list_to) END AS met_to
  FROM met
),
share AS (
  SELECT priced_number, charge_date, tier_number, charge_kind, list_unit_price,
         CAST(CAST(list_cost AS DECIMAL(40,18))
               * CAST(CAST(met_to - list_from AS DECIMAL(66,36)) / (list_to - list_from) AS DECIMAL(38,36))
                 AS DECIMAL(38,18))
           - CAST(CAST(list_cost AS DECIMAL(40,18))
                   * CAST(CAST(met_from - list_from AS DECIMAL(66,36)) / (list_to - list_from) AS DECIMAL(38,36))
                     AS DECIMAL(38,18)) AS list_cost
  FROM beside
  WHERE NOT is_empty AND CASE WHEN is_falling THEN met_to < met_from ELSE met_to > met_from END
  UNION ALL
  SELECT priced_number, charge_date, tier_number, charge_kind, list_unit_price, list_cost
  FROM beside
  WHERE (is_empty OR list_to = list_from) AND is_first
  UNION ALL
  SELECT own.priced_number, own.charge_date, own.tier_number, own.charge_kind,
         CASE WHEN own.charge_kind = list_price.charge_kind THEN list_price.list_unit_price END, list_price.list_cost
  FROM list_price
  JOIN own ON own.series_id = list_price.series_id AND own.charge_date = list_price.charge_date
   AND own.segment_start = list_price.segment_start AND own.component = list_price.component
  LEFT JOIN (SELECT DISTINCT series_id, charge_date, segment_start, component, charge_kind FROM own) AS alike
    ON alike.series_id = list_price.series_id AND alike.charge_date = list_price.charge_date
   AND alike.segment_start = list_price.segment_start AND alike.component = list_price.component
   AND alike.charge_kind = list_price.charge_kind
  WHERE list_price.charge_kind <> 'usage'
    AND CASE WHEN alike.series_id IS NULL THEN own.row_number = 1
             ELSE own.charge_kind = list_price.charge_kind AND own.kind_number = 1 END
),
shared AS (
  SELECT priced_number, charge_date, tier_number, charge_kind,
         CASE WHEN COUNT(*) = COUNT(list_unit_price) AND MIN(list_unit_price) = MAX(list_unit_price)
              THEN MIN(list_unit_price) END AS list_unit_price,
         CAST(SUM(CAST(list_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS list_cost
  FROM share
  GROUP BY priced_number, charge_date, tier_number, charge_kind
)
SELECT own.priced_number,
       own.charge_date,
       own.tier_number,
       own.charge_kind,
       shared.list_unit_price,
       COALESCE(shared.list_cost, CAST(0 AS DECIMAL(38,18))) AS list_cost
FROM own
LEFT JOIN shared ON shared.priced_number = own.priced_number AND shared.charge_date = own.charge_date
 AND shared.tier_number = own.tier_number AND shared.charge_kind = own.charge_kind
ORDER BY priced_number, charge_date, tier_number, charge_kind
