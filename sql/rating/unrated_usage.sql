-- unrated_usage: usage that no rule of the base component prices, or that lacks a factor, with the reason.
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
--         consumed_quantity  DECIMAL(28,9) not null
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
unpriced AS (
  SELECT usage_segment.series_id, usage_segment.charge_date, usage_segment.segment_start, usage_segment.consumed_quantity,
         'base' AS component,
         CASE WHEN ruled.meter IS NULL THEN 'no_rule' ELSE COALESCE(problem.problem, 'no_match') END AS reason
  FROM usage_segment
  JOIN active_series ON active_series.series_id = usage_segment.series_id
  LEFT JOIN applicable_rate ON applicable_rate.series_id = usage_segment.series_id
   AND applicable_rate.segment_start = usage_segment.segment_start AND applicable_rate.component = 'base'
  LEFT JOIN ruled ON ruled.meter = active_series.meter AND ruled.segment_start = usage_segment.segment_start
  LEFT JOIN problem ON problem.series_id = usage_segment.series_id AND problem.segment_start = usage_segment.segment_start
  WHERE applicable_rate.series_id IS NULL
  UNION ALL
  SELECT usage_segment.series_id, usage_segment.charge_date, usage_segment.segment_start, usage_segment.consumed_quantity,
         applicable_rate.component, 'no_factor'
  FROM usage_segment
  JOIN applicable_rate ON applicable_rate.series_id = usage_segment.series_id
   AND applicable_rate.segment_start = usage_segment.segment_start
  WHERE applicable_rate.factor IS NULL
)
SELECT active_series.account_id,
       active_series.project_id,
       unpriced.series_id,
       unpriced.charge_date,
       unpriced.segment_start,
       unpriced.component,
       unpriced.reason,
       unpriced.consumed_quantity
FROM unpriced
JOIN active_series ON active_series.series_id = unpriced.series_id
ORDER BY series_id, charge_date, segment_start, component
