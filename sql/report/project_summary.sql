-- project_summary: every project that used anything in the period or owes something for it, with what it cost each of its payers.
--
-- grain   project_id, account_id
-- reads   active_series, rated_usage, rate, usage_segment, non_usage_charge, exchange_rate
-- params  $currency TEXT                    of the seller, ISO 4217
-- writes  project_id       TEXT
--         project_name     TEXT
--         account_id       TEXT
--         account_name     TEXT
--         status           TEXT not null
--         contracted_cost  DECIMAL(38,18) not null
--         list_cost        DECIMAL(38,18) not null   by the public card
--
-- Costs are in the seller's currency, at the rates of the period. Each charge is converted and rounded by itself before anything is
-- added, so that whatever a project's charges are summed by adds up to the same. Of prices in a currency without a rate there is none.
WITH known AS (
  SELECT active_series.project_id, active_series.project_name, active_series.account_id, active_series.account_name, active_series.status, 0 AS position
  FROM active_series
  WHERE active_series.series_id IN (SELECT usage_segment.series_id FROM usage_segment)
  UNION
  SELECT project_id, project_name, account_id, account_name, status, 1
  FROM non_usage_charge
  WHERE project_id IS NOT NULL
),
ranked AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY project_id, account_id ORDER BY position, account_name NULLS FIRST, project_name, status) AS project_rank
  FROM known
),
used AS (
  SELECT project_id, project_name, account_id, account_name, status
  FROM ranked
  WHERE project_rank = 1
),
rated AS (
  SELECT rated_usage.series_id,
         SUM(CASE WHEN exchange_rate.multiplier = exchange_rate.divisor THEN CAST(rated_usage.contracted_cost AS DECIMAL(60,18)) ELSE CAST(CAST(rated_usage.contracted_cost AS DECIMAL(44,18)) * CAST(exchange_rate.multiplier AS DECIMAL(40,12)) / CAST(exchange_rate.divisor AS DECIMAL(40,12)) AS DECIMAL(60,18)) END) AS contracted_cost,
         SUM(CASE WHEN exchange_rate.multiplier = exchange_rate.divisor THEN CAST(rated_usage.list_cost AS DECIMAL(60,18)) ELSE CAST(CAST(rated_usage.list_cost AS DECIMAL(44,18)) * CAST(exchange_rate.multiplier AS DECIMAL(40,12)) / CAST(exchange_rate.divisor AS DECIMAL(40,12)) AS DECIMAL(60,18)) END) AS list_cost
  FROM rated_usage
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  LEFT JOIN exchange_rate ON exchange_rate.price_currency = rate.currency AND exchange_rate.currency = CAST($currency AS TEXT)
  GROUP BY rated_usage.series_id
),
owed AS (
  SELECT active_series.project_id, active_series.account_id, rated.contracted_cost, rated.list_cost
  FROM rated
  JOIN active_series ON active_series.series_id = rated.series_id
  UNION ALL
  SELECT non_usage_charge.project_id, non_usage_charge.account_id,
         CASE WHEN exchange_rate.multiplier = exchange_rate.divisor THEN CAST(non_usage_charge.contracted_cost AS DECIMAL(60,18)) ELSE CAST(CAST(non_usage_charge.contracted_cost AS DECIMAL(44,18)) * CAST(exchange_rate.multiplier AS DECIMAL(40,12)) / CAST(exchange_rate.divisor AS DECIMAL(40,12)) AS DECIMAL(60,18)) END,
         CASE WHEN non_usage_charge.charge_kind IN ('reservation', 'hourly_commitment') THEN CAST(0 AS DECIMAL(60,18)) ELSE CASE WHEN exchange_rate.multiplier = exchange_rate.divisor THEN CAST(non_usage_charge.contracted_cost AS DECIMAL(60,18)) ELSE CAST(CAST(non_usage_charge.contracted_cost AS DECIMAL(44,18)) * CAST(exchange_rate.multiplier AS DECIMAL(40,12)) / CAST(exchange_rate.divisor AS DECIMAL(40,12)) AS DECIMAL(60,18)) END END
  FROM non_usage_charge
  LEFT JOIN exchange_rate ON exchange_rate.price_currency = non_usage_charge.currency AND exchange_rate.currency = CAST($currency AS TEXT)
  WHERE non_usage_charge.project_id IS NOT NULL
),
cost AS (
  SELECT project_id, account_id, SUM(contracted_cost) AS contracted_cost, SUM(list_cost) AS list_cost
  FROM owed
  GROUP BY project_id, account_id
)
SELECT used.project_id,
       used.project_name,
       used.account_id,
       used.account_name,
       used.status,
       CAST(COALESCE(cost.contracted_cost, CAST(0 AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost,
       CAST(COALESCE(cost.list_cost, CAST(0 AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS list_cost
FROM used
LEFT JOIN cost ON (cost.project_id IS NOT DISTINCT FROM used.project_id) AND (cost.account_id IS NOT DISTINCT FROM used.account_id)
ORDER BY project_id NULLS LAST, account_id NULLS LAST
