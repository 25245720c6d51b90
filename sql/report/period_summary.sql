-- period_summary: how many rows of usage were rated, not rated, and belong to nobody.
--
-- grain   none
-- reads   usage_segment, unrated_usage, active_series
-- writes  usage_count         BIGINT not null
--         unrated_count       BIGINT not null
--         unattributed_count  BIGINT not null
SELECT (SELECT COUNT(*) FROM usage_segment) AS usage_count,
       (SELECT COUNT(*) FROM unrated_usage WHERE component = 'base') AS unrated_count,
       (SELECT COUNT(*) FROM usage_segment JOIN active_series ON active_series.series_id = usage_segment.series_id WHERE active_series.status = 'unattributed') AS unattributed_count
