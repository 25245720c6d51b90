-- fees_are_owed_once: with earlier advance charges, recurring fees cover each owed day once.
--
-- reads   subscription, recurring, earlier_non_usage_charge, non_usage_charge
--
-- The unit is days of the fee, so the result does not depend on how a month is split.
WITH owed AS (
  SELECT subscription.recurring_id AS rule_id, subscription.account_id, subscription.account_name,
         subscription.project_id, subscription.month_start,
         CAST(recurring.quantity AS DECIMAL(40,9))
           * CAST(CAST(subscription.end_day AS INT) - CAST(subscription.first_day AS INT) AS DECIMAL(10,0))
             AS day_quantity
  FROM subscription
  JOIN recurring ON recurring.recurring_id = subscription.recurring_id
),
charged AS (
  SELECT rule_id, account_id, account_name, project_id, unit, charge_period_start, charge_period_end, quantity
  FROM non_usage_charge
  WHERE charge_kind = 'recurring' AND resource_id = ''
  UNION ALL
  SELECT rule_id, account_id, account_name, project_id, unit, charge_period_start, charge_period_end, quantity
  FROM earlier_non_usage_charge
),
part AS (
  SELECT rule_id, account_id, account_name, project_id, month_start, day_quantity
  FROM owed
  UNION ALL
  SELECT rule_id, account_id, account_name, project_id, CAST(date_trunc('month', charge_period_start) AS DATE),
         -CAST(quantity AS DECIMAL(40,9)) * CASE WHEN unit = 'day' THEN CAST(1 AS DECIMAL(10,0))
                                                 ELSE CAST(CAST(charge_period_end AS INT)
                                                            - CAST(charge_period_start AS INT) AS DECIMAL(10,0)) END
  FROM charged
)
SELECT rule_id, account_id, account_name, project_id, month_start,
       SUM(CAST(day_quantity AS DECIMAL(60,9))) AS difference
FROM part
GROUP BY rule_id, account_id, account_name, project_id, month_start
HAVING SUM(CAST(day_quantity AS DECIMAL(60,9))) <> 0
ORDER BY rule_id, account_id, account_name, project_id, month_start
