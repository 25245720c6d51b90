-- margins: a row of margins.csv: the margin of a reseller on an invoice line of its customer.
--
-- grain   reseller_id, account_id, project_id, invoice_number, line_number
-- reads   sold_line, allowance_share, wholesale_line_cost, unsold_cost, reseller_currency, exchange_rate
-- calls   convert_cost
-- params  $currency  TEXT   of the seller, ISO 4217
-- writes  reseller_id     TEXT not null
--         account_id      TEXT not null    of the customer
--         project_id      TEXT
--         invoice_number  TEXT not null    empty for a cost that no invoice line of the customer has
--         line_number     BIGINT not null
--         service         TEXT not null
--         sku             TEXT not null
--         description     TEXT not null
--         line_by         TEXT not null
--         quantity        DECIMAL(38,9) not null
--         unit            TEXT not null
--         net_amount      DECIMAL(28,4) not null
--         wholesale_cost  DECIMAL(38,18)   unrounded, at the exchange rates of the period; null if a rate is missing
--         margin          DECIMAL(38,18)
--         currency        TEXT not null
--
-- The margin is the line minus its discounts and credits, and minus the cost of the same usage or charge to the
-- reseller. The usage of a resource on a day is one cost for the reseller and possibly several parts for the customer.
-- Each part gets a share by quantity: see sold_usage.
--
-- A charge without usage is set against the reseller's own charge for the same sku and project, once: see
-- wholesale_charge_line. Percentage fees and minimum spends cost the reseller nothing, because the reseller owes these
-- for its own document as a whole.
--
-- A reseller sells in one currency, that of its account, and its costs are added in it. Only a restatement can change
-- the currency. A line in another currency has its cost at the exchange rate of the two.
--
-- All costs are in the month of the usage. A correction of a closed month has no cost of its own, because the original
-- line has the cost of all usage. Amounts that one document carries to the next are left out.
WITH taken_off AS (
  SELECT invoice_number, line_number, SUM(CAST(amount AS DECIMAL(50,4))) AS amount
  FROM allowance_share
  GROUP BY invoice_number, line_number
),
sold AS (
  SELECT sold_line.sold_by, sold_line.account_id, sold_line.project_id, sold_line.invoice_number,
         sold_line.line_number, sold_line.service, sold_line.sku, sold_line.description, sold_line.line_by,
         sold_line.quantity, sold_line.unit, sold_line.currency,
         CAST(CAST(sold_line.net_amount AS DECIMAL(50,4)) - COALESCE(taken_off.amount, CAST(0 AS DECIMAL(50,4)))
           AS DECIMAL(28,4)) AS net_amount,
         CASE WHEN wholesale_line_cost.invoice_number IS NULL THEN CAST(0 AS DECIMAL(38,18))
              WHEN reseller_currency.currency = sold_line.currency THEN wholesale_line_cost.wholesale_cost
              ELSE convert_cost(wholesale_line_cost.wholesale_cost, exchange_rate.multiplier, exchange_rate.divisor)
         END AS wholesale_cost
  FROM sold_line
  JOIN reseller_currency ON reseller_currency.sold_by = sold_line.sold_by
  LEFT JOIN exchange_rate ON exchange_rate.price_currency = reseller_currency.currency
   AND exchange_rate.currency = sold_line.currency
  LEFT JOIN wholesale_line_cost ON wholesale_line_cost.invoice_number = sold_line.invoice_number
   AND wholesale_line_cost.line_number = sold_line.line_number
  LEFT JOIN taken_off ON taken_off.invoice_number = sold_line.invoice_number
   AND taken_off.line_number = sold_line.line_number
  UNION ALL
  SELECT sold_by, account_id, project_id, '', CAST(0 AS BIGINT), '', '', 'On no line of the customer', '',
         CAST(0 AS DECIMAL(38,9)), '', currency, CAST(0 AS DECIMAL(28,4)), wholesale_cost
  FROM unsold_cost
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
FROM sold
ORDER BY reseller_id, account_id, project_id NULLS FIRST, invoice_number, line_number
