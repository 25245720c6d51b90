-- unrated_resource: the unrated usage of a resource, by reason.
--
-- grain   account_id, project_id, meter, resource_id, component, reason
-- reads   unrated_usage, active_series
-- writes  account_id   TEXT
--         project_id   TEXT
--         meter        TEXT not null
--         resource_id  TEXT not null
--         component    TEXT not null
--         reason       TEXT not null
--         quantity     DECIMAL(38,9) not null   in metered units
--         unit         TEXT not null
--         first_date   DATE not null            first date of the usage
--         last_date    DATE not null
--
-- Usage is summed by series before the join, because the engine keeps the left side of a join in memory.
WITH summed AS (
  SELECT series_id, component, reason,
         SUM(CAST(consumed_quantity AS DECIMAL(50,9))) AS quantity,
         MIN(charge_date) AS first_date,
         MAX(charge_date) AS last_date
  FROM unrated_usage
  GROUP BY series_id, component, reason
)
SELECT active_series.account_id,
       active_series.project_id,
       active_series.meter,
       active_series.resource_id,
       summed.component,
       summed.reason,
       CAST(SUM(summed.quantity) AS DECIMAL(38,9)) AS quantity,
       active_series.unit,
       MIN(summed.first_date) AS first_date,
       MAX(summed.last_date) AS last_date
FROM active_series
JOIN summed ON summed.series_id = active_series.series_id
GROUP BY active_series.account_id, active_series.project_id, active_series.meter, active_series.resource_id,
         summed.component, summed.reason, active_series.unit
ORDER BY account_id NULLS LAST, project_id NULLS LAST, meter, resource_id, component, reason
