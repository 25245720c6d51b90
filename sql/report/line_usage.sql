-- line_usage: the usage of one invoice line, by resource and rate.
--
-- grain   resource_id, meter, description, rate_id, tier_number, segment_start
-- reads   invoice_line, rated_usage, active_series, rate
-- params  $invoice_number  TEXT
--         $line_number     BIGINT
-- writes  resource_id            TEXT not null
--         meter                  TEXT not null
--         description            TEXT not null   of the series
--         series_id              BIGINT UNSIGNED not null
--         stream_id              BIGINT UNSIGNED not null
--         rate_id                TEXT not null
--         tier_number            BIGINT not null
--         segment_start          TIMESTAMP not null
--         first_date             DATE not null
--         last_date              DATE not null
--         pricing_quantity       DECIMAL(38,9) not null
--         contracted_unit_price  DECIMAL(28,12) not null
--         contracted_cost        DECIMAL(38,18) not null
SELECT active_series.resource_id,
       active_series.meter,
       active_series.description,
       active_series.series_id,
       active_series.stream_id,
       rated_usage.rate_id,
       rated_usage.tier_number,
       rated_usage.segment_start,
       MIN(rated_usage.charge_date) AS first_date,
       MAX(rated_usage.charge_date) AS last_date,
       CAST(SUM(CAST(rated_usage.pricing_quantity AS DECIMAL(50,9))) AS DECIMAL(38,9)) AS pricing_quantity,
       rated_usage.contracted_unit_price,
       CAST(SUM(CAST(rated_usage.contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost
FROM invoice_line
JOIN rated_usage ON rated_usage.account_id = invoice_line.account_id
 AND rated_usage.project_id = invoice_line.project_id AND rated_usage.component = invoice_line.component
 AND rated_usage.line_by = invoice_line.line_by AND rated_usage.charge_kind = invoice_line.charge_kind
 AND rated_usage.tier_start = invoice_line.tier_start
 AND rated_usage.contracted_unit_price = invoice_line.contracted_unit_price
 AND rated_usage.unit_price_per = invoice_line.unit_price_per
JOIN rate ON rate.rate_id = rated_usage.rate_id AND rate.service = invoice_line.service AND rate.sku = invoice_line.sku
 AND rate.description = invoice_line.description AND rate.currency = invoice_line.price_currency
JOIN active_series ON active_series.series_id = rated_usage.series_id
WHERE invoice_line.invoice_number = CAST($invoice_number AS TEXT)
  AND invoice_line.line_number = CAST($line_number AS BIGINT)
  AND invoice_line.charge_category = 'Usage'
  AND (invoice_line.charge_kind NOT IN ('usage', 'reserved') OR rate.pricing_unit = invoice_line.unit)
GROUP BY active_series.resource_id, active_series.meter, active_series.description, active_series.series_id,
         active_series.stream_id,
         rated_usage.rate_id, rated_usage.tier_number, rated_usage.segment_start, rated_usage.contracted_unit_price
ORDER BY resource_id, meter, description, rate_id, tier_number, segment_start
