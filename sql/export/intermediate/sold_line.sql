-- sold_line: an invoice line of a reseller's customer that is no adjustment.
--
-- grain   invoice_number, line_number
-- reads   invoice, invoice_line
-- writes  sold_by                TEXT not null      account of the reseller
--         is_correction          BOOLEAN not null   its invoice corrects a closed period
--         invoice_number         TEXT not null
--         line_number            BIGINT not null
--         account_id             TEXT not null      of the customer
--         project_id             TEXT
--         charge_category        TEXT not null      Usage or Purchase
--         service                TEXT not null
--         component              TEXT not null
--         sku                    TEXT not null
--         description            TEXT not null
--         line_by                TEXT not null
--         charge_kind            TEXT not null
--         term_id                TEXT
--         tier_start             DECIMAL(28,9) not null
--         charge_period_start    DATE not null
--         charge_period_end      DATE not null      exclusive
--         quantity               DECIMAL(38,9) not null
--         unit                   TEXT not null
--         unit_price_per         DECIMAL(28,9) not null
--         contracted_unit_price  DECIMAL(28,12) not null
--         price_currency         TEXT not null
--         net_amount             DECIMAL(28,4) not null
--         currency               TEXT not null      of the invoice
--         is_first               BOOLEAN not null   no earlier line charges the same
--
-- A correction repeats the key of the line that it corrects. Only the first line of a key gets the cost of the usage.
WITH line AS (
  SELECT invoice.sold_by, invoice.correction_reason IS NOT NULL AS is_correction, invoice_line.*
  FROM invoice_line
  JOIN invoice ON invoice.invoice_number = invoice_line.invoice_number
  WHERE invoice.sold_by IS NOT NULL AND invoice_line.charge_category <> 'Adjustment'
),
numbered AS (
  SELECT *,
         ROW_NUMBER() OVER (
           PARTITION BY account_id, project_id, charge_category, component, line_by, charge_kind, tier_start,
                        contracted_unit_price, unit_price_per, service, sku, description, price_currency, unit
           ORDER BY CASE WHEN is_correction THEN 1 ELSE 0 END, invoice_number, line_number
         ) AS row_number
  FROM line
)
SELECT sold_by,
       is_correction,
       invoice_number,
       line_number,
       account_id,
       project_id,
       charge_category,
       service,
       component,
       sku,
       description,
       line_by,
       charge_kind,
       term_id,
       tier_start,
       charge_period_start,
       charge_period_end,
       quantity,
       unit,
       unit_price_per,
       contracted_unit_price,
       price_currency,
       net_amount,
       currency,
       row_number = 1 AS is_first
FROM numbered
