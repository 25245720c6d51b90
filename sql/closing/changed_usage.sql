-- changed_usage: the days of a closed period on which something was measured otherwise since, by the invoice lines that price it.
--
-- grain   account_id, project_id, service, component, sku, description, line_by, stream_id, charge_date
-- reads   metered_day, issued_day, rated_usage, issued_usage, payer_series, series, rate
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
-- What is compared are quantities as metered: what a pool makes of them changes on other days as well. Usage that is gone is
-- priced by what was issued alone, and usage that came by what is due.
WITH changed AS (
  SELECT COALESCE(metered_day.series_id, issued_day.series_id) AS series_id, COALESCE(metered_day.charge_date, issued_day.charge_date) AS charge_date
  FROM metered_day
  FULL JOIN issued_day ON issued_day.series_id = metered_day.series_id AND issued_day.charge_date = metered_day.charge_date
  WHERE metered_day.consumed_quantity IS DISTINCT FROM issued_day.consumed_quantity
),
rated AS (
  SELECT account_id, project_id, series_id, charge_date, component, rate_id, line_by
  FROM rated_usage
  UNION
  SELECT account_id, project_id, series_id, charge_date, component, rate_id, line_by
  FROM issued_usage
)
SELECT DISTINCT rated.account_id, rated.project_id, rate.service, rated.component, rate.sku, rate.description, rated.line_by, series.stream_id, rated.charge_date
FROM rated
LEFT JOIN payer_series ON payer_series.series_id = rated.series_id
JOIN changed ON changed.series_id = COALESCE(payer_series.metered_series_id, rated.series_id) AND changed.charge_date = rated.charge_date
JOIN series ON series.series_id = changed.series_id
JOIN rate ON rate.rate_id = rated.rate_id
WHERE rated.account_id IS NOT NULL
ORDER BY rated.account_id, rated.project_id NULLS FIRST, rate.service, rated.component, rate.sku, rate.description, rated.line_by, series.stream_id, rated.charge_date
