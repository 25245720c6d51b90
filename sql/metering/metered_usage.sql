-- metered_usage: the metered quantity of a series in a window.
--
-- grain   series_id, window_start
-- reads   stream_day, kept_window
-- params  $charge_date  DATE
-- writes  series_id          BIGINT UNSIGNED not null
--         charge_date        DATE not null
--         window_start       TIMESTAMP not null
--         window_end         TIMESTAMP not null
--         consumed_quantity  DECIMAL(38,9) not null
--         sample_count       BIGINT not null
--
-- A series belongs to one stream, and a stream has one window for each of its series and instants. So no two streams
-- have windows of equal grain.
WITH stream_window AS (
  SELECT UNNEST(windows) AS metered
  FROM stream_day
)
SELECT metered['series_id'] AS series_id,
       CAST($charge_date AS DATE) AS charge_date,
       metered['window_start'] AS window_start,
       metered['window_end'] AS window_end,
       metered['consumed_quantity'] AS consumed_quantity,
       metered['sample_count'] AS sample_count
FROM stream_window
UNION ALL
SELECT series_id, charge_date, window_start, window_end, consumed_quantity, sample_count
FROM kept_window
ORDER BY series_id, window_start
