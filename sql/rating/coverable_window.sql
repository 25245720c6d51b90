-- coverable_window: a window of usage that a commitment discount can cover, in the order of coverage.
--
-- grain   account_id, window_start, usage_order, series_id
-- reads   usage_segment, coverable_series, priced_series, rate, rate_tier, metered_usage, charge_segment, payer_series
-- writes  account_id         TEXT not null
--         window_start       TIMESTAMP not null
--         usage_order        BIGINT not null
--         series_id          BIGINT UNSIGNED not null
--         charge_date        DATE not null
--         segment_start      TIMESTAMP not null
--         consumed_quantity  DECIMAL(38,9) not null
--         multiplier         DECIMAL(28,9) not null
--         pricing_divisor    DECIMAL(28,9) not null
--         unit_price         DECIMAL(28,12) not null   price of the first tier in the base component
--         price_per          DECIMAL(28,9) not null
--         currency           TEXT not null             of the price
SELECT priced_series.account_id,
       metered_usage.window_start,
       priced_series.usage_order,
       usage_segment.series_id,
       usage_segment.charge_date,
       usage_segment.segment_start,
       metered_usage.consumed_quantity,
       priced_series.multiplier,
       priced_series.pricing_divisor,
       CAST(COALESCE(priced_series.unit_price, rate_tier.unit_price) * priced_series.factor AS DECIMAL(28,12))
         AS unit_price,
       rate_tier.price_per,
       rate.currency
FROM usage_segment
JOIN coverable_series ON coverable_series.series_id = usage_segment.series_id
JOIN priced_series ON priced_series.series_id = usage_segment.series_id
 AND priced_series.segment_start = usage_segment.segment_start
 AND priced_series.component = 'base'
JOIN rate ON rate.rate_id = priced_series.rate_id
JOIN rate_tier ON rate_tier.rate_id = priced_series.rate_id AND rate_tier.tier_number = 1
LEFT JOIN payer_series ON payer_series.series_id = usage_segment.series_id
JOIN metered_usage ON metered_usage.series_id = COALESCE(payer_series.metered_series_id, usage_segment.series_id)
 AND metered_usage.charge_date = usage_segment.charge_date
JOIN charge_segment ON charge_segment.charge_date = usage_segment.charge_date
 AND charge_segment.segment_start = usage_segment.segment_start
 AND metered_usage.window_start >= charge_segment.part_start AND metered_usage.window_start < charge_segment.part_end
WHERE metered_usage.consumed_quantity > 0 AND priced_series.account_id IS NOT NULL
ORDER BY account_id, window_start, usage_order, series_id
