-- usage: a row of usage.csv: the usage of a resource on a date and its cost.
--
-- grain   account_id, charge_date, project_id, resource_id, meter, component, sku, dimensions, currency
-- reads   rated_usage, unrated_usage, usage_segment, active_series, rate, label_range, suspended_account
-- params  $currency  TEXT   currency for usage without a price, ISO 4217
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
-- In a run, the operator src/export/usage_rows.rs computes the rows of this relation; a property test compares both. In
-- usage.csv, the rows of non_usage_charges and percent_fees follow, with the same columns.
WITH rated AS (
  SELECT rated_usage.series_id, rated_usage.charge_date, rated_usage.segment_start, rated_usage.component,
         rate.service, rate.sku, rate.pricing_unit, rate.currency,
         SUM(CAST(rated_usage.pricing_quantity AS DECIMAL(50,9))) AS pricing_quantity,
         SUM(CAST(rated_usage.list_cost AS DECIMAL(60,18))) AS list_cost,
         SUM(CAST(rated_usage.contracted_cost AS DECIMAL(60,18))) AS contracted_cost
  FROM rated_usage
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  GROUP BY rated_usage.series_id, rated_usage.charge_date, rated_usage.segment_start, rated_usage.component,
           rate.service, rate.sku, rate.pricing_unit, rate.currency
),
priced AS (
  SELECT rated.series_id, rated.charge_date, rated.component, rated.service, rated.sku, rated.pricing_unit,
         rated.currency,
         CAST(SUM(CAST(usage_segment.consumed_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9)) AS consumed_quantity,
         CAST(SUM(rated.pricing_quantity) AS DECIMAL(38,9)) AS pricing_quantity,
         CAST(SUM(rated.list_cost) AS DECIMAL(38,18)) AS list_cost,
         CAST(SUM(rated.contracted_cost) AS DECIMAL(38,18)) AS contracted_cost
  FROM rated
  JOIN usage_segment ON usage_segment.series_id = rated.series_id AND usage_segment.charge_date = rated.charge_date
   AND usage_segment.segment_start = rated.segment_start
  GROUP BY rated.series_id, rated.charge_date, rated.component, rated.service, rated.sku, rated.pricing_unit,
           rated.currency
),
charge AS (
  SELECT series_id, charge_date, component, service, sku, pricing_unit, currency, consumed_quantity, pricing_quantity,
         list_cost, contracted_cost
  FROM priced
  UNION ALL
  SELECT series_id, charge_date, component, NULL, NULL, NULL, CAST($currency AS TEXT),
         CAST(SUM(CAST(consumed_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9)), NULL, NULL, NULL
  FROM unrated_usage
  GROUP BY series_id, charge_date, component
),
labelled AS (
  SELECT charge.series_id, charge.charge_date,
         STRING_AGG(concat(label_range.key, '=', label_range.value), '; ' ORDER BY label_range.key) AS labels
  FROM (
    SELECT series_id, charge_date
    FROM rated_usage
    UNION
    SELECT series_id, charge_date
    FROM unrated_usage
  ) AS charge
  JOIN active_series ON active_series.series_id = charge.series_id
  JOIN label_range ON label_range.stream_id = active_series.stream_id
   AND (label_range.first_date IS NULL OR label_range.first_date <= charge.charge_date)
   AND (label_range.next_date IS NULL OR charge.charge_date < label_range.next_date)
  GROUP BY charge.series_id, charge.charge_date
),
suspended AS (
  SELECT DISTINCT account_id, account_name
  FROM suspended_account
)
SELECT charge.charge_date,
       active_series.account_id,
       active_series.project_id,
       active_series.resource_id,
       active_series.meter,
       charge.service,
       charge.sku,
       charge.consumed_quantity,
       active_series.unit AS consumed_unit,
       charge.pricing_quantity,
       charge.pricing_unit,
       charge.contracted_cost AS cost,
       charge.list_cost,
       charge.currency,
       CASE WHEN charge.contracted_cost IS NULL THEN 'unrated'
            WHEN suspended.account_id IS NOT NULL AND active_series.status IN ('invoiced', 'retail') THEN 'suspended'
            ELSE active_series.status END AS status,
       active_series.description AS dimensions,
       COALESCE(labelled.labels, '') AS labels
FROM charge
JOIN active_series ON active_series.series_id = charge.series_id
LEFT JOIN suspended ON suspended.account_id = active_series.account_id
 AND suspended.account_name IS NOT DISTINCT FROM active_series.account_name
LEFT JOIN labelled ON labelled.series_id = charge.series_id AND labelled.charge_date = charge.charge_date
ORDER BY active_series.account_id NULLS LAST, charge.charge_date, active_series.project_id NULLS LAST,
         active_series.resource_id, active_series.meter,
         CASE WHEN charge.component = 'base' THEN 0 ELSE 1 END, charge.component, charge.sku NULLS LAST,
         active_series.description, charge.currency
