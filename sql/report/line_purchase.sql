-- line_purchase: the standing charges behind one invoice line.
--
-- grain   rule_id, resource_id, charge_period_start, charge_period_end
-- reads   invoice_line, standing_charge
-- params  $invoice_number TEXT
--         $line_number BIGINT
-- writes  rule_id              TEXT not null
--         rule_file            TEXT not null
--         rule_line            BIGINT not null
--         resource_id          TEXT not null
--         charge_period_start  DATE not null
--         charge_period_end    DATE not null   exclusive
--         quantity             DECIMAL(28,9) not null
--         contracted_cost      DECIMAL(38,18) not null
SELECT standing_charge.rule_id,
       standing_charge.rule_file,
       standing_charge.rule_line,
       standing_charge.resource_id,
       standing_charge.charge_period_start,
       standing_charge.charge_period_end,
       standing_charge.quantity,
       standing_charge.contracted_cost
FROM invoice_line
JOIN standing_charge ON standing_charge.account_id = invoice_line.account_id AND standing_charge.service = invoice_line.service
 AND standing_charge.sku = invoice_line.sku AND standing_charge.description = invoice_line.description
 AND standing_charge.line_by = invoice_line.line_by AND standing_charge.charge_kind = invoice_line.charge_kind
 AND standing_charge.currency = invoice_line.price_currency AND standing_charge.unit = invoice_line.unit AND standing_charge.contracted_unit_price = invoice_line.contracted_unit_price
 AND standing_charge.unit_price_per = invoice_line.unit_price_per
WHERE invoice_line.invoice_number = CAST($invoice_number AS TEXT) AND invoice_line.line_number = CAST($line_number AS BIGINT)
  AND invoice_line.charge_category = 'Purchase'
  AND (standing_charge.project_id IS NOT DISTINCT FROM invoice_line.project_id)
ORDER BY rule_id, resource_id, charge_period_start, charge_period_end
