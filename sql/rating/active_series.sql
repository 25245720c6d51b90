-- active_series: a series with usage in the period, with all attributes that a rule can use.
--
-- grain   series_id
-- reads   used_series, series, stream, meter, project, payer_series
-- writes  series_id     BIGINT UNSIGNED not null
--         stream_id     BIGINT UNSIGNED not null
--         meter         TEXT not null
--         unit          TEXT not null   of the meter; empty if the rules no longer have the meter
--         resource_id   TEXT not null
--         project_id    TEXT
--         project_name  TEXT
--         account_id    TEXT
--         account_name  TEXT
--         status        TEXT not null   invoiced, internal, retail if a reseller invoices it, or unattributed if no
--                                       account is known to pay
--         description   TEXT not null
--         dimensions    MAP not null
--
-- A series that several accounts pay for has one row for each account, with an id of its own.
SELECT COALESCE(used_series.payer_series_id, series.series_id) AS series_id,
       series.stream_id,
       stream.meter,
       COALESCE(meter.unit, '') AS unit,
       stream.resource_id,
       series.project_id,
       COALESCE(project.project_name, payer_series.project_name) AS project_name,
       COALESCE(project.account_id, payer_series.account_id, series.project_id) AS account_id,
       COALESCE(project.account_name, payer_series.account_name) AS account_name,
       CASE WHEN series.project_id IS NULL THEN 'unattributed' WHEN project.internal THEN 'internal'
            ELSE COALESCE(payer_series.status, 'invoiced') END AS status,
       series.description,
       series.dimensions
FROM used_series
JOIN series ON series.series_id = used_series.metered_series_id
JOIN stream ON stream.stream_id = series.stream_id
LEFT JOIN meter ON meter.meter = stream.meter
LEFT JOIN project ON project.project_id = series.project_id
LEFT JOIN payer_series ON payer_series.series_id = used_series.payer_series_id
ORDER BY series_id
