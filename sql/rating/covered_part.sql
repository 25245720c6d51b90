-- covered_part: the covered quantity of a series on a date, in priced units of its rate.
--
-- grain   series_id, charge_date, segment_start
-- reads   covered_window, usage_segment, priced_series
-- writes  series_id         BIGINT UNSIGNED not null
--         charge_date       DATE not null
--         segment_start     TIMESTAMP not null
--         priced_number     BIGINT not null   of the base component: other components are never covered
--         pricing_quantity  DECIMAL(38,9) not null
SELECT covered_window.series_id,
       covered_window.charge_date,
       covered_window.segment_start,
       priced_series.priced_number,
       CAST(SUM(CAST(covered_window.pricing_quantity AS DECIMAL(50,9))) AS DECIMAL(38,9)) AS pricing_quantity
FROM covered_window
JOIN usage_segment ON usage_segment.series_id = covered_window.series_id
 AND usage_segment.charge_date = covered_window.charge_date
 AND usage_segment.segment_start = covered_window.segment_start
JOIN priced_series ON priced_series.series_id = covered_window.series_id
 AND priced_series.segment_start = covered_window.segment_start
 AND priced_series.component = 'base'
GROUP BY covered_window.series_id, covered_window.charge_date, covered_window.segment_start, priced_series.priced_number
ORDER BY series_id, charge_date, segment_start
