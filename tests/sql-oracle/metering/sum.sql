-- sum: the sum of the quantities in each window.
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
