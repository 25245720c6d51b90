-- days_add_up_to_their_windows: the quantity of a date equals the sum of its windows.
--
-- reads   metered_usage, metered_day
WITH folded AS (
  SELECT series_id, charge_date, SUM(CAST(consumed_quantity AS DECIMAL(60,9))) AS consumed_quantity
  FROM metered_usage
  GROUP BY series_id, charge_date
)
SELECT COALESCE(folded.series_id, metered_day.series_id) AS series_id, folded.consumed_quantity AS windows_quantity,
       metered_day.consumed_quantity AS day_quantity
FROM folded
FULL JOIN metered_day ON folded.series_id = metered_day.series_id AND folded.charge_date = metered_day.charge_date
WHERE folded.consumed_quantity IS DISTINCT FROM metered_day.consumed_quantity
ORDER BY series_id
