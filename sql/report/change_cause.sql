-- change_cause: a charge of an account whose amount differs from the month before, with the cause.
--
-- grain   account_id, currency, charge_category, service, name, unit, corrected_period
-- reads   billed_amount
-- params  $billing_period_start  DATE   of the later month
-- writes  account_id        TEXT not null
--         currency          TEXT not null
--         charge_category   TEXT not null
--         service           TEXT not null            empty for discounts and credits
--         name              TEXT not null
--         unit              TEXT not null
--         corrected_period  TEXT not null            another month that the charge corrects; empty for none
--         cause             TEXT not null            new, ended, quantity, price, quantity_and_price, or amount for a
--                                                    charge without a quantity
--         quantity_before   DECIMAL(38,9) not null
--         quantity          DECIMAL(38,9) not null
--         amount_before     DECIMAL(28,4) not null
--         amount            DECIMAL(28,4) not null
--         difference        DECIMAL(28,4) not null   amount minus amount_before
--
-- Unrounded costs decide the cause. A price changed if the costs are not in proportion to the quantities: tiers and
-- minimums change the average price too.
WITH charge AS (
  SELECT account_id, currency, charge_category, service, name, unit, corrected_period,
         bool_or(NOT is_of_period) AS was_charged,
         bool_or(is_of_period) AS is_charged,
         CAST(SUM(CASE WHEN is_of_period THEN CAST(0 AS DECIMAL(50,9))
                       ELSE CAST(quantity AS DECIMAL(50,9)) END) AS DECIMAL(38,9)) AS quantity_before,
         CAST(SUM(CASE WHEN is_of_period THEN CAST(quantity AS DECIMAL(50,9))
                       ELSE CAST(0 AS DECIMAL(50,9)) END) AS DECIMAL(38,9)) AS quantity,
         CAST(SUM(CASE WHEN is_of_period THEN CAST(0 AS DECIMAL(60,18))
                       ELSE CAST(contracted_cost AS DECIMAL(60,18)) END) AS DECIMAL(38,18)) AS cost_before,
         CAST(SUM(CASE WHEN is_of_period THEN CAST(contracted_cost AS DECIMAL(60,18))
                       ELSE CAST(0 AS DECIMAL(60,18)) END) AS DECIMAL(38,18)) AS cost,
         CAST(SUM(CASE WHEN is_of_period THEN CAST(0 AS DECIMAL(50,4))
                       ELSE CAST(net_amount AS DECIMAL(50,4)) END) AS DECIMAL(28,4)) AS amount_before,
         CAST(SUM(CASE WHEN is_of_period THEN CAST(net_amount AS DECIMAL(50,4))
                       ELSE CAST(0 AS DECIMAL(50,4)) END) AS DECIMAL(28,4)) AS amount
  FROM billed_amount
  GROUP BY account_id, currency, charge_category, service, name, unit, corrected_period
)
SELECT account_id, currency, charge_category, service, name, unit, corrected_period,
       CASE WHEN NOT was_charged THEN 'new'
            WHEN NOT is_charged THEN 'ended'
            WHEN charge_category IN ('Allowance', 'Adjustment') THEN 'amount'
            WHEN quantity = quantity_before THEN 'price'
            WHEN CAST(cost AS DECIMAL(46,18)) * CAST(quantity_before AS DECIMAL(29,9))
                   = CAST(cost_before AS DECIMAL(46,18)) * CAST(quantity AS DECIMAL(29,9)) THEN 'quantity'
            ELSE 'quantity_and_price' END AS cause,
       quantity_before, quantity, amount_before, amount,
       CAST(amount - amount_before AS DECIMAL(28,4)) AS difference
FROM charge
WHERE amount <> amount_before
ORDER BY account_id, currency, charge_category, service, name, unit, corrected_period
