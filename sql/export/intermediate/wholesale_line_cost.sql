-- wholesale_line_cost: the wholesale cost behind an invoice line of a reseller's customer, in the reseller's currency.
--
-- grain   invoice_number, line_number
-- reads   sold_line, sold_usage, wholesale_charge_line
-- params  $currency  TEXT   of the seller, ISO 4217
-- writes  invoice_number  TEXT not null
--         line_number     BIGINT not null
--         wholesale_cost  DECIMAL(38,18)   null if a price currency has no exchange rate
WITH part AS (
  SELECT sold_line.invoice_number, sold_line.line_number, sold_usage.wholesale_cost
  FROM sold_line
  JOIN sold_usage ON sold_usage.account_id = sold_line.account_id AND sold_usage.project_id = sold_line.project_id
   AND sold_usage.component = sold_line.component AND sold_usage.line_by = sold_line.line_by
   AND sold_usage.charge_kind = sold_line.charge_kind AND sold_usage.tier_start = sold_line.tier_start
   AND sold_usage.contracted_unit_price = sold_line.contracted_unit_price
   AND sold_usage.unit_price_per = sold_line.unit_price_per AND sold_usage.service = sold_line.service
   AND sold_usage.sku = sold_line.sku AND sold_usage.description = sold_line.description
   AND sold_usage.price_currency = sold_line.price_currency
  WHERE sold_line.charge_category = 'Usage' AND sold_line.is_first
    AND (sold_line.charge_kind NOT IN ('usage', 'reserved') OR sold_usage.pricing_unit = sold_line.unit)
  UNION ALL
  SELECT invoice_number, line_number, contracted_cost
  FROM wholesale_charge_line
  WHERE is_sold
)
SELECT invoice_number,
       line_number,
       CASE WHEN COUNT(*) = COUNT(wholesale_cost)
            THEN CAST(SUM(CAST(wholesale_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) END AS wholesale_cost
FROM part
GROUP BY invoice_number, line_number
