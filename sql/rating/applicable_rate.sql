-- applicable_rate: the rate that wins in each component, for a series in a segment.
--
-- grain   series_id, component, segment_start
-- reads   candidate_rate, series_tuple, factor_match
-- writes  series_id      BIGINT UNSIGNED not null
--         component      TEXT not null
--         segment_start  TIMESTAMP not null
--         rate_id        TEXT not null
--         unit_price     DECIMAL(28,12)
--         multiplier     DECIMAL(28,9) not null
--         factor         DECIMAL(28,12)   absent: a factor applies, but holds nothing for this series
--         line_by        TEXT not null
WITH ranked AS (
  SELECT series_id, component, segment_start, rate_id, unit_price, multiplier, line_by,
         ROW_NUMBER() OVER (PARTITION BY series_id, component, segment_start ORDER BY priority DESC, rate_id) AS preference
  FROM candidate_rate
),
factored AS (
  SELECT series_tuple.series_id, factor_match.component, factor_match.segment_start, factor_match.factor
  FROM series_tuple
  JOIN factor_match ON factor_match.tuple_id = series_tuple.tuple_id
)
SELECT ranked.series_id,
       ranked.component,
       ranked.segment_start,
       ranked.rate_id,
       ranked.unit_price,
       ranked.multiplier,
       CASE WHEN factored.series_id IS NULL THEN CAST(1 AS DECIMAL(28,12)) ELSE factored.factor END AS factor,
       ranked.line_by
FROM ranked
LEFT JOIN factored ON factored.series_id = ranked.series_id AND factored.component = ranked.component
 AND factored.segment_start = ranked.segment_start
WHERE ranked.preference = 1
ORDER BY series_id, component, segment_start
