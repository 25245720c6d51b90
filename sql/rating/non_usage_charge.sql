-- non_usage_charge: a charge that is not metered: a fee, a one-off charge, a commitment discount, or an unused pool.
--
-- grain   account_id, account_name, project_id, resource_id, rule_id, charge_kind, line_by, charge_period_start,
--         charge_period_end, service, sku, description, unit, contracted_unit_price, currency, unit_price_per
-- reads   metered_day, active_series, recurring, subscription, subscribed_series, earlier_non_usage_charge, idle_pool,
--         one_off_charge, committed_charge, priced_series, rate, payer_series
-- params  $billing_period_start  DATE
--         $billing_period_end    DATE   exclusive
-- writes  account_id             TEXT not null
--         account_name           TEXT                      null if the project is its own account
--         project_id             TEXT                      null for the account as a whole
--         project_name           TEXT
--         resource_id            TEXT not null             empty if the charge belongs to no resource
--         status                 TEXT not null             invoiced, internal or retail
--         rule_id                TEXT not null             id of the recurring fee, the one-off charge, the
--                                                          commitment, or the rule of the unused pool
--         charge_kind            TEXT not null             recurring, one_off, reservation, hourly_commitment,
--                                                          flat_fee or minimum
--         service                TEXT not null
--         sku                    TEXT not null
--         description            TEXT not null
--         line_by                TEXT not null             the month of a recurring fee, such as month=2026-11, or
--                                                          the id of a one-off charge, such as charge=setup
--         charge_period_start    DATE not null
--         charge_period_end      DATE not null             exclusive
--         quantity               DECIMAL(28,9) not null    negative for a compensation, or if it was paid in advance
--                                                          and is no longer owed
--         unit                   TEXT not null
--         contracted_unit_price  DECIMAL(28,12) not null
--         currency               TEXT not null             of the price and the cost
--         unit_price_per         DECIMAL(28,9) not null    number of units that the price is for; days of the month if
--                                                          only a part of it is owed
--         contracted_cost        DECIMAL(38,18) not null   unrounded
--         rule_file              TEXT not null
--         rule_line              BIGINT not null
--
-- A whole month is a number of units at their price. A part of a month is a number of days at the price divided by the
-- days of the month. The quantity is multiplied by the days, and the only division is the last operation. The quotient
-- is truncated to 25 places and rounded half away from zero to 18. As in priced_part, a charge is the difference of two
-- running totals of its line. Thirty-one machines of one day each therefore cost the same as one machine of 31 days.
--
-- Charges that the previous period billed in advance are subtracted by quantity. Charges that it foresaw correctly
-- vanish. A change, such as an end or another plan, leaves one negative and one positive row.
WITH resource_day AS (
  SELECT subscribed_series.recurring_id, active_series.account_id, active_series.account_name, active_series.project_id,
         active_series.project_name,
         active_series.status, active_series.resource_id, metered_day.charge_date,
         MIN(subscribed_series.line_by) AS line_by
  FROM subscribed_series
  LEFT JOIN payer_series ON payer_series.series_id = subscribed_series.series_id
  JOIN metered_day ON metered_day.series_id = COALESCE(payer_series.metered_series_id, subscribed_series.series_id)
   AND metered_day.charge_date >= subscribed_series.first_day AND metered_day.charge_date < subscribed_series.end_day
   AND (payer_series.first_day IS NULL OR metered_day.charge_date >= payer_series.first_day)
   AND (payer_series.end_day IS NULL OR metered_day.charge_date < payer_series.end_day)
  JOIN active_series ON active_series.series_id = subscribed_series.series_id
  WHERE metered_day.consumed_quantity <> 0 AND active_series.status <> 'unattributed'
  GROUP BY subscribed_series.recurring_id, active_series.account_id, active_series.account_name,
           active_series.project_id, active_series.project_name,
           active_series.status, active_series.resource_id, metered_day.charge_date
),
due AS (
  SELECT recurring_id, account_id, account_name, project_id, project_name, status, '' AS resource_id, '' AS line_by,
         first_day, end_day, month_start, month_end,
         CAST(CAST(end_day AS INT) - CAST(first_day AS INT) AS DECIMAL(10,0)) AS day_count
  FROM subscription
  UNION ALL
  SELECT recurring_id, account_id, account_name, project_id, project_name, status, resource_id, line_by,
         MIN(charge_date), CAST(MAX(charge_date) + INTERVAL '1 day' AS DATE), CAST($billing_period_start AS DATE),
         CAST($billing_period_end AS DATE),
         CAST(COUNT(*) AS DECIMAL(10,0))
  FROM resource_day
  GROUP BY recurring_id, account_id, account_name, project_id, project_name, status, resource_id, line_by
),
monthly AS (
  SELECT due.*, CAST(CAST(month_end AS INT) - CAST(month_start AS INT) AS DECIMAL(10,0)) AS month_days,
         concat('month=', substr(CAST(month_start AS TEXT), 1, 7),
                CASE WHEN line_by = '' THEN '' ELSE '; ' END, line_by) AS month_line_by
  FROM due
),
owed AS (
  SELECT monthly.account_id, monthly.account_name, monthly.project_id, monthly.project_name, monthly.resource_id,
         monthly.status,
         monthly.recurring_id AS rule_id, recurring.service, recurring.sku, recurring.description,
         monthly.month_line_by AS line_by,
         monthly.first_day AS charge_period_start, monthly.end_day AS charge_period_end,
         CASE WHEN monthly.day_count = monthly.month_days THEN recurring.unit ELSE 'day' END AS unit,
         recurring.unit_price AS contracted_unit_price, recurring.currency,
         CAST(CASE WHEN monthly.day_count = monthly.month_days THEN CAST(1 AS DECIMAL(10,0))
                   ELSE monthly.month_days END AS DECIMAL(28,9)) AS unit_price_per,
         CAST(recurring.quantity * CASE WHEN monthly.day_count = monthly.month_days THEN CAST(1 AS DECIMAL(10,0))
                                        ELSE monthly.day_count END AS DECIMAL(28,9)) AS quantity,
         recurring.rule_file, recurring.rule_line
  FROM monthly
  JOIN recurring ON recurring.recurring_id = monthly.recurring_id
  UNION ALL
  SELECT account_id, account_name, project_id, project_name, resource_id, status, rule_id, service, sku, description,
         line_by,
         charge_period_start, charge_period_end, unit, contracted_unit_price, currency, unit_price_per,
         CAST(-quantity AS DECIMAL(28,9)), rule_file, rule_line
  FROM earlier_non_usage_charge
),
net AS (
  SELECT account_id, account_name, project_id, MAX(project_name) AS project_name, resource_id, MAX(status) AS status,
         rule_id, service, sku, description, line_by,
         charge_period_start, charge_period_end, unit, contracted_unit_price, currency, unit_price_per,
         SUM(quantity) AS quantity,
         MAX(rule_file) AS rule_file, MAX(rule_line) AS rule_line
  FROM owed
  GROUP BY account_id, account_name, project_id, resource_id, rule_id, service, sku, description, line_by,
           charge_period_start, charge_period_end, unit, contracted_unit_price, currency, unit_price_per
  HAVING SUM(quantity) <> 0
),
running AS (
  SELECT *,
         CAST(SUM(CAST(quantity AS DECIMAL(50,9))) OVER (
           PARTITION BY account_id, account_name, project_id, service, sku, description, line_by, unit,
                        contracted_unit_price, currency, unit_price_per
           ORDER BY resource_id, rule_id, charge_period_start, charge_period_end
           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
         ) AS DECIMAL(40,9)) AS quantity_after
  FROM net
),
used AS (
  SELECT DISTINCT rate.pool, priced_series.account_id,
                  CASE WHEN rate.pool_scope = 'account' THEN '' ELSE priced_series.project_id END AS project_id
  FROM priced_series
  JOIN rate ON rate.rate_id = priced_series.rate_id
),
charge AS (
  SELECT account_id, account_name, project_id, project_name, resource_id, status, rule_id, 'recurring' AS charge_kind,
         service, sku, description, line_by,
         charge_period_start, charge_period_end, quantity, unit, contracted_unit_price, currency, unit_price_per,
         CAST(CAST(quantity_after * CAST(contracted_unit_price AS DECIMAL(28,12)) / unit_price_per AS DECIMAL(38,18))
            - CAST((quantity_after - quantity) * CAST(contracted_unit_price AS DECIMAL(28,12))
                    / unit_price_per AS DECIMAL(38,18)) AS DECIMAL(38,18)) AS contracted_cost,
         rule_file, rule_line
  FROM running
  UNION ALL
  SELECT idle_pool.account_id, idle_pool.account_name, idle_pool.project_id, idle_pool.project_name, '' AS resource_id,
         idle_pool.status, idle_pool.rule_id, idle_pool.charge_kind,
         idle_pool.service, idle_pool.sku, idle_pool.description, '' AS line_by, CAST($billing_period_start AS DATE),
         CAST($billing_period_end AS DATE),
         CAST(1 AS DECIMAL(28,9)), CASE idle_pool.charge_kind WHEN 'flat_fee' THEN 'fee' ELSE '' END,
         CASE idle_pool.charge_kind WHEN 'flat_fee' THEN idle_pool.amount ELSE CAST(0 AS DECIMAL(28,12)) END,
         idle_pool.currency,
         CAST(1 AS DECIMAL(28,9)), CAST(idle_pool.amount AS DECIMAL(38,18)), idle_pool.rule_file, idle_pool.rule_line
  FROM idle_pool
  LEFT JOIN used ON used.pool = idle_pool.pool AND used.account_id = idle_pool.account_id
   AND (used.project_id = '' OR used.project_id = idle_pool.project_id)
  WHERE used.pool IS NULL
  UNION ALL
  SELECT account_id, account_name, project_id, CAST(NULL AS TEXT), '', status, rule_id, charge_kind, service, sku,
         description, line_by,
         first_day, end_day, quantity, unit, unit_price, currency, CAST(1 AS DECIMAL(28,9)),
         CAST(CAST(quantity AS DECIMAL(40,9)) * unit_price AS DECIMAL(38,18)), rule_file, rule_line
  FROM committed_charge
  UNION ALL
  SELECT account_id, account_name, project_id, project_name, '', status, charge_id, 'one_off', service, sku,
         description, concat('charge=', charge_id),
         charge_date, CAST(charge_date + INTERVAL '1 day' AS DATE), quantity, unit, unit_price, currency,
         CAST(1 AS DECIMAL(28,9)),
         CAST(CAST(quantity AS DECIMAL(40,9)) * unit_price AS DECIMAL(38,18)), rule_file, rule_line
  FROM one_off_charge
)
SELECT account_id,
       account_name,
       project_id,
       project_name,
       resource_id,
       status,
       rule_id,
       charge_kind,
       service,
       sku,
       description,
       line_by,
       charge_period_start,
       charge_period_end,
       CAST(quantity AS DECIMAL(28,9)) AS quantity,
       unit,
       contracted_unit_price,
       currency,
       unit_price_per,
       contracted_cost,
       rule_file,
       rule_line
FROM charge
ORDER BY account_id, account_name NULLS FIRST, project_id NULLS FIRST, resource_id, rule_id, charge_kind, line_by,
         charge_period_start, charge_period_end,
         service, sku, description, unit, contracted_unit_price, currency, unit_price_per
