-- pool_limit: the bounds on the cost of a pool or of its tiers, for a price that has any.
--
-- grain   priced_number
-- reads   priced_series, tier_price
-- writes  series_id      BIGINT UNSIGNED not null
--         priced_number  BIGINT not null
--         is_shared      BOOLEAN not null
--         minimum        DECIMAL(28,12)
--         maximum        DECIMAL(28,12)
--         cap_quantity   DECIMAL(38,9)
--         cap_price      DECIMAL(28,12)
--
-- A price without any bound has no row. A price whose only bound is the maximum amount of a tier has no bound here.
WITH limited AS (
  SELECT DISTINCT priced_number
  FROM tier_price
  WHERE max_amount IS NOT NULL
)
SELECT priced_series.series_id,
       priced_series.priced_number,
       priced_series.is_shared,
       priced_series.minimum,
       priced_series.maximum,
       priced_series.cap_quantity,
       priced_series.cap_price
FROM priced_series
LEFT JOIN limited ON limited.priced_number = priced_series.priced_number
WHERE priced_series.minimum IS NOT NULL OR priced_series.maximum IS NOT NULL
  OR priced_series.cap_quantity IS NOT NULL OR limited.priced_number IS NOT NULL
ORDER BY priced_number
