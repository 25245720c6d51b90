-- no_quantity_is_negative: no metered quantity is negative.
--
-- reads   metered_usage
SELECT series_id, window_start, consumed_quantity
FROM metered_usage
WHERE consumed_quantity < 0
ORDER BY series_id, window_start
