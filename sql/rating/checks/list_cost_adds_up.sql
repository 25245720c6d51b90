-- list_cost_adds_up: the list cost of an account with its own card is assigned to its usage completely.
--
-- reads   list_price, rated_usage, rate
--
-- Usage without an own price, or with an own price in another currency, has no row to compare.
WITH listed AS (
  SELECT series_id, charge_date, segment_start, component, currency, SUM(CAST(list_cost AS DECIMAL(60,18))) AS list_cost
  FROM list_price
  GROUP BY series_id, charge_date, segment_start, component, currency
),
rated AS (
  SELECT rated_usage.series_id, rated_usage.charge_date, rated_usage.segment_start, rated_usage.component,
         rate.currency,
         SUM(CAST(rated_usage.list_cost AS DECIMAL(60,18))) AS list_cost
  FROM rated_usage
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  GROUP BY rated_usage.series_id, rated_usage.charge_date, rated_usage.segment_start, rated_usage.component,
           rate.currency
)
SELECT listed.series_id, listed.charge_date, listed.segment_start, listed.component, listed.list_cost,
       rated.list_cost AS shared_cost
FROM listed
JOIN rated ON rated.series_id = listed.series_id AND rated.charge_date = listed.charge_date
 AND rated.segment_start = listed.segment_start AND rated.component = listed.component
 AND rated.currency = listed.currency
WHERE listed.list_cost <> rated.list_cost
ORDER BY series_id, charge_date, segment_start, component
