-- line_purchase: a charge without usage that is part of one invoice line.
--
-- grain   rule_id, resource_id, charge_period_start, charge_period_end
-- reads   invoice_line, non_usage_charge, one_off_charge
-- params  $invoice_number  TEXT
--         $line_number     BIGINT
-- writes  rule_id              TEXT not null
--         rule_file            TEXT not null
--         rule_line            BIGINT not null
--         resource_id          TEXT not null
--         charge_period_start  DATE not null
--         charge_period_end    DATE not null   exclusive
--         quantity             DECIMAL(28,9) not null
--         contracted_cost      DECIMAL(38,18) not null
--         reason               TEXT            of a one-off charge
--         approved_by          TEXT            of a one-off charge
SELECT non_usage_charge.rule_id,
       non_usage_charge.rule_file,
       non_usage_charge.rule_line,
       non_usage_charge.resource_id,
       non_usage_charge.charge_period_start,
       non_usage_charge.charge_period_end,
       non_usage_charge.quantity,
       non_usage_charge.contracted_cost,
       one_off_charge.reason,
       one_off_charge.approved_by
FROM invoice_line
JOIN non_usage_charge ON non_usage_charge.account_id = invoice_line.account_id
 AND non_usage_charge.service = invoice_line.service
 AND non_usage_charge.sku = invoice_line.sku AND non_usage_charge.description = invoice_line.description
 AND non_usage_charge.line_by = invoice_line.line_by AND non_usage_charge.charge_kind = invoice_line.charge_kind
 AND non_usage_charge.currency = invoice_line.price_currency AND non_usage_charge.unit = invoice_line.unit
 AND non_usage_charge.contracted_unit_price = invoice_line.contracted_unit_price
 AND non_usage_charge.unit_price_per = invoice_line.unit_price_per
LEFT JOIN one_off_charge ON one_off_charge.charge_id = non_usage_charge.rule_id
 AND non_usage_charge.charge_kind = 'one_off'
WHERE invoice_line.invoice_number = CAST($invoice_number AS TEXT)
  AND invoice_line.line_number = CAST($line_number AS BIGINT)
  AND invoice_line.charge_category = 'Purchase'
  AND (non_usage_charge.project_id IS NOT DISTINCT FROM invoice_line.project_id)
ORDER BY rule_id, resource_id, charge_period_start, charge_period_end
