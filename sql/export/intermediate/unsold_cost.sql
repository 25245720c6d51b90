-- unsold_cost: the wholesale cost of a customer's project that no invoice line of the customer has.
--
-- grain   sold_by, account_id, project_id, currency
-- reads   wholesale_usage, wholesale_charge_line, wholesale_line_cost, sold_line, payer_series
-- params  $currency  TEXT   of the seller, ISO 4217
-- writes  sold_by         TEXT not null    account of the reseller
--         account_id      TEXT not null    of the customer
--         project_id      TEXT
--         currency        TEXT not null    of the reseller
--         wholesale_cost  DECIMAL(38,18)   null if a price currency has no exchange rate
WITH part AS (
  SELECT payer_series.sold_by, payer_series.account_id, wholesale_usage.project_id, wholesale_usage.currency,
         CAST(wholesale_usage.contracted_cost AS DECIMAL(60,18)) AS contracted_cost
  FROM wholesale_usage
  JOIN payer_series ON payer_series.seller_series_id = wholesale_usage.series_id AND payer_series.status = 'retail'
  UNION ALL
  SELECT sold_by, account_id, project_id, currency, CAST(contracted_cost AS DECIMAL(60,18))
  FROM wholesale_charge_line
),
owed AS (
  SELECT sold_by, account_id, project_id, currency,
         CASE WHEN COUNT(*) = COUNT(contracted_cost) THEN SUM(contracted_cost) END AS contracted_cost
  FROM part
  GROUP BY sold_by, account_id, project_id, currency
),
on_lines AS (
  SELECT sold_line.sold_by, sold_line.account_id, sold_line.project_id,
         CASE WHEN COUNT(*) = COUNT(wholesale_line_cost.wholesale_cost)
              THEN SUM(CAST(wholesale_line_cost.wholesale_cost AS DECIMAL(60,18))) END AS contracted_cost
  FROM sold_line
  JOIN wholesale_line_cost ON wholesale_line_cost.invoice_number = sold_line.invoice_number
   AND wholesale_line_cost.line_number = sold_line.line_number
  GROUP BY sold_line.sold_by, sold_line.account_id, sold_line.project_id
),
compared AS (
  SELECT owed.sold_by, owed.account_id, owed.project_id, owed.currency, owed.contracted_cost AS owed_cost,
         CASE WHEN on_lines.account_id IS NULL THEN CAST(0 AS DECIMAL(60,18)) ELSE on_lines.contracted_cost END
           AS cost_on_lines
  FROM owed
  LEFT JOIN on_lines ON on_lines.sold_by = owed.sold_by AND on_lines.account_id = owed.account_id
   AND on_lines.project_id = owed.project_id
)
SELECT sold_by,
       account_id,
       project_id,
       currency,
       CAST(owed_cost - cost_on_lines AS DECIMAL(38,18)) AS wholesale_cost
FROM compared
WHERE owed_cost IS DISTINCT FROM cost_on_lines
