-- pool_window_count: the number of a pool's windows in the period, if a percentile counts absent windows as zero.
--
-- grain   pool_number
-- reads   priced_series, rate, rate_validity, charge_segment, payer_series
-- writes  pool_number   BIGINT not null
--         window_count  BIGINT not null
--
-- In the windows of a pool, a rule of the pool is valid, and the account pays for a project of the pool. Records do not
-- limit the windows: a collector that writes nothing without traffic also writes nothing before the first traffic. A
-- resource that begins in the middle of the month therefore has windows of zero before its first record.
--
-- Windows start at multiples of their length after local midnight. The windows that start before an offset are the
-- offset divided by the length, rounded up. The difference of two such numbers is the number of windows in a part of a
-- date, also on dates of 23 or 25 hours.
WITH pool AS (
  SELECT DISTINCT priced_series.pool_number, rate.pool,
         rate.absent_window_seconds * CAST(1000000 AS BIGINT) AS window_length,
         payer_series.paid_from, payer_series.paid_to
  FROM priced_series
  JOIN rate ON rate.rate_id = priced_series.rate_id
  LEFT JOIN payer_series ON payer_series.series_id = priced_series.series_id
  WHERE rate.absent_window_seconds IS NOT NULL
),
valid AS (
  SELECT DISTINCT rate.pool, rate_validity.segment_start
  FROM rate_validity
  JOIN rate ON rate.rate_id = rate_validity.rate_id
),
paid AS (
  SELECT DISTINCT pool.pool_number, pool.window_length, valid.segment_start
  FROM pool
  JOIN valid ON valid.pool = pool.pool
   AND (pool.paid_from IS NULL OR valid.segment_start >= pool.paid_from)
   AND (pool.paid_to IS NULL OR valid.segment_start < pool.paid_to)
),
part AS (
  SELECT segment_start,
         CAST(part_start AS BIGINT) - CAST(MIN(part_start) OVER (PARTITION BY charge_date) AS BIGINT) AS start_offset,
         CAST(part_end AS BIGINT) - CAST(MIN(part_start) OVER (PARTITION BY charge_date) AS BIGINT) AS end_offset
  FROM charge_segment
)
SELECT paid.pool_number,
       CAST(SUM((part.end_offset + paid.window_length - 1) / paid.window_length
              - (part.start_offset + paid.window_length - 1) / paid.window_length) AS BIGINT) AS window_count
FROM paid
JOIN part ON part.segment_start = paid.segment_start
GROUP BY paid.pool_number
ORDER BY pool_number
