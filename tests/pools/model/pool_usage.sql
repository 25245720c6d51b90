-- pool_usage: the quantity of a day's usage in its pool, with the total of the pool before and after it.
--
-- grain   pool_number, pool_instance, charge_date, segment_start, usage_order
-- reads   pool_running_total
-- writes  pool_number    BIGINT not null
--         pool_instance  BIGINT not null          the day number or window of a pool that restarts; otherwise zero
--         charge_date    DATE not null
--         segment_start  TIMESTAMP not null
--         usage_order    BIGINT not null
--         series_id      BIGINT UNSIGNED not null
--         component      TEXT not null
--         priced_number  BIGINT not null
--         pool_quantity  DECIMAL(38,9) not null   in metered units, with the rule's multiplier, percentile and rounding
--         pool_before    DECIMAL(38,9) not null
--         pool_after     DECIMAL(38,9) not null
--         pool_total     DECIMAL(38,9) not null   of the whole pool instance
--         is_last        BOOLEAN not null         in its instance
--         is_window      BOOLEAN not null         the row is a window; otherwise it is a day
--
-- A pool starts before its first row and ends after its last. The running total can fall, because a meter with
-- `signed = true` has negative quantities.
WITH pool AS (
  SELECT pool_number, pool_instance, FIRST_VALUE(running_total - pool_quantity ORDER BY row_number) AS all_before,
         LAST_VALUE(running_total ORDER BY row_number) AS all_after, MAX(row_number) AS last_row
  FROM pool_running_total
  GROUP BY pool_number, pool_instance
)
SELECT pool_running_total.pool_number,
       pool_running_total.pool_instance,
       pool_running_total.charge_date,
       pool_running_total.segment_start,
       pool_running_total.usage_order,
       pool_running_total.series_id,
       pool_running_total.component,
       pool_running_total.priced_number,
       pool_running_total.pool_quantity,
       CAST(pool_running_total.running_total - pool_running_total.pool_quantity - pool.all_before AS DECIMAL(38,9))
         AS pool_before,
       CAST(pool_running_total.running_total - pool.all_before AS DECIMAL(38,9)) AS pool_after,
       CAST(pool.all_after - pool.all_before AS DECIMAL(38,9)) AS pool_total,
       pool_running_total.row_number = pool.last_row AS is_last,
       pool_running_total.is_window
FROM pool_running_total
JOIN pool ON pool.pool_number = pool_running_total.pool_number AND pool.pool_instance = pool_running_total.pool_instance
ORDER BY pool_number, pool_instance, charge_date, segment_start, usage_order
