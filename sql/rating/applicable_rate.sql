-- applicable_rate: the rate with the highest precedence in each component, for a series in a segment.
--
-- grain   series_id, component, segment_start
-- reads   candidate_rate, series_tuple, factor_match
-- writes  series_id      BIGINT UNSIGNED not null
--         component      TEXT not null
--         segment_start  TIMESTAMP not null
--         rate_id        TEXT not null
--         unit_price     DECIMAL(28,12)
--         multiplier     DECIMAL(28,9) not null
--         cap_quantity   DECIMAL(38,9)
--         cap_price      DECIMAL(28,12)
--         maximum        DECIMAL(28,12)
--         factor         DECIMAL(28,12)   null if a factor applies that has no value for this series
--         line_by        TEXT not null
--
-- If two rates share the highest precedence, the run has failed earlier: rate_tie lists them.
WITH highest AS (
  SELECT series_id, component, segment_start, MAX(precedence) AS precedence
  FROM candidate_rate
  GROUP BY series_id, component, segment_start
),
winner AS (
  SELECT candidate_rate.series_id, candidate_rate.component, candidate_rate.segment_start, candidate_rate.rate_id,
         candidate_rate.unit_price, candidate_rate.multiplier, candidate_rate.cap_quantity, candidate_rate.cap_price,
         candidate_rate.maximum,
         candidate_rate.line_by
  FROM candidate_rate
  JOIN highest ON highest.series_id = candidate_rate.series_id AND highest.component = candidate_rate.component
   AND highest.segment_start = candidate_rate.segment_start AND highest.precedence = candidate_rate.precedence
),
factored AS (
  SELECT series_tuple.series_id, factor_match.component, factor_match.segment_start, factor_match.factor
  FROM series_tuple
  JOIN factor_match ON factor_match.tuple_id = series_tuple.tuple_id
)
SELECT winner.series_id,
       winner.component,
       winner.segment_start,
       winner.rate_id,
       winner.unit_price,
       winner.multiplier,
       winner.cap_quantity,
       winner.cap_price,
       winner.maximum,
       CASE WHEN factored.series_id IS NULL THEN CAST(1 AS DECIMAL(28,12)) ELSE factored.factor END AS factor,
       winner.line_by
FROM winner
LEFT JOIN factored ON factored.series_id = winner.series_id AND factored.component = winner.component
 AND factored.segment_start = winner.segment_start
ORDER BY series_id, component, segment_start
