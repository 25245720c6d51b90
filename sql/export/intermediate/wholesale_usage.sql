-- wholesale_usage: the cost that a reseller owes for its customers' usage, in the reseller's currency.
--
-- grain   series_id, project_id, charge_date, segment_start, currency
-- reads   rated_usage, rate, payer_series, reseller_currency, exchange_rate
-- calls   convert_cost
-- params  $currency  TEXT   of the seller, ISO 4217
-- writes  series_id        BIGINT UNSIGNED not null   by which the reseller owes the usage
--         project_id       TEXT
--         charge_date      DATE not null
--         segment_start    TIMESTAMP not null
--         currency         TEXT not null              of the reseller
--         contracted_cost  DECIMAL(38,18)             null if a price currency has no exchange rate
WITH reseller_series AS (
  SELECT DISTINCT payer_series.seller_series_id AS series_id, reseller_currency.currency
  FROM payer_series
  JOIN reseller_currency ON reseller_currency.sold_by = payer_series.sold_by
  WHERE payer_series.status = 'retail'
),
converted AS (
  SELECT rated_usage.series_id, rated_usage.project_id, rated_usage.charge_date, rated_usage.segment_start,
         reseller_series.currency,
         convert_cost(rated_usage.contracted_cost, exchange_rate.multiplier, exchange_rate.divisor) AS contracted_cost
  FROM rated_usage
  JOIN reseller_series ON reseller_series.series_id = rated_usage.series_id
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  LEFT JOIN exchange_rate ON exchange_rate.price_currency = rate.currency
   AND exchange_rate.currency = reseller_series.currency
)
SELECT series_id,
       project_id,
       charge_date,
       segment_start,
       currency,
       CASE WHEN COUNT(*) = COUNT(contracted_cost)
            THEN CAST(SUM(CAST(contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) END AS contracted_cost
FROM converted
GROUP BY series_id, project_id, charge_date, segment_start, currency
