-- fallen_volume: a meter whose usage on a date is below a percentage of its usual usage.
--
-- grain   meter
-- reads   metered_day, series, stream, ended_stream
-- params  $charge_date  DATE     the examined date
--         $week_before  DATE     seven days before the examined date
--         $percent      BIGINT
-- writes  meter                 TEXT not null
--         consumed_quantity     DECIMAL(38,9) not null   on the examined date; 0 without usage
--         median_quantity       DECIMAL(38,9) not null   median of the seven days before
--         week_before_quantity  DECIMAL(38,9) not null   on the same weekday of the week before
--
-- The usual usage is the smaller of the median and the usage on the same weekday. So a weekend with less usage than the
-- other days is no finding, and neither is the first return to normal after one unusual day.
--
-- A meter without usage on the same weekday is not examined: it is new, or it has no usage on this weekday.
WITH volume AS (
  SELECT stream.meter,
         metered_day.charge_date,
         CAST(SUM(CAST(metered_day.consumed_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9)) AS consumed_quantity
  FROM metered_day
  JOIN series ON series.series_id = metered_day.series_id
  JOIN stream ON stream.stream_id = series.stream_id
  LEFT ANTI JOIN ended_stream ON ended_stream.stream_id = series.stream_id
  WHERE metered_day.charge_date >= CAST($week_before AS DATE) AND metered_day.charge_date <= CAST($charge_date AS DATE)
  GROUP BY stream.meter, metered_day.charge_date
),
ranked AS (
  -- A day without usage has no row and is smaller than all others. So the fourth largest of seven days is the median.
  SELECT meter,
         consumed_quantity,
         ROW_NUMBER() OVER (PARTITION BY meter ORDER BY consumed_quantity DESC) AS size_rank
  FROM volume
  WHERE charge_date < CAST($charge_date AS DATE)
),
compared AS (
  SELECT ranked.meter,
         COALESCE(examined.consumed_quantity, CAST(0 AS DECIMAL(38,9))) AS consumed_quantity,
         ranked.consumed_quantity AS median_quantity,
         week_before.consumed_quantity AS week_before_quantity
  FROM ranked
  JOIN volume AS week_before ON week_before.meter = ranked.meter
   AND week_before.charge_date = CAST($week_before AS DATE)
  LEFT JOIN volume AS examined ON examined.meter = ranked.meter AND examined.charge_date = CAST($charge_date AS DATE)
  WHERE ranked.size_rank = 4
)
SELECT meter,
       consumed_quantity,
       median_quantity,
       week_before_quantity
FROM compared
WHERE CAST(consumed_quantity AS DECIMAL(60,9)) * CAST(100 AS DECIMAL(3,0))
        < CAST(median_quantity AS DECIMAL(60,9)) * CAST(CAST($percent AS BIGINT) AS DECIMAL(3,0))
  AND CAST(consumed_quantity AS DECIMAL(60,9)) * CAST(100 AS DECIMAL(3,0))
        < CAST(week_before_quantity AS DECIMAL(60,9)) * CAST(CAST($percent AS BIGINT) AS DECIMAL(3,0))
ORDER BY meter
