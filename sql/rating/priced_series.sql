-- priced_series: the price of a series in a segment, with numbers in place of the texts for grouping and sorting.
--
-- grain   series_id, component, segment_start
-- reads   applicable_rate, rate, active_series
-- writes  series_id           BIGINT UNSIGNED not null
--         component           TEXT not null
--         segment_start       TIMESTAMP not null
--         priced_number       BIGINT not null    number of this row
--         account_id          TEXT               null if no account is known to pay
--         project_id          TEXT
--         rate_id             TEXT not null
--         line_by             TEXT not null
--         unit_price          DECIMAL(28,12)
--         multiplier          DECIMAL(28,9) not null
--         factor              DECIMAL(28,12) not null
--         pricing_divisor     DECIMAL(28,9) not null
--         percentile_discard  DECIMAL(12,9)
--         rounding_multiple   DECIMAL(38,9)
--         rounding_direction  TEXT
--         rounding_by_day     BOOLEAN not null
--         flat_fee_at_zero    BOOLEAN not null
--         minimum             DECIMAL(28,12)     after the factor, as all amounts of this relation
--         maximum             DECIMAL(28,12)
--         cap_quantity        DECIMAL(38,9)
--         cap_price           DECIMAL(28,12)
--         pool_number         BIGINT not null    usage with equal numbers counts in the same pool
--         pool_period         TEXT not null
--         is_shared           BOOLEAN not null   several projects share the pool in proportion to their usage
--         by_window           BOOLEAN not null   the pool is computed from windows instead of days
--         line_group          BIGINT not null    usage with equal numbers is charged on the same invoice lines
--         usage_order         BIGINT not null    order in which simultaneous usage fills tiers
--
-- This relation is small and usage is large: sorting by texts once here avoids sorting all usage by them.
--
-- Usage counts towards a cap by its price. If 300 hours of a small machine are followed by hours of a large one, they
-- are two counts. Neither reaches the cap of the other.
SELECT applicable_rate.series_id,
       applicable_rate.component,
       applicable_rate.segment_start,
       CAST(ROW_NUMBER() OVER (
         ORDER BY applicable_rate.series_id, applicable_rate.component, applicable_rate.segment_start
       ) AS BIGINT) AS priced_number,
       active_series.account_id,
       active_series.project_id,
       applicable_rate.rate_id,
       applicable_rate.line_by,
       applicable_rate.unit_price,
       applicable_rate.multiplier,
       applicable_rate.factor,
       rate.pricing_divisor,
       rate.percentile_discard,
       rate.rounding_multiple,
       rate.rounding_direction,
       COALESCE(rate.rounding_period = 'day', FALSE) AS rounding_by_day,
       rate.flat_fee_at_zero,
       CAST(rate.minimum * applicable_rate.factor AS DECIMAL(28,12)) AS minimum,
       CAST(applicable_rate.maximum * applicable_rate.factor AS DECIMAL(28,12)) AS maximum,
       applicable_rate.cap_quantity,
       CAST(applicable_rate.cap_price * applicable_rate.factor AS DECIMAL(28,12)) AS cap_price,
       CAST(DENSE_RANK() OVER (
         ORDER BY rate.pool, active_series.account_id,
                  CASE WHEN rate.pool_scope <> 'account' THEN active_series.project_id END,
                  CASE WHEN rate.pool_scope = 'resource' THEN active_series.resource_id END,
                  applicable_rate.cap_quantity, applicable_rate.cap_price
       ) AS BIGINT) AS pool_number,
       rate.pool_period,
       rate.pool_scope = 'account' AS is_shared,
       rate.pool_period = 'window' OR rate.percentile_discard IS NOT NULL AS by_window,
       CAST(DENSE_RANK() OVER (
         ORDER BY active_series.account_id, active_series.project_id, rate.service, applicable_rate.component, rate.sku,
                  rate.description,
                  applicable_rate.line_by, rate.pricing_unit, rate.pricing_divisor
       ) AS BIGINT) AS line_group,
       CAST(DENSE_RANK() OVER (
         ORDER BY active_series.resource_id, rate.sku, active_series.meter, active_series.description,
                  applicable_rate.component, rate.rate_id,
                  active_series.project_id
       ) AS BIGINT) AS usage_order
FROM applicable_rate
JOIN rate ON rate.rate_id = applicable_rate.rate_id
JOIN active_series ON active_series.series_id = applicable_rate.series_id
WHERE applicable_rate.factor IS NOT NULL
ORDER BY series_id, component, segment_start
