-- margins: margins.csv, what a reseller earns on each line that it sells: the line less its discounts and credits, and less what the usage or the fee behind it costs the reseller.
--
-- grain   reseller_id, account_id, project_id, invoice_number, line_number
-- reads   invoice, invoice_line, allowance_share, rated_usage, rate, payer_series, non_usage_charge, exchange_rate
-- params  $currency TEXT                               of the seller, ISO 4217
-- writes  reseller_id     TEXT not null
--         account_id      TEXT not null                of the customer
--         project_id      TEXT
--         invoice_number  TEXT not null                empty: what the reseller owes that stands on no line of the customer
--         line_number     BIGINT not null
--         service         TEXT not null
--         sku             TEXT not null
--         description     TEXT not null
--         line_by         TEXT not null
--         quantity        DECIMAL(28,9) not null
--         unit            TEXT not null
--         net_amount      DECIMAL(28,4) not null
--         wholesale_cost  DECIMAL(38,18)               unrounded, at the rates of the period; absent: no exchange rate says what it is in this currency
--         margin          DECIMAL(38,18)
--         currency        TEXT not null
--
-- What a resource used in a day is one cost to the reseller and may be several parts to the customer, for tiers, fees or a
-- minimum: each has as much of it as it has of the quantity, as the difference of two running shares, the last of which is one.
--
-- A fee of a customer's project is set against what the reseller owes for the same sku and project, once: on the line that
-- covers its first day, or else on any. A percent of other lines and
-- a minimum spend cost the reseller nothing: what it owes of that kind is of its own document as a whole.
--
-- A reseller sells in one currency, that of its account, in which its costs are added up. Only where a restatement changed it
-- has a month documents in two: a line in the other one has its cost at the rate of the two.
--
-- Everything stands with the month that used it: what corrects a closed month costs nothing by itself, since the line that it
-- corrects has all of the usage, and what one document leaves to the next is not told twice.
WITH sold AS (
  SELECT series_id, seller_series_id, sold_by, account_id
  FROM payer_series
  WHERE status = 'retail'
),
known AS (
  SELECT sold_by FROM sold
  UNION
  SELECT sold_by FROM invoice WHERE sold_by IS NOT NULL
),
reseller AS (
  SELECT known.sold_by, COALESCE(MIN(invoice.currency), CAST($currency AS TEXT)) AS currency
  FROM known
  LEFT JOIN invoice ON invoice.sold_by = known.sold_by
  GROUP BY known.sold_by
),
of_reseller AS (
  SELECT DISTINCT sold.seller_series_id, reseller.currency
  FROM sold
  JOIN reseller ON reseller.sold_by = sold.sold_by
),
price AS (
  SELECT rated_usage.series_id, rated_usage.charge_date, rated_usage.segment_start, CAST(NULL AS TEXT) AS sold_by, rated_usage.project_id,
         CAST(NULL AS TEXT) AS sku, CAST(NULL AS TEXT) AS line_by, rate.currency AS price_currency, of_reseller.currency, rated_usage.contracted_cost
  FROM rated_usage
  JOIN of_reseller ON of_reseller.seller_series_id = rated_usage.series_id
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  UNION ALL
  SELECT NULL, non_usage_charge.charge_period_start, NULL, non_usage_charge.account_id, non_usage_charge.project_id,
         non_usage_charge.sku, non_usage_charge.line_by, non_usage_charge.currency, reseller.currency, non_usage_charge.contracted_cost
  FROM non_usage_charge
  JOIN reseller ON reseller.sold_by = non_usage_charge.account_id
  WHERE non_usage_charge.project_id IS NOT NULL
),
exchanged AS (
  SELECT price.series_id, price.charge_date, price.segment_start, price.sold_by, price.project_id, price.sku, price.line_by, price.currency,
         CAST(CAST(price.contracted_cost AS DECIMAL(44,18)) * CAST(exchange_rate.multiplier AS DECIMAL(40,12)) / CAST(exchange_rate.divisor AS DECIMAL(40,12)) AS DECIMAL(60,18)) AS contracted_cost
  FROM price
  LEFT JOIN exchange_rate ON exchange_rate.price_currency = price.price_currency AND exchange_rate.currency = price.currency
),
wholesale AS (
  SELECT series_id, project_id, charge_date, segment_start, currency,
         CASE WHEN COUNT(*) = COUNT(contracted_cost) THEN CAST(SUM(contracted_cost) AS DECIMAL(38,18)) END AS contracted_cost
  FROM exchanged
  WHERE series_id IS NOT NULL
  GROUP BY series_id, project_id, charge_date, segment_start, currency
),
fee AS (
  SELECT sold_by, project_id, sku, line_by, charge_date, currency,
         CASE WHEN COUNT(*) = COUNT(contracted_cost) THEN SUM(contracted_cost) END AS contracted_cost
  FROM exchanged
  WHERE series_id IS NULL
  GROUP BY sold_by, project_id, sku, line_by, charge_date, currency
),
part AS (
  SELECT sold.sold_by, rated_usage.series_id, rated_usage.charge_date, rated_usage.segment_start, rated_usage.account_id, rated_usage.project_id,
         rated_usage.component, rated_usage.line_by, rated_usage.charge_kind, rated_usage.tier_start, rated_usage.contracted_unit_price, rated_usage.unit_price_per,
         rate.service, rate.sku, rate.description, rate.pricing_unit, rate.currency AS price_currency,
         CASE WHEN wholesale.series_id IS NULL THEN CAST(0 AS DECIMAL(38,18)) ELSE wholesale.contracted_cost END AS contracted_cost,
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
  SELECT sold_by, account_id, project_id, component, line_by, charge_kind, tier_start, contracted_unit_price, unit_price_per, service, sku, description, pricing_unit, price_currency,
         CASE WHEN quantity_total = 0 THEN CASE WHEN part_number = 1 THEN contracted_cost ELSE CAST(0 AS DECIMAL(38,18)) END
              ELSE CAST(CAST(CAST(contracted_cost AS DECIMAL(40,18)) * CAST(CAST(quantity_after AS DECIMAL(66,36)) / CAST(quantity_total AS DECIMAL(40,9)) AS DECIMAL(38,36)) AS DECIMAL(38,18))
                 - CAST(CAST(contracted_cost AS DECIMAL(40,18)) * CAST(CAST(quantity_after - quantity AS DECIMAL(66,36)) / CAST(quantity_total AS DECIMAL(40,9)) AS DECIMAL(38,36)) AS DECIMAL(38,18)) AS DECIMAL(38,18)) END AS contracted_cost
  FROM running
),
line AS (
  SELECT invoice.sold_by, invoice.correction_reason, invoice_line.*
  FROM invoice_line
  JOIN invoice ON invoice.invoice_number = invoice_line.invoice_number
  WHERE invoice.sold_by IS NOT NULL AND invoice_line.charge_category <> 'Adjustment'
),
original AS (
  SELECT line.*,
         ROW_NUMBER() OVER (
           PARTITION BY account_id, project_id, charge_category, component, line_by, charge_kind, tier_start, contracted_unit_price, unit_price_per,
                        service, sku, description, price_currency, unit
           ORDER BY CASE WHEN correction_reason IS NULL THEN 0 ELSE 1 END, invoice_number, line_number
         ) AS document_number
  FROM line
),
customer AS (
  SELECT sold_by, account_id, project_id, charge_period_start AS first_date, charge_period_end AS end_date, invoice_number, line_number,
         CASE WHEN correction_reason IS NULL THEN 0 ELSE 1 END AS position,
         CASE WHEN charge_category = 'Purchase' AND term_id IS NULL THEN sku END AS sku, line_by
  FROM line
  UNION ALL
  SELECT sold.sold_by, sold.account_id, rated_usage.project_id, MIN(rated_usage.charge_date), CAST(MAX(rated_usage.charge_date) + INTERVAL '1 day' AS DATE), '', CAST(0 AS BIGINT),
         2, CAST(NULL AS TEXT), ''
  FROM sold
  JOIN rated_usage ON rated_usage.series_id = sold.series_id
  GROUP BY sold.sold_by, sold.account_id, rated_usage.project_id
),
candidate AS (
  SELECT fee.sold_by, fee.project_id, fee.sku, fee.line_by, fee.charge_date, fee.currency, fee.contracted_cost,
         customer.account_id, customer.invoice_number, customer.line_number, customer.position,
         COALESCE(customer.sku = fee.sku AND customer.line_by = fee.line_by, FALSE) AS is_sold,
         customer.first_date <= fee.charge_date AND fee.charge_date < customer.end_date AS is_then
  FROM fee
  JOIN customer ON customer.sold_by = fee.sold_by AND customer.project_id = fee.project_id
),
fee_line AS (
  SELECT *,
         ROW_NUMBER() OVER (
           PARTITION BY sold_by, project_id, sku, line_by, charge_date
           ORDER BY CASE WHEN is_sold THEN 0 ELSE 1 END, CASE WHEN is_then THEN 0 ELSE 1 END, position, account_id, invoice_number, line_number
         ) AS choice
  FROM candidate
),
cost AS (
  SELECT line.invoice_number, line.line_number,
         CASE WHEN COUNT(*) = COUNT(shared.contracted_cost) THEN SUM(CAST(shared.contracted_cost AS DECIMAL(60,18))) END AS contracted_cost
  FROM original AS line
  JOIN shared ON shared.account_id = line.account_id AND shared.project_id = line.project_id AND shared.component = line.component
   AND shared.line_by = line.line_by AND shared.charge_kind = line.charge_kind AND shared.tier_start = line.tier_start
   AND shared.contracted_unit_price = line.contracted_unit_price AND shared.unit_price_per = line.unit_price_per
   AND shared.service = line.service AND shared.sku = line.sku AND shared.description = line.description AND shared.price_currency = line.price_currency
  WHERE line.charge_category = 'Usage' AND line.document_number = 1 AND (line.charge_kind NOT IN ('usage', 'reserved') OR shared.pricing_unit = line.unit)
  GROUP BY line.invoice_number, line.line_number
  UNION ALL
  SELECT invoice_number, line_number, CASE WHEN COUNT(*) = COUNT(contracted_cost) THEN SUM(contracted_cost) END
  FROM fee_line
  WHERE choice = 1 AND is_sold
  GROUP BY invoice_number, line_number
),
taken_off AS (
  SELECT invoice_number, line_number, SUM(CAST(amount AS DECIMAL(50,4))) AS amount
  FROM allowance_share
  GROUP BY invoice_number, line_number
),
part_owed AS (
  SELECT sold.sold_by, sold.account_id, wholesale.project_id, wholesale.currency, CAST(wholesale.contracted_cost AS DECIMAL(60,18)) AS contracted_cost
  FROM wholesale
  JOIN sold ON sold.seller_series_id = wholesale.series_id
  UNION ALL
  SELECT sold_by, account_id, project_id, currency, contracted_cost
  FROM fee_line
  WHERE choice = 1
),
owed AS (
  SELECT sold_by, account_id, project_id, currency, CASE WHEN COUNT(*) = COUNT(contracted_cost) THEN SUM(contracted_cost) END AS contracted_cost
  FROM part_owed
  GROUP BY sold_by, account_id, project_id, currency
),
on_lines AS (
  SELECT line.sold_by, line.account_id, line.project_id, CASE WHEN COUNT(*) = COUNT(cost.contracted_cost) THEN SUM(cost.contracted_cost) END AS contracted_cost
  FROM line
  JOIN cost ON cost.invoice_number = line.invoice_number AND cost.line_number = line.line_number
  GROUP BY line.sold_by, line.account_id, line.project_id
),
left_over AS (
  SELECT owed.sold_by, owed.account_id, owed.project_id, owed.currency, owed.contracted_cost,
         CASE WHEN on_lines.account_id IS NULL THEN CAST(0 AS DECIMAL(60,18)) ELSE on_lines.contracted_cost END AS told_cost
  FROM owed
  LEFT JOIN on_lines ON on_lines.sold_by = owed.sold_by AND on_lines.account_id = owed.account_id AND on_lines.project_id = owed.project_id
),
told AS (
  SELECT line.sold_by, line.account_id, line.project_id, line.invoice_number, line.line_number, line.service, line.sku, line.description, line.line_by,
         line.quantity, line.unit, line.currency,
         CAST(CAST(line.net_amount AS DECIMAL(50,4)) - COALESCE(taken_off.amount, CAST(0 AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS net_amount,
         CASE WHEN cost.invoice_number IS NULL THEN CAST(0 AS DECIMAL(38,18))
              WHEN reseller.currency = line.currency THEN CAST(cost.contracted_cost AS DECIMAL(38,18))
              ELSE CAST(CAST(cost.contracted_cost AS DECIMAL(44,18)) * CAST(exchange_rate.multiplier AS DECIMAL(40,12)) / CAST(exchange_rate.divisor AS DECIMAL(40,12)) AS DECIMAL(38,18)) END AS wholesale_cost
  FROM line
  JOIN reseller ON reseller.sold_by = line.sold_by
  LEFT JOIN exchange_rate ON exchange_rate.price_currency = reseller.currency AND exchange_rate.currency = line.currency
  LEFT JOIN cost ON cost.invoice_number = line.invoice_number AND cost.line_number = line.line_number
  LEFT JOIN taken_off ON taken_off.invoice_number = line.invoice_number AND taken_off.line_number = line.line_number
  UNION ALL
  SELECT sold_by, account_id, project_id, '', CAST(0 AS BIGINT), '', '', 'On no line of the customer', '', CAST(0 AS DECIMAL(28,9)), '', currency,
         CAST(0 AS DECIMAL(28,4)),
         CAST(contracted_cost - told_cost AS DECIMAL(38,18))
  FROM left_over
  WHERE contracted_cost IS DISTINCT FROM told_cost
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
