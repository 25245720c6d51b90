-- every_usage_is_rated_or_listed: each quantity has a base price or an unrated_usage row, and not both.
--
-- reads   usage_segment, rated_usage, unrated_usage
WITH rated AS (
  SELECT series_id, charge_date, segment_start
  FROM rated_usage
  WHERE component = 'base'
),
unrated AS (
  SELECT series_id, charge_date, segment_start
  FROM unrated_usage
  WHERE component = 'base'
),
violation AS (
  SELECT series_id, charge_date, segment_start, consumed_quantity, FALSE AS is_rated, FALSE AS is_unrated
  FROM usage_segment
  WHERE NOT EXISTS (
      SELECT 1
      FROM rated
      WHERE rated.series_id = usage_segment.series_id AND rated.charge_date = usage_segment.charge_date
        AND rated.segment_start = usage_segment.segment_start
    )
    AND NOT EXISTS (
      SELECT 1
      FROM unrated
      WHERE unrated.series_id = usage_segment.series_id AND unrated.charge_date = usage_segment.charge_date
        AND unrated.segment_start = usage_segment.segment_start
    )
  UNION ALL
  SELECT series_id, charge_date, segment_start, consumed_quantity, TRUE, TRUE
  FROM usage_segment
  WHERE EXISTS (
      SELECT 1
      FROM unrated
      WHERE unrated.series_id = usage_segment.series_id AND unrated.charge_date = usage_segment.charge_date
        AND unrated.segment_start = usage_segment.segment_start
    )
    AND EXISTS (
      SELECT 1
      FROM rated
      WHERE rated.series_id = usage_segment.series_id AND rated.charge_date = usage_segment.charge_date
        AND rated.segment_start = usage_segment.segment_start
    )
)
SELECT series_id, charge_date, segment_start, consumed_quantity, is_rated, is_unrated
FROM violation
ORDER BY series_id, charge_date, segment_start
