-- metered_usage: the metered quantity of a series in a window.
--
-- grain   series_id, window_start
-- reads   metered_window
-- writes  series_id          BIGINT UNSIGNED not null
--         charge_date        DATE not null
--         window_start       TIMESTAMP not null
--         window_end         TIMESTAMP not null
--         consumed_quantity  DECIMAL(38,9) not null
--         sample_count       BIGINT not null
--
-- The statement of each aggregation is in the folder metered_usage.
SELECT series_id, charge_date, window_start, window_end, consumed_quantity, sample_count
FROM metered_window
ORDER BY series_id, window_start
