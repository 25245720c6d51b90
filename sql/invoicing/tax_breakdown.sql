-- tax_breakdown: the tax of an invoice, once for each category and rate.
--
-- grain   invoice_number, tax_category, tax_rate
-- reads   invoice_line
-- params  $currency_exponent BIGINT                    places of the currency
-- writes  invoice_number  TEXT not null
--         tax_category    TEXT not null
--         tax_rate        DECIMAL(7,4) not null        percent
--         taxable_amount  DECIMAL(28,4) not null
--         tax_amount      DECIMAL(28,4) not null       rounded on the group, not on the line
WITH taxable AS (
  SELECT invoice_number, tax_category, tax_rate,
         CAST(SUM(CAST(net_amount AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS taxable_amount
  FROM invoice_line
  GROUP BY invoice_number, tax_category, tax_rate
)
SELECT invoice_number,
       tax_category,
       tax_rate,
       taxable_amount,
       CAST(round(taxable_amount * tax_rate * CAST(0.01 AS DECIMAL(3,2)), CAST($currency_exponent AS BIGINT)) AS DECIMAL(28,4)) AS tax_amount
FROM taxable
ORDER BY invoice_number, tax_category, tax_rate
