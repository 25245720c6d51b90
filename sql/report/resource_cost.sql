-- resource_cost: the cost of a resource by meter, with its rank within the project.
--
-- grain   account_id, project_id, resource_id, meter
-- reads   converted_usage, usage_segment, active_series
-- params  $currency  TEXT   of the seller, ISO 4217
-- writes  account_id       TEXT
--         project_id       TEXT
--         resource_id      TEXT not null
--         meter            TEXT not null
--         service          TEXT
--         quantity         DECIMAL(38,9) not null     in metered units
--         unit             TEXT not null
--         contracted_cost  DECIMAL(38,18) not null
--         cost_rank        BIGINT not null            1 is the highest cost
--         stream_id        BIGINT UNSIGNED not null   stream whose labels are shown
--
-- Costs are in the seller's currency: see converted_usage. A cost without an exchange rate is left out.
WITH consumed AS (
  SELECT active_series.account_id, active_series.project_id, active_series.resource_id, active_series.meter,
         active_series.unit,
         MAX(active_series.stream_id) AS stream_id,
         CAST(SUM(CAST(usage_segment.consumed_quantity AS DECIMAL(50,9))) AS DECIMAL(38,9)) AS quantity
  FROM usage_segment
  JOIN active_series ON active_series.series_id = usage_segment.series_id
  GROUP BY active_series.account_id, active_series.project_id, active_series.resource_id, active_series.meter,
           active_series.unit
),
cost AS (
  SELECT active_series.account_id, active_series.project_id, active_series.resource_id, active_series.meter,
         MIN(CASE WHEN converted_usage.component = 'base' THEN converted_usage.service END) AS service,
         CAST(COALESCE(SUM(CAST(converted_usage.contracted_cost AS DECIMAL(60,18))), CAST(0 AS DECIMAL(60,18)))
           AS DECIMAL(38,18)) AS contracted_cost
  FROM converted_usage
  JOIN active_series ON active_series.series_id = converted_usage.series_id
  GROUP BY active_series.account_id, active_series.project_id, active_series.resource_id, active_series.meter
)
SELECT cost.account_id,
       cost.project_id,
       cost.resource_id,
       cost.meter,
       cost.service,
       consumed.quantity,
       consumed.unit,
       cost.contracted_cost,
       CAST(ROW_NUMBER() OVER (PARTITION BY cost.account_id, cost.project_id ORDER BY cost.contracted_cost DESC,
                               cost.resource_id, cost.meter) AS BIGINT) AS cost_rank,
       consumed.stream_id
FROM cost
JOIN consumed ON (consumed.account_id IS NOT DISTINCT FROM cost.account_id)
 AND (consumed.project_id IS NOT DISTINCT FROM cost.project_id) AND consumed.resource_id = cost.resource_id
 AND consumed.meter = cost.meter
ORDER BY account_id NULLS LAST, project_id NULLS LAST, resource_id, meter
