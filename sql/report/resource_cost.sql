-- resource_cost: what each resource of a project cost by meter, with its rank among the project's resources, and its labels.
--
-- grain   project_id, resource_id, meter
-- reads   rated_usage, usage_segment, active_series, rate, label_range
-- writes  project_id       TEXT
--         resource_id      TEXT not null
--         meter            TEXT not null
--         service          TEXT
--         quantity         DECIMAL(28,9) not null    as metered
--         unit             TEXT not null
--         contracted_cost  DECIMAL(38,18) not null
--         cost_rank        BIGINT not null           1 is the dearest
--         labels           TEXT not null             as last known, such as cost_center=4711; name=web-1
--         display_name     TEXT                      of the label of that name
WITH consumed AS (
  SELECT active_series.project_id, active_series.resource_id, active_series.meter, active_series.unit,
         MAX(active_series.stream_id) AS stream_id,
         CAST(SUM(CAST(usage_segment.consumed_quantity AS DECIMAL(50,9))) AS DECIMAL(28,9)) AS quantity
  FROM usage_segment
  JOIN active_series ON active_series.series_id = usage_segment.series_id
  GROUP BY active_series.project_id, active_series.resource_id, active_series.meter, active_series.unit
),
cost AS (
  SELECT active_series.project_id, active_series.resource_id, active_series.meter,
         MIN(CASE WHEN rated_usage.component = 'base' THEN rate.service END) AS service,
         CAST(SUM(CAST(rated_usage.contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost
  FROM rated_usage
  JOIN active_series ON active_series.series_id = rated_usage.series_id
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  GROUP BY active_series.project_id, active_series.resource_id, active_series.meter
),
last_label AS (
  SELECT stream_id,
         STRING_AGG(concat(key, '=', value), '; ' ORDER BY key) AS labels,
         MAX(CASE WHEN key = 'display_name' THEN value END) AS display_name
  FROM label_range
  WHERE next_date IS NULL
  GROUP BY stream_id
)
SELECT cost.project_id,
       cost.resource_id,
       cost.meter,
       cost.service,
       consumed.quantity,
       consumed.unit,
       cost.contracted_cost,
       CAST(ROW_NUMBER() OVER (PARTITION BY cost.project_id ORDER BY cost.contracted_cost DESC, cost.resource_id, cost.meter) AS BIGINT) AS cost_rank,
       COALESCE(last_label.labels, '') AS labels,
       last_label.display_name
FROM cost
JOIN consumed ON consumed.project_id IS NOT DISTINCT FROM cost.project_id AND consumed.resource_id = cost.resource_id AND consumed.meter = cost.meter
LEFT JOIN last_label ON last_label.stream_id = consumed.stream_id
ORDER BY project_id NULLS LAST, resource_id, meter
