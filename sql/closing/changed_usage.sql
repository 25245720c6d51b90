-- changed_usage: a date of a closed period whose metered usage changed since, with the invoice lines that price it.
--
-- grain   account_id, project_id, service, component, sku, description, line_by, stream_id, charge_date
-- reads   metered_day, issued_day, rated_usage, rate, payer_series, issued_usage, issued_rate, issued_payer_series,
--         series
-- writes  account_id   TEXT not null
--         project_id   TEXT
--         service      TEXT not null
--         component    TEXT not null
--         sku          TEXT not null
--         description  TEXT not null
--         line_by      TEXT not null
--         stream_id    BIGINT UNSIGNED not null
--         charge_date  DATE not null
--
-- The comparison uses metered quantities, because pooled quantities also change on other days. The issued documents
-- price removed usage, and the new rating prices added usage. Each uses the names and payers of its own time, because a
-- restatement can change them.
WITH changed AS (
  SELECT COALESCE(metered_day.series_id, issued_day.series_id) AS series_id,
         COALESCE(metered_day.charge_date, issued_day.charge_date) AS charge_date
  FROM metered_day
  FULL JOIN issued_day ON issued_day.series_id = metered_day.series_id
   AND issued_day.charge_date = metered_day.charge_date
  WHERE metered_day.consumed_quantity IS DISTINCT FROM issued_day.consumed_quantity
),
rated AS (
  SELECT rated_usage.account_id, rated_usage.project_id,
         COALESCE(payer_series.metered_series_id, rated_usage.series_id) AS series_id, rated_usage.charge_date,
         rate.service, rated_usage.component, rate.sku, rate.description, rated_usage.line_by
  FROM rated_usage
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  LEFT JOIN payer_series ON payer_series.series_id = rated_usage.series_id
  UNION
  SELECT issued_usage.account_id, issued_usage.project_id,
         COALESCE(issued_payer_series.metered_series_id, issued_usage.series_id) AS series_id, issued_usage.charge_date,
         issued_rate.service, issued_usage.component, issued_rate.sku, issued_rate.description, issued_usage.line_by
  FROM issued_usage
  JOIN issued_rate ON issued_rate.rate_id = issued_usage.rate_id
  LEFT JOIN issued_payer_series ON issued_payer_series.series_id = issued_usage.series_id
)
SELECT DISTINCT rated.account_id, rated.project_id, rated.service, rated.component, rated.sku, rated.description,
                rated.line_by, series.stream_id, rated.charge_date
FROM rated
JOIN changed ON changed.series_id = rated.series_id AND changed.charge_date = rated.charge_date
JOIN series ON series.series_id = changed.series_id
WHERE rated.account_id IS NOT NULL
ORDER BY rated.account_id, rated.project_id NULLS FIRST, rated.service, rated.component, rated.sku, rated.description,
         rated.line_by, series.stream_id, rated.charge_date
