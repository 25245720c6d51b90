-- margins: margins.csv, what a reseller earns on each line that it sells: the line less its discounts and credits, and less what the usage behind it costs the reseller.
--
-- grain   reseller_id, account_id, project_id, invoice_number, line_number
-- reads   invoice, invoice_line, allowance_share, rated_usage, rate, payer_series
-- params  $currency TEXT                               of the rules, ISO 4217
-- writes  reseller_id     TEXT not null
--         account_id      TEXT not null                of the customer
--         project_id      TEXT
--         invoice_number  TEXT not null                empty: what the reseller owes for usage that stands on no line of the customer
--         line_number     BIGINT not null
--         service         TEXT not null
--         sku             TEXT not null
--         description     TEXT not null
--         line_by         TEXT not null
--         quantity        DECIMAL(28,9) not null
--         unit            TEXT not null
--         net_amount      DECIMAL(28,4) not null
--         wholesale_cost  DECIMAL(38,18) not null      unrounded, at the rate of the invoice
--         margin          DECIMAL(38,18) not null
--         currency        TEXT not null
--
-- What a resource used in a day is one cost to the reseller and may be several parts to the customer, for tiers, fees or a
-- minimum: each has as much of it as it has of the quantity, as the difference of two running shares, the last of which is one.
WITH sold AS (
  SELECT series_id, seller_series_id, sold_by, account_id
  FROM payer_series
  WHERE status = 'retail'
),
wholesale AS (
  SELECT rated_usage.series_id, rated_usage.charge_date, rated_usage.segment_start,
         CAST(SUM(CAST(rated_usage.contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost
  FROM rated_usage
  JOIN (SELECT DISTINCT seller_series_id FROM sold) AS of_sellers ON of_sellers.seller_series_id = rated_usage.series_id
  GROUP BY rated_usage.series_id, rated_usage.charge_date, rated_usage.segment_start
),
part AS (
  SELECT sold.sold_by, rated_usage.series_id, rated_usage.charge_date, rated_usage.segment_start, rated_usage.account_id, rated_usage.project_id,
         rated_usage.component, rated_usage.line_by, rated_usage.charge_kind, rated_usage.tier_start, rated_usage.contracted_unit_price, rated_usage.unit_price_per,
         rate.service, rate.sku, rate.description, rate.pricing_unit,
         COALESCE(wholesale.contracted_cost, CAST(0 AS DECIMAL(38,18))) AS contracted_cost,
         CASE WHEN rated_usage.component = 'base' AND rated_usage.charge_kind IN ('usage', 'reserved') THEN rated_usage.pricing_quantity ELSE CAST(0 AS DECIMAL(28,9)) END AS quantity,
         ROW_NUMBER() OVER (
           PARTITION BY rated_usage.series_id, rated_usage.charge_date, rated_usage.segment_start
           ORDER BY CASE WHEN rated_usage.component = 'base' THEN 0 ELSE 1 END, rated_usage.component, rated_usage.tier_number, rated_usage.charge_kind
         ) AS part_number
  FROM rated_usage
  JOIN sold ON sold.series_id = rated_usage.series_id
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  LEFT JOIN wholesale ON wholesale.series_id = sold.seller_series_id AND wholesale.charge_date = rated_usage.charge_date
   AND wholesale.segment_start = rated_usage.segment_start
),
running AS (
  SELECT *,
         CAST(SUM(CAST(quantity AS DECIMAL(50,9))) OVER (
           PARTITION BY series_id, charge_date, segment_start ORDER BY part_number ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
         ) AS DECIMAL(28,9)) AS quantity_after,
         CAST(SUM(CAST(quantity AS DECIMAL(50,9))) OVER (PARTITION BY series_id, charge_date, segment_start) AS DECIMAL(28,9)) AS quantity_total
  FROM part
),
shared AS (
  SELECT sold_by, account_id, project_id, component, line_by, charge_kind, tier_start, contracted_unit_price, unit_price_per, service, sku, description, pricing_unit,
         CASE WHEN quantity_total = 0 THEN CASE WHEN part_number = 1 THEN contracted_cost ELSE CAST(0 AS DECIMAL(38,18)) END
              ELSE CAST(CAST(CAST(contracted_cost AS DECIMAL(40,18)) * CAST(CAST(quantity_after AS DECIMAL(66,36)) / CAST(quantity_total AS DECIMAL(40,9)) AS DECIMAL(38,36)) AS DECIMAL(38,18))
                 - CAST(CAST(contracted_cost AS DECIMAL(40,18)) * CAST(CAST(quantity_after - quantity AS DECIMAL(66,36)) / CAST(quantity_total AS DECIMAL(40,9)) AS DECIMAL(38,36)) AS DECIMAL(38,18)) AS DECIMAL(38,18)) END AS contracted_cost
  FROM running
),
line AS (
  SELECT invoice.sold_by, invoice.currency, invoice.exchange_base, invoice.exchange_rate, invoice_line.*
  FROM invoice_line
  JOIN invoice ON invoice.invoice_number = invoice_line.invoice_number
  WHERE invoice.sold_by IS NOT NULL AND invoice.correction_reason IS NULL
),
cost AS (
  SELECT line.invoice_number, line.line_number, SUM(CAST(shared.contracted_cost AS DECIMAL(60,18))) AS contracted_cost
  FROM line
  JOIN shared ON shared.account_id = line.account_id AND shared.project_id = line.project_id AND shared.component = line.component
   AND shared.line_by = line.line_by AND shared.charge_kind = line.charge_kind AND shared.tier_start = line.tier_start
   AND shared.contracted_unit_price = line.contracted_unit_price AND shared.unit_price_per = line.unit_price_per
   AND shared.service = line.service AND shared.sku = line.sku AND shared.description = line.description
  WHERE line.charge_category = 'Usage' AND (line.charge_kind NOT IN ('usage', 'reserved') OR shared.pricing_unit = line.unit)
  GROUP BY line.invoice_number, line.line_number
),
taken_off AS (
  SELECT invoice_number, line_number, SUM(CAST(amount AS DECIMAL(50,4))) AS amount
  FROM allowance_share
  GROUP BY invoice_number, line_number
),
owed AS (
  SELECT sold.sold_by, sold.account_id, rated_usage.project_id, SUM(CAST(rated_usage.contracted_cost AS DECIMAL(60,18))) AS contracted_cost
  FROM rated_usage
  JOIN sold ON sold.seller_series_id = rated_usage.series_id
  GROUP BY sold.sold_by, sold.account_id, rated_usage.project_id
),
on_lines AS (
  SELECT line.sold_by, line.account_id, line.project_id, SUM(cost.contracted_cost) AS contracted_cost
  FROM line
  JOIN cost ON cost.invoice_number = line.invoice_number AND cost.line_number = line.line_number
  GROUP BY line.sold_by, line.account_id, line.project_id
),
told AS (
  SELECT line.sold_by, line.account_id, line.project_id, line.invoice_number, line.line_number, line.service, line.sku, line.description, line.line_by,
         line.quantity, line.unit, line.currency,
         CAST(CAST(line.net_amount AS DECIMAL(50,4)) - COALESCE(taken_off.amount, CAST(0 AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS net_amount,
         CAST(CASE WHEN cost.contracted_cost IS NULL THEN CAST(0 AS DECIMAL(38,18))
                   WHEN line.exchange_rate IS NULL THEN CAST(cost.contracted_cost AS DECIMAL(38,18))
                   WHEN line.exchange_base = line.currency THEN CAST(CAST(cost.contracted_cost AS DECIMAL(40,18)) / CAST(line.exchange_rate AS DECIMAL(40,12)) AS DECIMAL(38,18))
                   ELSE CAST(CAST(cost.contracted_cost AS DECIMAL(40,18)) * CAST(line.exchange_rate AS DECIMAL(40,12)) AS DECIMAL(38,18)) END AS DECIMAL(38,18)) AS wholesale_cost
  FROM line
  LEFT JOIN cost ON cost.invoice_number = line.invoice_number AND cost.line_number = line.line_number
  LEFT JOIN taken_off ON taken_off.invoice_number = line.invoice_number AND taken_off.line_number = line.line_number
  UNION ALL
  SELECT owed.sold_by, owed.account_id, owed.project_id, '', CAST(0 AS BIGINT), '', '', 'Usage on no line of the customer', '', CAST(0 AS DECIMAL(28,9)), '', CAST($currency AS TEXT),
         CAST(0 AS DECIMAL(28,4)),
         CAST(owed.contracted_cost - COALESCE(on_lines.contracted_cost, CAST(0 AS DECIMAL(60,18))) AS DECIMAL(38,18))
  FROM owed
  LEFT JOIN on_lines ON on_lines.sold_by = owed.sold_by AND on_lines.account_id = owed.account_id AND on_lines.project_id = owed.project_id
  WHERE owed.contracted_cost <> COALESCE(on_lines.contracted_cost, CAST(0 AS DECIMAL(60,18)))
)
SELECT COALESCE(sold_by, '') AS reseller_id,
       account_id,
       project_id,
       invoice_number,
       line_number,
       service,
       sku,
       description,
       line_by,
       quantity,
       unit,
       net_amount,
       wholesale_cost,
       CAST(CAST(net_amount AS DECIMAL(38,18)) - wholesale_cost AS DECIMAL(38,18)) AS margin,
       currency
FROM told
ORDER BY reseller_id, account_id, project_id NULLS FIRST, invoice_number, line_number
