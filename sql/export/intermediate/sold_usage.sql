-- sold_usage: a rated row of a reseller's customer with its share of the wholesale cost of the same usage.
--
-- grain   series_id, charge_date, segment_start, component, tier_number, charge_kind
-- reads   rated_usage, rate, payer_series, wholesale_usage
-- params  $currency  TEXT   of the seller, ISO 4217
-- writes  series_id              BIGINT UNSIGNED not null
--         charge_date            DATE not null
--         segment_start          TIMESTAMP not null
--         component              TEXT not null
--         tier_number            BIGINT not null
--         charge_kind            TEXT not null
--         account_id             TEXT                      of the customer
--         project_id             TEXT
--         service                TEXT not null
--         sku                    TEXT not null
--         description            TEXT not null
--         line_by                TEXT not null
--         tier_start             DECIMAL(28,9) not null
--         pricing_unit           TEXT not null
--         unit_price_per         DECIMAL(28,9) not null
--         contracted_unit_price  DECIMAL(28,12) not null   price of the customer
--         price_currency         TEXT not null             of that price
--         wholesale_cost         DECIMAL(38,18)            in the reseller's currency; null if an exchange rate is
--                                                          missing
--
-- The wholesale cost of a series, date and segment is shared by the priced quantity of the base component. A share is
-- the difference of two running shares, the last of which is one, so the shares add up to the cost. If nothing has a
-- quantity, the first row gets the whole cost.
WITH part AS (
  SELECT rated_usage.series_id, rated_usage.charge_date, rated_usage.segment_start, rated_usage.component,
         rated_usage.tier_number, rated_usage.charge_kind, rated_usage.account_id, rated_usage.project_id,
         rate.service, rate.sku, rate.description, rated_usage.line_by, rated_usage.tier_start, rate.pricing_unit,
         rated_usage.unit_price_per, rated_usage.contracted_unit_price, rate.currency AS price_currency,
         CASE WHEN wholesale_usage.series_id IS NULL THEN CAST(0 AS DECIMAL(38,18))
              ELSE wholesale_usage.contracted_cost END AS contracted_cost,
         CASE WHEN rated_usage.component = 'base' AND rated_usage.charge_kind IN ('usage', 'reserved')
              THEN rated_usage.pricing_quantity ELSE CAST(0 AS DECIMAL(38,9)) END AS quantity,
         ROW_NUMBER() OVER (
           PARTITION BY rated_usage.series_id, rated_usage.charge_date, rated_usage.segment_start
           ORDER BY CASE WHEN rated_usage.component = 'base' THEN 0 ELSE 1 END, rated_usage.component,
                    rated_usage.tier_number, rated_usage.charge_kind
         ) AS part_number
  FROM rated_usage
  JOIN payer_series ON payer_series.series_id = rated_usage.series_id AND payer_series.status = 'retail'
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  LEFT JOIN wholesale_usage ON wholesale_usage.series_id = payer_series.seller_series_id
   AND wholesale_usage.charge_date = rated_usage.charge_date
   AND wholesale_usage.segment_start = rated_usage.segment_start
),
running AS (
  SELECT *,
         CAST(SUM(CAST(quantity AS DECIMAL(50,9))) OVER (
           PARTITION BY series_id, charge_date, segment_start ORDER BY part_number
           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
         ) AS DECIMAL(38,9)) AS quantity_after,
         CAST(SUM(CAST(quantity AS DECIMAL(50,9))) OVER (PARTITION BY series_id, charge_date, segment_start)
           AS DECIMAL(38,9)) AS quantity_total
  FROM part
),
weighed AS (
  SELECT *,
         CASE WHEN quantity_total <> 0
              THEN CAST(CAST(quantity_after AS DECIMAL(66,36)) / CAST(quantity_total AS DECIMAL(40,9))
                AS DECIMAL(38,36)) END AS share_after,
         CASE WHEN quantity_total <> 0
              THEN CAST(CAST(quantity_after - quantity AS DECIMAL(66,36)) / CAST(quantity_total AS DECIMAL(40,9))
                AS DECIMAL(38,36)) END AS share_before
  FROM running
)
SELECT series_id,
       charge_date,
       segment_start,
       component,
       tier_number,
       charge_kind,
       account_id,
       project_id,
       service,
       sku,
       description,
       line_by,
       tier_start,
       pricing_unit,
       unit_price_per,
       contracted_unit_price,
       price_currency,
       CASE WHEN quantity_total = 0
            THEN CASE WHEN part_number = 1 THEN contracted_cost ELSE CAST(0 AS DECIMAL(38,18)) END
            ELSE CAST(CAST(CAST(contracted_cost AS DECIMAL(40,18)) * share_after AS DECIMAL(38,18))
               - CAST(CAST(contracted_cost AS DECIMAL(40,18)) * share_before AS DECIMAL(38,18)) AS DECIMAL(38,18))
       END AS wholesale_cost
FROM weighed
