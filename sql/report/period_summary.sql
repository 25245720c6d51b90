-- period_summary: the number of usage rows that are rated, unrated and unattributed.
--
-- grain   none
-- reads   usage_segment, unrated_usage, active_series, payer_series
-- writes  usage_count         BIGINT not null
--         unrated_count       BIGINT not null
--         unattributed_count  BIGINT not null
--
-- Usage of a reseller's customer counts once, as usage that the reseller owes.
WITH retail AS (
  SELECT series_id
  FROM payer_series
  WHERE status = 'retail'
)
SELECT (SELECT COUNT(*)
        FROM usage_segment
        LEFT JOIN retail ON retail.series_id = usage_segment.series_id
        WHERE retail.series_id IS NULL) AS usage_count,
       (SELECT COUNT(*)
        FROM unrated_usage
        LEFT JOIN retail ON retail.series_id = unrated_usage.series_id
        WHERE unrated_usage.component = 'base' AND retail.series_id IS NULL) AS unrated_count,
       (SELECT COUNT(*)
        FROM usage_segment
        JOIN active_series ON active_series.series_id = usage_segment.series_id
        WHERE active_series.status = 'unattributed') AS unattributed_count
