-- priced_series: what a series costs in a segment, with numbers in place of the texts that usage is grouped and ordered by.
--
-- grain   series_id, component, segment_start
-- reads   applicable_rate, rate, active_series
-- writes  series_id        BIGINT UNSIGNED not null
--         component        TEXT not null
--         segment_start    TIMESTAMP not null
--         priced_number    BIGINT not null             of this row
--         account_id       TEXT                        absent: nobody is known to pay
--         project_id       TEXT
--         rate_id          TEXT not null
--         line_by          TEXT not null
--         unit_price       DECIMAL(28,12)
--         multiplier       DECIMAL(28,9) not null
--         factor           DECIMAL(28,12) not null
--         pricing_divisor  DECIMAL(28,9) not null
--         cost_divisor     DECIMAL(38,9) not null
--         pool_number      BIGINT not null             usage with one number counts in one pool
--         pool_by_day      BOOLEAN not null            the pool begins anew on each date
--         line_group       BIGINT not null             usage of another number stands on other invoice lines
--         usage_order      BIGINT not null             what is used at one time fills tiers in this order
--
-- There are few rows here and many of usage: sorting by texts once here saves sorting all usage by them.
SELECT applicable_rate.series_id,
       applicable_rate.component,
       applicable_rate.segment_start,
       CAST(ROW_NUMBER() OVER (ORDER BY applicable_rate.series_id, applicable_rate.component, applicable_rate.segment_start) AS BIGINT) AS priced_number,
       active_series.account_id,
       active_series.project_id,
       applicable_rate.rate_id,
       applicable_rate.line_by,
       applicable_rate.unit_price,
       applicable_rate.multiplier,
       applicable_rate.factor,
       rate.pricing_divisor,
       rate.cost_divisor,
       CAST(DENSE_RANK() OVER (
         ORDER BY rate.pool, active_series.account_id, active_series.project_id,
                  CASE WHEN rate.pool_scope = 'resource' THEN active_series.resource_id END
       ) AS BIGINT) AS pool_number,
       rate.pool_period = 'day' AS pool_by_day,
       CAST(DENSE_RANK() OVER (
         ORDER BY active_series.account_id, active_series.project_id, rate.service, applicable_rate.component, rate.sku, rate.description,
                  applicable_rate.line_by, rate.pricing_unit, rate.price_per, rate.pricing_divisor
       ) AS BIGINT) AS line_group,
       CAST(DENSE_RANK() OVER (
         ORDER BY active_series.resource_id, rate.sku, active_series.meter, active_series.description, applicable_rate.component, rate.rate_id
       ) AS BIGINT) AS usage_order
FROM applicable_rate
JOIN rate ON rate.rate_id = applicable_rate.rate_id
JOIN active_series ON active_series.series_id = applicable_rate.series_id
WHERE applicable_rate.factor IS NOT NULL
ORDER BY series_id, component, segment_start
