-- factored_price: a unit price that is the product of a price and of factors, for the usage of a project.
--
-- grain   account_id, project_id, component, sku, line_by, price_currency, contracted_unit_price
-- reads   applicable_rate, active_series, rate, rate_tier
-- writes  account_id             TEXT not null
--         project_id             TEXT not null
--         component              TEXT not null
--         sku                    TEXT not null
--         line_by                TEXT not null
--         price_currency         TEXT not null
--         contracted_unit_price  DECIMAL(28,12) not null
--         base_unit_price        DECIMAL(28,12) not null   before the factors
--         factor                 DECIMAL(28,12) not null   product of all factors; never one
--
-- If several prices or factors have the same product, their usage is on one line. No row explains such a line.
WITH priced AS (
  SELECT DISTINCT active_series.account_id, active_series.project_id, applicable_rate.component,
         applicable_rate.rate_id, applicable_rate.unit_price, applicable_rate.factor, applicable_rate.line_by
  FROM applicable_rate
  JOIN active_series ON active_series.series_id = applicable_rate.series_id
  WHERE applicable_rate.factor IS NOT NULL AND active_series.account_id IS NOT NULL
    AND active_series.project_id IS NOT NULL
),
tier AS (
  SELECT priced.account_id, priced.project_id, priced.component, rate.sku, priced.line_by,
         rate.currency AS price_currency, priced.factor,
         COALESCE(CASE WHEN rate_tier.tier_number > 0 THEN priced.unit_price END, rate_tier.unit_price)
           AS base_unit_price
  FROM priced
  JOIN rate ON rate.rate_id = priced.rate_id
  JOIN rate_tier ON rate_tier.rate_id = priced.rate_id
),
product AS (
  SELECT account_id, project_id, component, sku, line_by, price_currency, base_unit_price, factor,
         CAST(base_unit_price * factor AS DECIMAL(28,12)) AS contracted_unit_price
  FROM tier
  WHERE base_unit_price <> 0
)
SELECT account_id,
       project_id,
       component,
       sku,
       line_by,
       price_currency,
       contracted_unit_price,
       MIN(base_unit_price) AS base_unit_price,
       MIN(factor) AS factor
FROM product
GROUP BY account_id, project_id, component, sku, line_by, price_currency, contracted_unit_price
HAVING MIN(base_unit_price) = MAX(base_unit_price) AND MIN(factor) = MAX(factor) AND MIN(factor) <> 1
ORDER BY account_id, project_id, component, sku, line_by, price_currency, contracted_unit_price
