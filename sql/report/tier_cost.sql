-- tier_cost: the cost of a tier, for the rates of one invoice line, before any maximum.
--
-- grain   rate_id, tier_number
-- reads   line_usage, invoice_line, rated_usage, rate
-- params  $invoice_number  TEXT
--         $line_number     BIGINT
-- writes  rate_id           TEXT not null
--         tier_number       BIGINT not null
--         pricing_quantity  DECIMAL(38,9) not null    of the tier, without the number of its flat fees
--         contracted_cost   DECIMAL(38,18) not null   of the tier and its flat fees, unrounded
--
-- If the pool is shared by all projects of the account, the row contains the usage of all of them.
WITH used AS (
  SELECT DISTINCT rate_id
  FROM line_usage
)
SELECT rated_usage.rate_id,
       rated_usage.tier_number,
       CAST(SUM(CASE rated_usage.charge_kind WHEN 'usage' THEN CAST(rated_usage.pricing_quantity AS DECIMAL(50,9))
                                             ELSE CAST(0 AS DECIMAL(50,9)) END) AS DECIMAL(38,9)) AS pricing_quantity,
       CAST(SUM(CAST(rated_usage.contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost
FROM invoice_line
JOIN rated_usage ON rated_usage.account_id = invoice_line.account_id
JOIN used ON used.rate_id = rated_usage.rate_id
JOIN rate ON rate.rate_id = rated_usage.rate_id
WHERE invoice_line.invoice_number = CAST($invoice_number AS TEXT)
  AND invoice_line.line_number = CAST($line_number AS BIGINT)
  AND rated_usage.charge_kind IN ('usage', 'flat_fee')
  AND (rate.pool_scope = 'account' OR rated_usage.project_id = invoice_line.project_id)
GROUP BY rated_usage.rate_id, rated_usage.tier_number
ORDER BY rate_id, tier_number
