-- used_series: a series with usage in the period, once for each account that pays for it.
--
-- grain   metered_series_id, payer_series_id
-- reads   metered_day, payer_series
-- writes  metered_series_id  BIGINT UNSIGNED not null   id of the series in metering
--         payer_series_id    BIGINT UNSIGNED            null if one account pays for the project throughout the period
SELECT DISTINCT metered_day.series_id AS metered_series_id, payer_series.series_id AS payer_series_id
FROM metered_day
LEFT JOIN payer_series ON payer_series.metered_series_id = metered_day.series_id
 AND (payer_series.first_date IS NULL OR metered_day.charge_date >= payer_series.first_date)
 AND (payer_series.end_day IS NULL OR metered_day.charge_date < payer_series.end_day)
ORDER BY metered_series_id, payer_series_id
