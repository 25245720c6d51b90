-- unassigned_cost: the cost of usage without an account, by the currency of its prices.
--
-- grain   price_currency
-- reads   rated_usage, active_series, rate
-- params  $has_accounts  BIGINT   1 if accounts are configured, so that a project without one is unassigned
-- writes  price_currency   TEXT not null
--         contracted_cost  DECIMAL(38,18) not null   unrounded
SELECT rate.currency AS price_currency,
       CAST(SUM(CAST(rated_usage.contracted_cost AS DECIMAL(50,18))) AS DECIMAL(38,18)) AS contracted_cost
FROM rated_usage
JOIN active_series ON active_series.series_id = rated_usage.series_id
JOIN rate ON rate.rate_id = rated_usage.rate_id
WHERE active_series.project_id IS NULL
   OR (CAST($has_accounts AS BIGINT) = 1 AND active_series.account_name IS NULL)
GROUP BY rate.currency
ORDER BY price_currency
