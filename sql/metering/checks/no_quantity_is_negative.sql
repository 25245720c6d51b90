-- no_quantity_is_negative: no metered quantity is negative, except of a meter with `signed = true`.
--
-- reads   metered_usage, signed_series
SELECT metered_usage.series_id, metered_usage.window_start, metered_usage.consumed_quantity
FROM metered_usage
LEFT JOIN signed_series ON signed_series.series_id = metered_usage.series_id
WHERE metered_usage.consumed_quantity < 0 AND signed_series.series_id IS NULL
ORDER BY series_id, window_start
