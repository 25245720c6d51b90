-- usage_segment: the quantity of a series to price, by date and segment.
--
-- grain   series_id, charge_date, segment_start
-- reads   metered_day, metered_usage, charge_segment, payer_series
-- writes  series_id          BIGINT UNSIGNED not null
--         charge_date        DATE not null
--         segment_start      TIMESTAMP not null
--         consumed_quantity  DECIMAL(38,9) not null
--
-- A date whose rates and payers do not change is read from metered_day, any other from metered_usage. A quantity of
-- zero costs nothing and is on no document, so it is dropped here. A segment has one payer only.
WITH used AS (
  SELECT metered_day.series_id AS metered_series_id, metered_day.charge_date, charge_segment.segment_start,
         metered_day.consumed_quantity
  FROM metered_day
  JOIN charge_segment ON charge_segment.charge_date = metered_day.charge_date
  WHERE NOT charge_segment.is_split AND metered_day.consumed_quantity <> 0
  UNION ALL
  SELECT metered_usage.series_id AS metered_series_id, metered_usage.charge_date, charge_segment.segment_start,
         CAST(SUM(CAST(metered_usage.consumed_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9))
           AS consumed_quantity
  FROM metered_usage
  JOIN charge_segment ON charge_segment.charge_date = metered_usage.charge_date
   AND metered_usage.window_start >= charge_segment.part_start AND metered_usage.window_start < charge_segment.part_end
  WHERE charge_segment.is_split
  GROUP BY metered_usage.series_id, metered_usage.charge_date, charge_segment.segment_start
  HAVING SUM(CAST(metered_usage.consumed_quantity AS DECIMAL(60,9))) <> 0
)
SELECT COALESCE(payer_series.series_id, used.metered_series_id) AS series_id,
       used.charge_date,
       used.segment_start,
       used.consumed_quantity
FROM used
LEFT JOIN payer_series ON payer_series.metered_series_id = used.metered_series_id
 AND (payer_series.paid_from IS NULL OR used.segment_start >= payer_series.paid_from)
 AND (payer_series.paid_to IS NULL OR used.segment_start < payer_series.paid_to)
ORDER BY series_id, charge_date, segment_start
