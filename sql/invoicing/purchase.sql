-- purchase: a charge without usage for one invoice line, in the currency of the price.
--
-- grain   account_id, account_name, project_id, service, component, sku, description, line_by, charge_kind,
--         contracted_unit_price, price_currency, unit, unit_price_per
-- reads   non_usage_charge
-- writes  account_id             TEXT not null
--         account_name           TEXT                      null if the project is its own account
--         project_id             TEXT                      null for the account as a whole
--         project_name           TEXT
--         service                TEXT not null
--         component              TEXT not null             the charge kind, or unused_pool
--         sku                    TEXT not null
--         description            TEXT not null
--         line_by                TEXT not null
--         charge_kind            TEXT not null             recurring, one_off, reservation, hourly_commitment,
--                                                          flat_fee or minimum
--         tier_start             DECIMAL(28,9) not null    zero
--         contracted_unit_price  DECIMAL(28,12) not null
--         price_currency         TEXT not null             of the price and the cost
--         unit                   TEXT not null             empty if the line is an amount without a unit
--         unit_price_per         DECIMAL(28,9) not null    number of units that the price is for
--         charge_period_start    DATE not null
--         charge_period_end      DATE not null             exclusive
--         quantity               DECIMAL(38,9) not null    1 or -1 if the line is an amount without a unit
--         contracted_cost        DECIMAL(38,18) not null   unrounded
--
-- The columns are those of charge, and the rows become lines in the same way.
SELECT account_id,
       account_name,
       project_id,
       MAX(project_name) AS project_name,
       service,
       CASE WHEN charge_kind IN ('flat_fee', 'minimum') THEN 'unused_pool' ELSE charge_kind END AS component,
       sku,
       description,
       line_by,
       charge_kind,
       CAST(0 AS DECIMAL(28,9)) AS tier_start,
       contracted_unit_price,
       currency AS price_currency,
       unit,
       unit_price_per,
       MIN(charge_period_start) AS charge_period_start,
       MAX(charge_period_end) AS charge_period_end,
       CAST(CASE WHEN unit = '' AND charge_kind <> 'one_off' THEN CAST(1 AS DECIMAL(50,9))
                 ELSE SUM(CAST(quantity AS DECIMAL(50,9))) END AS DECIMAL(38,9)) AS quantity,
       CAST(SUM(CAST(contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost
FROM non_usage_charge
WHERE status IN ('invoiced', 'retail')
GROUP BY account_id, account_name, project_id, service,
         CASE WHEN charge_kind IN ('flat_fee', 'minimum') THEN 'unused_pool' ELSE charge_kind END,
         sku, description, line_by, charge_kind, contracted_unit_price, currency, unit, unit_price_per
HAVING SUM(CAST(quantity AS DECIMAL(50,9))) <> 0 OR SUM(CAST(contracted_cost AS DECIMAL(60,18))) <> 0
ORDER BY account_id, account_name NULLS FIRST, project_id NULLS FIRST, service, component, sku, description, line_by,
         charge_kind,
         contracted_unit_price, price_currency, unit, unit_price_per
