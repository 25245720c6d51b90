-- unrated_usage: usage without a price in the base component, or without a factor, with the reason.
--
-- grain   series_id, charge_date, segment_start, component
-- reads   usage_segment, applicable_rate, active_series, series_tuple, rate_match, rate, rate_validity
-- writes  account_id         TEXT
--         project_id         TEXT
--         series_id          BIGINT UNSIGNED not null
--         charge_date        DATE not null
--         segment_start      TIMESTAMP not null
--         component          TEXT not null
--         reason             TEXT not null   no_rule, no_match, no_price, missing_dimension, no_factor
--         consumed_quantity  DECIMAL(38,9) not null
--
-- A missing price affects all usage of a series in a segment and is rare. It is therefore searched before usage is
-- joined.
WITH ruled AS (
  SELECT DISTINCT rate.meter, rate_validity.segment_start
  FROM rate
  JOIN rate_validity ON rate_validity.rate_id = rate.rate_id
  WHERE rate.component = 'base'
),
problem AS (
  SELECT series_tuple.series_id, rate_validity.segment_start, MAX(rate_match.problem) AS problem
  FROM series_tuple
  JOIN rate_match ON rate_match.tuple_id = series_tuple.tuple_id
  JOIN rate ON rate.rate_id = rate_match.rate_id
  JOIN rate_validity ON rate_validity.rate_id = rate.rate_id
  WHERE rate.component = 'base' AND rate_match.problem IS NOT NULL
  GROUP BY series_tuple.series_id, rate_validity.segment_start
),
lacking AS (
  SELECT active_series.series_id, segment.segment_start, 'base' AS component,
         CASE WHEN ruled.meter IS NULL THEN 'no_rule' ELSE COALESCE(problem.problem, 'no_match') END AS reason
  FROM (SELECT DISTINCT segment_start FROM usage_segment) AS segment
  CROSS JOIN active_series
  LEFT JOIN applicable_rate ON applicable_rate.series_id = active_series.series_id
   AND applicable_rate.segment_start = segment.segment_start AND applicable_rate.component = 'base'
  LEFT JOIN ruled ON ruled.meter = active_series.meter AND ruled.segment_start = segment.segment_start
  LEFT JOIN problem ON problem.series_id = active_series.series_id AND problem.segment_start = segment.segment_start
  WHERE applicable_rate.series_id IS NULL
  UNION ALL
  SELECT series_id, segment_start, component, 'no_factor'
  FROM applicable_rate
  WHERE factor IS NULL
)
SELECT active_series.account_id,
       active_series.project_id,
       usage_segment.series_id,
       usage_segment.charge_date,
       usage_segment.segment_start,
       lacking.component,
       lacking.reason,
       usage_segment.consumed_quantity
FROM lacking
JOIN usage_segment ON usage_segment.series_id = lacking.series_id
 AND usage_segment.segment_start = lacking.segment_start
JOIN active_series ON active_series.series_id = lacking.series_id
ORDER BY series_id, charge_date, segment_start, component
