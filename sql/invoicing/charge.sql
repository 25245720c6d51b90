-- charge: the usage of an account for one invoice line: one sku, unit price, tier and line_by value.
--
-- grain   account_id, project_id, service, component, sku, description, line_by, charge_kind, tier_start,
--         contracted_unit_price, price_currency, unit, unit_price_per, is_share
-- reads   rated_usage, active_series, rate
-- writes  account_id             TEXT not null
--         account_name           TEXT                      null if the project is its own account
--         project_id             TEXT not null
--         project_name           TEXT
--         service                TEXT not null
--         component              TEXT not null
--         sku                    TEXT not null
--         description            TEXT not null
--         line_by                TEXT not null
--         charge_kind            TEXT not null             usage, flat_fee, minimum, maximum, reserved
--         tier_start             DECIMAL(28,9) not null    distinguishes tiers that have the same price
--         contracted_unit_price  DECIMAL(28,12) not null
--         price_currency         TEXT not null             of the price and the cost
--         unit                   TEXT not null             empty if the line is an amount without a unit
--         unit_price_per         DECIMAL(28,9) not null    number of units that the price is for
--         charge_period_start    DATE not null             first date with usage
--         charge_period_end      DATE not null             exclusive: the day after the last date with usage
--         quantity               DECIMAL(38,9) not null
--         contracted_cost        DECIMAL(38,18) not null   unrounded
--         list_unit_price        DECIMAL(28,12)            on the public card; null if its parts have different prices
--         list_cost              DECIMAL(38,18) not null   cost of the same usage at the prices of the public card
--         is_share               BOOLEAN not null          of an amount that all projects of the account owe together
--
-- The order is that of the lines on an invoice: by service, the base component first, then the rest of the grain. Lines
-- that differ only in tier and price are in order of time.
--
-- The usage of a series at one price is added first. There are few such sums and many days, and only the sums need the
-- texts of a line.
WITH used AS (
  SELECT series_id, rate_id, line_by, charge_kind, tier_start, contracted_unit_price, unit_price_per,
         MIN(charge_date) AS first_date,
         MAX(charge_date) AS last_date,
         SUM(CAST(pricing_quantity AS DECIMAL(50,9))) AS pricing_quantity,
         SUM(CAST(contracted_cost AS DECIMAL(50,18))) AS contracted_cost,
         SUM(CAST(list_cost AS DECIMAL(50,18))) AS list_cost,
         COUNT(*) = COUNT(list_unit_price) AS is_listed,
         MIN(list_unit_price) AS lowest_list_price,
         MAX(list_unit_price) AS highest_list_price
  FROM rated_usage
  GROUP BY series_id, rate_id, line_by, charge_kind, tier_start, contracted_unit_price, unit_price_per
)
SELECT active_series.account_id,
       active_series.account_name,
       active_series.project_id,
       active_series.project_name,
       rate.service,
       rate.component,
       rate.sku,
       rate.description,
       used.line_by,
       used.charge_kind,
       used.tier_start,
       used.contracted_unit_price,
       rate.currency AS price_currency,
       CASE used.charge_kind WHEN 'usage' THEN rate.pricing_unit WHEN 'reserved' THEN rate.pricing_unit
                             WHEN 'flat_fee' THEN 'fee' ELSE '' END AS unit,
       used.unit_price_per,
       MIN(used.first_date) AS charge_period_start,
       CAST(MAX(used.last_date) + INTERVAL '1 day' AS DATE) AS charge_period_end,
       CASE WHEN used.charge_kind IN ('usage', 'flat_fee', 'reserved')
            THEN CAST(SUM(used.pricing_quantity) AS DECIMAL(38,9)) ELSE CAST(1 AS DECIMAL(38,9)) END AS quantity,
       CAST(SUM(used.contracted_cost) AS DECIMAL(38,18)) AS contracted_cost,
       CASE WHEN bool_and(used.is_listed) AND MIN(used.lowest_list_price) = MAX(used.highest_list_price)
            THEN MIN(used.lowest_list_price) END AS list_unit_price,
       CAST(SUM(used.list_cost) AS DECIMAL(38,18)) AS list_cost,
       rate.pool_scope = 'account' AND used.charge_kind IN ('flat_fee', 'minimum', 'maximum') AS is_share
FROM used
JOIN active_series ON active_series.series_id = used.series_id
JOIN rate ON rate.rate_id = used.rate_id
WHERE active_series.status IN ('invoiced', 'retail')
GROUP BY active_series.account_id, active_series.account_name, active_series.project_id, active_series.project_name,
         rate.service, rate.component, rate.sku, rate.description, used.line_by, used.charge_kind, used.tier_start,
         CASE used.charge_kind WHEN 'usage' THEN rate.pricing_unit WHEN 'reserved' THEN rate.pricing_unit
                               WHEN 'flat_fee' THEN 'fee' ELSE '' END,
         used.contracted_unit_price, rate.currency, used.unit_price_per,
         rate.pool_scope = 'account' AND used.charge_kind IN ('flat_fee', 'minimum', 'maximum')
HAVING SUM(used.pricing_quantity) <> 0 OR SUM(used.contracted_cost) <> 0
ORDER BY account_id, account_name NULLS FIRST, project_id, service, CASE WHEN component = 'base' THEN 0 ELSE 1 END,
         component, sku,
         description, line_by, CASE charge_kind WHEN 'usage' THEN 0 WHEN 'flat_fee' THEN 1 ELSE 2 END, charge_kind,
         charge_period_start, tier_start, contracted_unit_price, price_currency, unit, unit_price_per, is_share
