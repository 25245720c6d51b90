-- one_off_charges_are_charged_once: each one-off charge of the period is one charge without usage, with its amount.
--
-- reads   one_off_charge, non_usage_charge
WITH charged AS (
  SELECT rule_id, COUNT(*) AS charge_count, SUM(CAST(contracted_cost AS DECIMAL(60,18))) AS contracted_cost
  FROM non_usage_charge
  WHERE charge_kind = 'one_off'
  GROUP BY rule_id
)
SELECT COALESCE(one_off_charge.charge_id, charged.rule_id) AS charge_id, charged.charge_count, charged.contracted_cost
FROM one_off_charge
FULL JOIN charged ON charged.rule_id = one_off_charge.charge_id
WHERE one_off_charge.charge_id IS NULL OR charged.rule_id IS NULL OR charged.charge_count <> 1
   OR charged.contracted_cost <> CAST(CAST(one_off_charge.quantity AS DECIMAL(40,9)) * one_off_charge.unit_price
                                      AS DECIMAL(38,18))
ORDER BY charge_id
