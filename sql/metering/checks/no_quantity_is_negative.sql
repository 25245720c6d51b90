-- no_quantity_is_negative: what was used is never less than nothing.
--
-- reads   metered_usage
SELECT series_id, window_start, consumed_quantity
FROM metered_usage
WHERE consumed_quantity < 0
ORDER BY series_id, window_start
