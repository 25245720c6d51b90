-- rate_tie: two rates of a component that share the highest precedence, with the number of affected series.
--
-- grain   first_rate_id, second_rate_id
-- reads   candidate_rate
-- writes  first_rate_id   TEXT not null
--         second_rate_id  TEXT not null
--         series_count    BIGINT not null
--         series_id       BIGINT UNSIGNED not null   one of these series
--
-- Only used series have candidates, so a tie without usage does not stop a run.
WITH best AS (
  SELECT series_id, component, segment_start, MAX(precedence) AS precedence
  FROM candidate_rate
  GROUP BY series_id, component, segment_start
),
winner AS (
  SELECT candidate_rate.series_id, candidate_rate.component, candidate_rate.segment_start, candidate_rate.rate_id
  FROM candidate_rate
  JOIN best ON best.series_id = candidate_rate.series_id AND best.component = candidate_rate.component
   AND best.segment_start = candidate_rate.segment_start AND best.precedence = candidate_rate.precedence
)
SELECT first.rate_id AS first_rate_id,
       second.rate_id AS second_rate_id,
       COUNT(DISTINCT first.series_id) AS series_count,
       MIN(first.series_id) AS series_id
FROM winner AS first
JOIN winner AS second ON second.series_id = first.series_id AND second.component = first.component
 AND second.segment_start = first.segment_start AND second.rate_id > first.rate_id
GROUP BY first.rate_id, second.rate_id
ORDER BY first_rate_id, second_rate_id
