-- usage: a row of usage.csv: the usage of a resource on a date and its cost.
--
-- grain   account_id, charge_date, project_id, resource_id, meter, component, sku, dimensions, currency
-- reads   rated_usage, unrated_usage, usage_segment, usage_series, usage_price
-- writes  charge_date        DATE not null
--         account_id         TEXT
--         project_id         TEXT
--         resource_id        TEXT not null
--         meter              TEXT not null
--         service            TEXT
--         sku                TEXT
--         consumed_quantity  DECIMAL(38,9) not null
--         consumed_unit      TEXT not null
--         pricing_quantity   DECIMAL(38,9)
--         pricing_unit       TEXT
--         cost               DECIMAL(38,18)   unrounded; null without a price
--         list_cost          DECIMAL(38,18)   cost at the prices of the public card
--         currency           TEXT not null    of the price; of the seller without a price
--         status             TEXT not null    invoiced, retail, suspended, internal, unattributed, unrated
--         dimensions         TEXT not null
--         labels             TEXT not null
--
-- In usage.csv, the rows of non_usage_charges and percent_fees follow, with the same columns.
--
-- A row has eleven texts, which are equal on all dates of a series. Therefore one number groups and sorts the rows.
-- This position is the sum of the positions of series, price and date. The date has the digits 26 to 30 from the right.
-- Each charge has a series and a price. The right joins copy their texts after the sort and keep the order of charges.
WITH at_price AS (
  SELECT rated_usage.series_id, rated_usage.charge_date, rated_usage.segment_start, usage_price.price_number,
         usage_price.position, rated_usage.pricing_quantity, rated_usage.contracted_cost, rated_usage.list_cost
  FROM usage_price
  JOIN rated_usage ON rated_usage.rate_id = usage_price.rate_id
),
rated AS (
  SELECT usage_series.position + at_price.position
           + CAST(CAST(at_price.charge_date AS INT) AS DECIMAL(5,0))
             * CAST('10000000000000000000000000' AS DECIMAL(26,0)) AS position,
         at_price.series_id, at_price.charge_date, at_price.segment_start, usage_series.series_number,
         at_price.price_number, at_price.pricing_quantity, at_price.contracted_cost, at_price.list_cost
  FROM usage_series
  JOIN at_price ON at_price.series_id = usage_series.series_id AND at_price.charge_date >= usage_series.first_date
   AND (usage_series.next_date IS NULL OR at_price.charge_date < usage_series.next_date)
),
priced AS (
  SELECT position, segment_start, MIN(series_id) AS series_id, MIN(charge_date) AS charge_date,
         MIN(series_number) AS series_number, MIN(price_number) AS price_number,
         SUM(CAST(pricing_quantity AS DECIMAL(50,9))) AS pricing_quantity,
         SUM(CAST(contracted_cost AS DECIMAL(60,18))) AS cost,
         SUM(CAST(list_cost AS DECIMAL(60,18))) AS list_cost
  FROM rated
  GROUP BY position, segment_start
),
part AS (
  SELECT priced.position, priced.charge_date, priced.series_number, priced.price_number,
         usage_segment.consumed_quantity, priced.pricing_quantity, priced.cost, priced.list_cost
  FROM usage_segment
  JOIN priced ON priced.series_id = usage_segment.series_id AND priced.charge_date = usage_segment.charge_date
   AND priced.segment_start = usage_segment.segment_start
  UNION ALL
  SELECT usage_series.position + usage_price.position
           + CAST(CAST(unrated_usage.charge_date AS INT) AS DECIMAL(5,0))
             * CAST('10000000000000000000000000' AS DECIMAL(26,0)),
         unrated_usage.charge_date, usage_series.series_number, usage_price.price_number,
         unrated_usage.consumed_quantity, NULL, NULL, NULL
  FROM unrated_usage
  JOIN usage_series ON usage_series.series_id = unrated_usage.series_id
   AND unrated_usage.charge_date >= usage_series.first_date
   AND (usage_series.next_date IS NULL OR unrated_usage.charge_date < usage_series.next_date)
  JOIN usage_price ON usage_price.component = unrated_usage.component AND usage_price.rate_id IS NULL
),
charge AS (
  SELECT position, MIN(charge_date) AS charge_date, MIN(series_number) AS series_number,
         MIN(price_number) AS price_number,
         CAST(SUM(CAST(consumed_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9)) AS consumed_quantity,
         CAST(SUM(pricing_quantity) AS DECIMAL(38,9)) AS pricing_quantity,
         CAST(SUM(cost) AS DECIMAL(38,18)) AS cost,
         CAST(SUM(list_cost) AS DECIMAL(38,18)) AS list_cost
  FROM part
  GROUP BY position
),
ordered AS (
  SELECT charge_date, series_number, price_number, consumed_quantity, pricing_quantity, cost, list_cost,
         ROW_NUMBER() OVER (ORDER BY position) AS position
  FROM charge
)
SELECT ordered.charge_date,
       usage_series.account_id,
       usage_series.project_id,
       usage_series.resource_id,
       usage_series.meter,
       usage_price.service,
       usage_price.sku,
       ordered.consumed_quantity,
       usage_series.unit AS consumed_unit,
       ordered.pricing_quantity,
       usage_price.pricing_unit,
       ordered.cost,
       ordered.list_cost,
       usage_price.currency,
       CASE WHEN ordered.cost IS NULL THEN 'unrated' ELSE usage_series.status END AS status,
       usage_series.description AS dimensions,
       usage_series.labels
FROM usage_series
RIGHT JOIN (usage_price
            RIGHT JOIN ordered ON ordered.price_number = usage_price.price_number)
  ON ordered.series_number = usage_series.series_number
ORDER BY ordered.position
