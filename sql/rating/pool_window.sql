-- pool_window: the quantity of a window of usage in its pool, for usage that is counted by windows.
--
-- grain   priced_number, window_start
-- reads   usage_segment, metered_usage, charge_segment, priced_series, covered_window, payer_series, unique_value
-- calls   pool_quantity, pool_totals
-- writes  priced_number       BIGINT not null
--         window_start        TIMESTAMP not null
--         charge_date         DATE not null
--         segment_start       TIMESTAMP not null
--         usage_order         BIGINT not null
--         pool_number         BIGINT not null
--         percentile_discard  DECIMAL(12,9)            null if each window counts
--         pool_quantity       DECIMAL(38,9) not null   in metered units, with the rule's multiplier
--
-- Usage that a reservation or an hourly commitment covers does not count. If the meter counts different values, each
-- window counts its own values. Windows without usage have no row.
WITH covered AS (
  SELECT series_id, window_start,
         CAST(SUM(CAST(covered_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9)) AS covered_quantity
  FROM covered_window
  GROUP BY series_id, window_start
),
windowed AS (
  SELECT priced_series.pool_number, priced_series.percentile_discard, priced_series.priced_number,
         priced_series.usage_order, priced_series.multiplier,
         usage_segment.charge_date, usage_segment.segment_start, metered_usage.window_start, unique_value.value_number,
         pool_quantity(metered_usage.consumed_quantity, covered.covered_quantity, priced_series.multiplier,
                       priced_series.priced_number, usage_segment.charge_date) AS quantity
  FROM priced_series
  JOIN usage_segment ON usage_segment.series_id = priced_series.series_id
   AND usage_segment.segment_start = priced_series.segment_start
  LEFT JOIN payer_series ON payer_series.series_id = usage_segment.series_id
  JOIN metered_usage ON metered_usage.series_id = COALESCE(payer_series.metered_series_id, usage_segment.series_id)
   AND metered_usage.charge_date = usage_segment.charge_date
  JOIN charge_segment ON charge_segment.charge_date = usage_segment.charge_date
   AND charge_segment.segment_start = usage_segment.segment_start
   AND metered_usage.window_start >= charge_segment.part_start AND metered_usage.window_start < charge_segment.part_end
  LEFT JOIN covered ON covered.series_id = usage_segment.series_id AND covered.window_start = metered_usage.window_start
   AND priced_series.component = 'base'
  LEFT JOIN unique_value ON unique_value.series_id = usage_segment.series_id
  WHERE priced_series.by_window AND metered_usage.consumed_quantity <> 0
),
counted AS (
  SELECT pool_number, window_start, percentile_discard,
         unnest(pool_totals(charge_date, segment_start, usage_order, priced_number, quantity, value_number, multiplier,
                            CAST(NULL AS DECIMAL(38,9)), CAST(NULL AS TEXT), FALSE)) AS counted
  FROM windowed
  GROUP BY pool_number, window_start, percentile_discard
)
SELECT counted['priced_number'] AS priced_number,
       window_start,
       counted['charge_date'] AS charge_date,
       counted['segment_start'] AS segment_start,
       counted['usage_order'] AS usage_order,
       pool_number,
       percentile_discard,
       counted['pool_quantity'] AS pool_quantity
FROM counted
ORDER BY priced_number, window_start
