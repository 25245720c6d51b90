-- candidate_rate: a rate that gives a price for a used series in a segment, on a rate card of its account.
--
-- grain   series_id, component, segment_start, rate_id
-- reads   usage_segment, series_tuple, rate_match, rate, rate_validity, active_series, account_card
-- writes  series_id      BIGINT UNSIGNED not null
--         component      TEXT not null
--         segment_start  TIMESTAMP not null
--         rate_id        TEXT not null
--         precedence     BIGINT not null   higher on an earlier card, and within one card for a higher priority
--         unit_price     DECIMAL(28,12)
--         multiplier     DECIMAL(28,9) not null
--         cap_quantity   DECIMAL(38,9)
--         cap_price      DECIMAL(28,12)
--         maximum        DECIMAL(28,12)
--         line_by        TEXT not null
--
-- An account without its own list of cards uses the public card. Priorities are smaller than half of 10^12, so no
-- priority on a later card precedes a rate on an earlier card.
WITH used AS (
  SELECT DISTINCT series_id, segment_start
  FROM usage_segment
),
carded AS (
  SELECT DISTINCT account_id
  FROM account_card
)
SELECT series_tuple.series_id,
       rate.component,
       rate_validity.segment_start,
       rate.rate_id,
       rate.priority - COALESCE(account_card.card_number - 1, CAST(0 AS BIGINT)) * CAST(1000000000000 AS BIGINT)
         AS precedence,
       rate_match.unit_price,
       rate_match.multiplier,
       COALESCE(rate_match.cap_quantity, rate.cap_quantity) AS cap_quantity,
       COALESCE(rate_match.cap_price, rate.cap_price) AS cap_price,
       COALESCE(rate_match.maximum, rate.maximum) AS maximum,
       rate_match.line_by
FROM series_tuple
JOIN rate_match ON rate_match.tuple_id = series_tuple.tuple_id
JOIN rate ON rate.rate_id = rate_match.rate_id
JOIN rate_validity ON rate_validity.rate_id = rate.rate_id
JOIN used ON used.series_id = series_tuple.series_id AND used.segment_start = rate_validity.segment_start
JOIN active_series ON active_series.series_id = series_tuple.series_id
LEFT JOIN carded ON carded.account_id = active_series.account_id
LEFT JOIN account_card ON account_card.account_id = active_series.account_id AND account_card.card = rate.card
WHERE rate_match.problem IS NULL
  AND CASE WHEN carded.account_id IS NULL THEN rate.card = 'public' ELSE account_card.card IS NOT NULL END
ORDER BY series_id, component, segment_start, rate_id
