-- pool_included_unit: the included units of a pool, for the resources of its project or account.
--
-- grain   pool_number
-- reads   usage_segment, active_series, included_unit, included_unit_series, priced_series, rate
-- writes  pool_number       BIGINT not null
--         granted_quantity  DECIMAL(38,9) not null   in metered units
--
-- Each resource with usage counts once, even if its description changed. With proration it counts for the part of the
-- period in which it existed, at most for all of it. The parts of all resources are added before the only division. The
-- result is rounded to nine places.
WITH used AS (
  SELECT included_unit.included_units_id, active_series.account_id,
         CASE WHEN NOT included_unit.is_shared THEN active_series.project_id END AS project_id,
         SUM(CAST(usage_segment.consumed_quantity AS DECIMAL(50,9))) AS consumed_quantity
  FROM included_unit_series
  JOIN included_unit ON included_unit.included_units_id = included_unit_series.included_units_id
  JOIN active_series ON active_series.series_id = included_unit_series.series_id
  JOIN usage_segment ON usage_segment.series_id = included_unit_series.series_id
  GROUP BY included_unit.included_units_id, active_series.account_id,
           CASE WHEN NOT included_unit.is_shared THEN active_series.project_id END,
           active_series.resource_id
),
counted AS (
  SELECT used.included_units_id, used.account_id, used.project_id,
         CASE WHEN MAX(included_unit.full_quantity) IS NULL
              THEN CAST(CAST(COUNT(*) AS DECIMAL(20,0))
                         * CAST(MAX(included_unit.granted_quantity) AS DECIMAL(40,9)) AS DECIMAL(60,9))
              ELSE CAST(CAST(SUM(CAST(LEAST(used.consumed_quantity, included_unit.full_quantity) AS DECIMAL(60,9)))
                              AS DECIMAL(38,9))
                 * CAST(MAX(included_unit.granted_quantity) AS DECIMAL(40,9))
                   / MAX(included_unit.full_quantity) AS DECIMAL(60,9)) END AS granted_quantity
  FROM used
  JOIN included_unit ON included_unit.included_units_id = used.included_units_id
  GROUP BY used.included_units_id, used.account_id, used.project_id
),
pool AS (
  SELECT DISTINCT priced_series.pool_number, rate.pool, priced_series.account_id,
         CASE WHEN NOT priced_series.is_shared THEN priced_series.project_id END AS project_id
  FROM priced_series
  JOIN rate ON rate.rate_id = priced_series.rate_id
)
SELECT pool.pool_number,
       CAST(SUM(CAST(counted.granted_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9)) AS granted_quantity
FROM pool
JOIN included_unit ON included_unit.pool = pool.pool
JOIN counted ON counted.included_units_id = included_unit.included_units_id
 AND (counted.account_id IS NOT DISTINCT FROM pool.account_id)
 AND (counted.project_id IS NOT DISTINCT FROM pool.project_id)
GROUP BY pool.pool_number
ORDER BY pool_number
