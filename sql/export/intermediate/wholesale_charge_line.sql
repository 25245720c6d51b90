-- wholesale_charge_line: a reseller's charge without usage with the customer's invoice line that it is set against.
--
-- grain   sold_by, project_id, sku, line_by, charge_date
-- reads   wholesale_charge, sold_line, rated_usage, payer_series
-- params  $currency  TEXT   of the seller, ISO 4217
-- writes  sold_by          TEXT not null      account of the reseller
--         project_id       TEXT not null
--         sku              TEXT not null
--         line_by          TEXT not null
--         charge_date      DATE not null
--         currency         TEXT not null      of the reseller
--         contracted_cost  DECIMAL(38,18)     null if a price currency has no exchange rate
--         account_id       TEXT not null      of the customer
--         invoice_number   TEXT not null      empty: the project has usage only
--         line_number      BIGINT not null
--         is_sold          BOOLEAN not null   the customer's line has the same sku and line_by
--
-- The candidates are the lines of the project and, last, the customer whose usage the project has. A line of the same
-- sku comes first, then a line that covers the first day of the charge, then a line that corrects nothing.
WITH customer AS (
  SELECT sold_by, account_id, project_id, charge_period_start AS first_date, charge_period_end AS end_date,
         invoice_number, line_number,
         CASE WHEN is_correction THEN 1 ELSE 0 END AS position,
         CASE WHEN charge_category = 'Purchase' AND term_id IS NULL THEN sku END AS sku,
         line_by
  FROM sold_line
  UNION ALL
  SELECT payer_series.sold_by, payer_series.account_id, rated_usage.project_id, MIN(rated_usage.charge_date),
         CAST(MAX(rated_usage.charge_date) + INTERVAL '1 day' AS DATE),
         '', CAST(0 AS BIGINT), 2, CAST(NULL AS TEXT), ''
  FROM payer_series
  JOIN rated_usage ON rated_usage.series_id = payer_series.series_id
  WHERE payer_series.status = 'retail'
  GROUP BY payer_series.sold_by, payer_series.account_id, rated_usage.project_id
),
candidate AS (
  SELECT wholesale_charge.sold_by, wholesale_charge.project_id, wholesale_charge.sku, wholesale_charge.line_by,
         wholesale_charge.charge_date, wholesale_charge.currency, wholesale_charge.contracted_cost,
         customer.account_id, customer.invoice_number, customer.line_number, customer.position,
         COALESCE(customer.sku = wholesale_charge.sku AND customer.line_by = wholesale_charge.line_by, FALSE)
           AS is_sold,
         customer.first_date <= wholesale_charge.charge_date AND wholesale_charge.charge_date < customer.end_date
           AS is_on_its_day
  FROM wholesale_charge
  JOIN customer ON customer.sold_by = wholesale_charge.sold_by AND customer.project_id = wholesale_charge.project_id
),
ranked AS (
  SELECT *,
         ROW_NUMBER() OVER (
           PARTITION BY sold_by, project_id, sku, line_by, charge_date
           ORDER BY CASE WHEN is_sold THEN 0 ELSE 1 END, CASE WHEN is_on_its_day THEN 0 ELSE 1 END, position,
                    account_id, invoice_number, line_number
         ) AS choice
  FROM candidate
)
SELECT sold_by,
       project_id,
       sku,
       line_by,
       charge_date,
       currency,
       contracted_cost,
       account_id,
       invoice_number,
       line_number,
       is_sold
FROM ranked
WHERE choice = 1
