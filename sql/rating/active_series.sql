-- active_series: the series that were used in the period, with all that a rule can see of them.
--
-- grain   series_id
-- reads   metered_day, series, stream, meter, project
-- writes  series_id     BIGINT UNSIGNED not null
--         stream_id     BIGINT UNSIGNED not null
--         meter         TEXT not null
--         unit          TEXT not null   of the meter; empty where the rules do not have it any more
--         resource_id   TEXT not null
--         project_id    TEXT
--         project_name  TEXT
--         account_id    TEXT
--         account_name  TEXT
--         status        TEXT not null   invoiced, internal, or unattributed where nobody is known to pay
--         description   TEXT not null
--         dimensions    MAP not null
WITH used AS (
  SELECT DISTINCT series_id
  FROM metered_day
)
SELECT series.series_id,
       series.stream_id,
       stream.meter,
       COALESCE(meter.unit, '') AS unit,
       stream.resource_id,
       series.project_id,
       project.project_name,
       COALESCE(project.account_id, series.project_id) AS account_id,
       project.account_name,
       CASE WHEN series.project_id IS NULL THEN 'unattributed' WHEN project.internal THEN 'internal' ELSE 'invoiced' END AS status,
       series.description,
       series.dimensions
FROM used
JOIN series ON series.series_id = used.series_id
JOIN stream ON stream.stream_id = series.stream_id
LEFT JOIN meter ON meter.meter = stream.meter
LEFT JOIN project ON project.project_id = series.project_id
ORDER BY series_id
