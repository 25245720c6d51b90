-- resource_cost: what each resource of a project cost by meter, with its rank among the project's resources.
--
-- grain   account_id, project_id, resource_id, meter
-- reads   rated_usage, usage_segment, active_series, rate, exchange_rate
-- params  $currency TEXT                    of the seller, ISO 4217
-- writes  account_id       TEXT
--         project_id       TEXT
--         resource_id      TEXT not null
--         meter            TEXT not null
--         service          TEXT
--         quantity         DECIMAL(38,9) not null    as metered
--         unit             TEXT not null
--         contracted_cost  DECIMAL(38,18) not null
--         cost_rank        BIGINT not null           1 is the dearest
--         stream_id        BIGINT UNSIGNED not null   whose labels are shown
--
-- Costs are in the seller's currency, at the rates of the period. Each charge is converted and rounded by itself before anything is
-- added, so that whatever a project's charges are summed by adds up to the same. Of prices in a currency without a rate there is none.
WITH consumed AS (
  SELECT active_series.account_id, active_series.project_id, active_series.resource_id, active_series.meter, active_series.unit,
         MAX(active_series.stream_id) AS stream_id,
         CAST(SUM(CAST(usage_segment.consumed_quantity AS DECIMAL(50,9))) AS DECIMAL(38,9)) AS quantity
  FROM usage_segment
  JOIN active_series ON active_series.series_id = usage_segment.series_id
  GROUP BY active_series.account_id, active_series.project_id, active_series.resource_id, active_series.meter, active_series.unit
),
exchanged AS (
  SELECT rated_usage.series_id, CASE WHEN rated_usage.component = 'base' THEN rate.service END AS service,
         CASE WHEN exchange_rate.multiplier = exchange_rate.divisor THEN CAST(rated_usage.contracted_cost AS DECIMAL(60,18)) ELSE CAST(CAST(rated_usage.contracted_cost AS DECIMAL(44,18)) * CAST(exchange_rate.multiplier AS DECIMAL(40,12)) / CAST(exchange_rate.divisor AS DECIMAL(40,12)) AS DECIMAL(60,18)) END AS contracted_cost
  FROM rated_usage
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  LEFT JOIN exchange_rate ON exchange_rate.price_currency = rate.currency AND exchange_rate.currency = CAST($currency AS TEXT)
),
cost AS (
  SELECT active_series.account_id, active_series.project_id, active_series.resource_id, active_series.meter, MIN(exchanged.service) AS service,
         CAST(COALESCE(SUM(exchanged.contracted_cost), CAST(0 AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost
  FROM exchanged
  JOIN active_series ON active_series.series_id = exchanged.series_id
  GROUP BY active_series.account_id, active_series.project_id, active_series.resource_id, active_series.meter
)
SELECT cost.account_id,
       cost.project_id,
       cost.resource_id,
       cost.meter,
       cost.service,
       consumed.quantity,
       consumed.unit,
       cost.contracted_cost,
       CAST(ROW_NUMBER() OVER (PARTITION BY cost.account_id, cost.project_id ORDER BY cost.contracted_cost DESC, cost.resource_id, cost.meter) AS BIGINT) AS cost_rank,
       consumed.stream_id
FROM cost
JOIN consumed ON (consumed.account_id IS NOT DISTINCT FROM cost.account_id) AND (consumed.project_id IS NOT DISTINCT FROM cost.project_id) AND consumed.resource_id = cost.resource_id AND consumed.meter = cost.meter
ORDER BY account_id NULLS LAST, project_id NULLS LAST, resource_id, meter
