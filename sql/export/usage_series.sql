-- usage_series: the texts of a series in usage.csv on dates with the same labels, with its place among other series.
--
-- grain   series_id, first_date
-- reads   active_series, label_range, suspended_account
-- writes  series_number  BIGINT not null
--         series_id      BIGINT UNSIGNED not null
--         first_date     DATE not null            inclusive
--         next_date      DATE                     exclusive; null if it has no end
--         account_id     TEXT
--         project_id     TEXT
--         resource_id    TEXT not null
--         meter          TEXT not null
--         unit           TEXT not null
--         status         TEXT not null            of usage with a price
--         description    TEXT not null
--         labels         TEXT not null
--         position       DECIMAL(38,0) not null   from the right: account in the digits 31 to 37; project, resource
--                                                 and meter in 18 to 25; description and series in 5 to 12
WITH suspended AS (
  SELECT DISTINCT account_id, account_name
  FROM suspended_account
),
placed AS (
  SELECT active_series.series_id, active_series.stream_id, active_series.account_id, active_series.project_id,
         active_series.resource_id, active_series.meter, active_series.unit, active_series.description,
         CASE WHEN suspended.account_id IS NOT NULL AND active_series.status IN ('invoiced', 'retail') THEN 'suspended'
              ELSE active_series.status END AS status,
         CAST(CAST(DENSE_RANK() OVER (ORDER BY active_series.account_id) AS DECIMAL(7,0))
                * CAST('1000000000000000000000000000000' AS DECIMAL(31,0))
              + CAST(DENSE_RANK() OVER (ORDER BY active_series.project_id, active_series.resource_id,
                                                 active_series.meter) AS DECIMAL(8,0))
                * CAST('100000000000000000' AS DECIMAL(18,0))
              + CAST(ROW_NUMBER() OVER (ORDER BY active_series.description, active_series.series_id) AS DECIMAL(8,0))
                * CAST('10000' AS DECIMAL(5,0))
           AS DECIMAL(38,0)) AS position
  FROM active_series
  LEFT JOIN suspended ON suspended.account_id = active_series.account_id
   AND suspended.account_name IS NOT DISTINCT FROM active_series.account_name
),
label AS (
  SELECT stream_id, key, value, first_date, next_date
  FROM label_range
  WHERE stream_id IN (SELECT stream_id FROM active_series)
),
change AS (
  SELECT stream_id, CAST('0001-01-01' AS DATE) AS first_date
  FROM active_series
  UNION
  SELECT stream_id, first_date
  FROM label
  WHERE first_date IS NOT NULL
  UNION
  SELECT stream_id, next_date
  FROM label
  WHERE next_date IS NOT NULL
),
unchanged AS (
  SELECT stream_id, first_date, LEAD(first_date) OVER (PARTITION BY stream_id ORDER BY first_date) AS next_date
  FROM change
),
labelled AS (
  SELECT unchanged.stream_id, unchanged.first_date, unchanged.next_date,
         COALESCE(STRING_AGG(label.key || '=' || label.value, '; ' ORDER BY label.key), '') AS labels
  FROM unchanged
  LEFT JOIN label ON label.stream_id = unchanged.stream_id
   AND (label.first_date IS NULL OR label.first_date <= unchanged.first_date)
   AND (label.next_date IS NULL OR unchanged.first_date < label.next_date)
  GROUP BY unchanged.stream_id, unchanged.first_date, unchanged.next_date
)
SELECT CAST(ROW_NUMBER() OVER (ORDER BY placed.series_id, labelled.first_date) AS BIGINT) AS series_number,
       placed.series_id,
       labelled.first_date,
       labelled.next_date,
       placed.account_id,
       placed.project_id,
       placed.resource_id,
       placed.meter,
       placed.unit,
       placed.status,
       placed.description,
       labelled.labels,
       placed.position
FROM placed
JOIN labelled ON labelled.stream_id = placed.stream_id
ORDER BY series_id, first_date
