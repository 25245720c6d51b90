-- br_co_17_tax_is_rate_of_taxable: BT-117 equals the taxable amount times the tax rate, rounded.
--
-- reads   invoice, tax_breakdown
-- calls   smallest_unit
--
-- Rule BR-CO-17 of EN 16931. The check rounds nothing itself. The tax must be a multiple of the smallest currency unit,
-- and differ from the exact tax by at most half of it. The tax of a correction is cumulative, so it differs by at most
-- a whole unit.
WITH measured AS (
  SELECT tax_breakdown.invoice_number, tax_breakdown.tax_name, tax_breakdown.tax_category, tax_breakdown.tax_rate,
         tax_breakdown.taxable_amount, tax_breakdown.tax_amount,
         smallest_unit(invoice.currency_exponent) AS smallest_unit,
         CASE WHEN invoice.correction_reason IS NULL THEN 1 ELSE 2 END AS half_units
  FROM tax_breakdown
  JOIN invoice ON invoice.invoice_number = tax_breakdown.invoice_number
)
SELECT invoice_number, tax_name, tax_category, tax_rate, taxable_amount, tax_amount
FROM measured
WHERE abs(CAST(tax_amount AS DECIMAL(38,4)) * 100 - taxable_amount * tax_rate) * 2 > smallest_unit * 100 * half_units
   OR tax_amount % smallest_unit <> 0
   OR (tax_category <> 'S' AND tax_amount <> 0)
ORDER BY invoice_number, tax_name, tax_category, tax_rate
