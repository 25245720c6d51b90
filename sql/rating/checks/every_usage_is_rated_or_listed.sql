-- every_usage_is_rated_or_listed: each quantity has a base price or an unrated_usage row, and not both.
--
-- reads   usage_segment, rated_usage, unrated_usage
WITH rated AS (
  SELECT DISTINCT series_id, charge_date, segment_start
  FROM rated_usage
  WHERE component = 'base'
),
unrated AS (
  SELECT series_id, charge_date, segment_start
  FROM unrated_usage
  WHERE component = 'base'
)
SELECT usage_segment.series_id, usage_segment.charge_date, usage_segment.segment_start, usage_segment.consumed_quantity,
       rated.series_id IS NOT NULL AS is_rated, unrated.series_id IS NOT NULL AS is_unrated
FROM usage_segment
LEFT JOIN rated ON rated.series_id = usage_segment.series_id AND rated.charge_date = usage_segment.charge_date
 AND rated.segment_start = usage_segment.segment_start
LEFT JOIN unrated ON unrated.series_id = usage_segment.series_id AND unrated.charge_date = usage_segment.charge_date
 AND unrated.segment_start = usage_segment.segment_start
WHERE (rated.series_id IS NULL) = (unrated.series_id IS NULL)
ORDER BY series_id, charge_date, segment_start
