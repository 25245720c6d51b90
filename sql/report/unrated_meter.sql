-- unrated_meter: the unrated usage of a meter, by reason.
--
-- grain   meter, reason
-- reads   unrated_usage, active_series
-- writes  meter      TEXT not null
--         reason     TEXT not null
--         row_count  BIGINT not null   rows of unrated_usage
SELECT active_series.meter,
       unrated_usage.reason,
       COUNT(*) AS row_count
FROM unrated_usage
JOIN active_series ON active_series.series_id = unrated_usage.series_id
GROUP BY active_series.meter, unrated_usage.reason
ORDER BY meter, reason
