-- br_co_17_tax_is_rate_of_taxable: the tax of a group (BT-117) is its rate of what it taxes, rounded to the currency (BR-CO-17 of EN 16931).
--
-- reads   invoice, tax_breakdown
--
-- Told without rounding anything: the tax is a whole number of the currency's units, and at most half a unit off.
WITH measured AS (
  SELECT tax_breakdown.invoice_number, tax_breakdown.tax_category, tax_breakdown.tax_rate, tax_breakdown.taxable_amount, tax_breakdown.tax_amount,
         CASE invoice.currency_exponent
           WHEN 0 THEN CAST(1 AS DECIMAL(5,4)) WHEN 1 THEN CAST(0.1 AS DECIMAL(5,4)) WHEN 2 THEN CAST(0.01 AS DECIMAL(5,4))
           WHEN 3 THEN CAST(0.001 AS DECIMAL(5,4)) ELSE CAST(0.0001 AS DECIMAL(5,4)) END AS smallest_unit
  FROM tax_breakdown
  JOIN invoice ON invoice.invoice_number = tax_breakdown.invoice_number
)
SELECT invoice_number, tax_category, tax_rate, taxable_amount, tax_amount
FROM measured
WHERE abs(CAST(tax_amount AS DECIMAL(38,4)) * 100 - taxable_amount * tax_rate) * 2 > smallest_unit * 100
   OR tax_amount % smallest_unit <> 0
   OR (tax_category <> 'S' AND tax_amount <> 0)
ORDER BY invoice_number, tax_category, tax_rate
