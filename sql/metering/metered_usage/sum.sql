-- sum: the sum of the quantities in each window.
--
-- grain   series_id, window_start
-- reads   windowed_sample
-- params  $charge_date      DATE
--         $day_start        BIGINT          microseconds UTC
--         $day_end          BIGINT          microseconds UTC
--         $window           BIGINT          microseconds
--         $record_minimum   DECIMAL(28,9)   minimum quantity of a record
--         $record_multiple  DECIMAL(28,9)   granularity of a record's quantity
-- writes  series_id          BIGINT UNSIGNED not null
--         charge_date        DATE not null
--         window_start       TIMESTAMP not null
--         window_end         TIMESTAMP not null
--         consumed_quantity  DECIMAL(38,9) not null
--         sample_count       BIGINT not null
--
-- Each record counts for its own series. Minimum and granularity apply to a single record, so they are applied before
-- the sum. A record with the quantity zero counts as zero, and a negative record counts unchanged.
WITH raised AS (
  SELECT series_id, charge_date, window_start, window_end,
         CASE WHEN quantity <= 0 THEN quantity
              ELSE GREATEST(quantity, CAST($record_minimum AS DECIMAL(28,9))) END AS quantity
  FROM windowed_sample
),
divided AS (
  SELECT *, quantity % CAST($record_multiple AS DECIMAL(28,9)) AS remainder
  FROM raised
),
rounded AS (
  SELECT series_id, charge_date, window_start, window_end,
         CASE WHEN remainder <= 0 THEN quantity
              ELSE CAST(quantity + (CAST($record_multiple AS DECIMAL(28,9)) - remainder)
                         AS DECIMAL(28,9)) END AS quantity
  FROM divided
)
SELECT series_id,
       charge_date,
       window_start,
       window_end,
       CAST(SUM(quantity) AS DECIMAL(38,9)) AS consumed_quantity,
       COUNT(*) AS sample_count
FROM rounded
GROUP BY series_id, charge_date, window_start, window_end
ORDER BY series_id, window_start
