-- br_s_08_taxable_is_lines_less_allowances: BT-116 equals the lines of a tax group minus its allowances.
--
-- reads   invoice_line, allowance, applied_tax, tax_breakdown
--
-- Rule BR-S-08 of EN 16931, for all categories and any sign. A line with several taxes is in several groups. Compound
-- taxes are excluded, because their taxable amounts include other taxes.
WITH part AS (
  SELECT invoice_number, tax_treatment, CAST(net_amount AS DECIMAL(50,4)) AS amount
  FROM invoice_line
  UNION ALL
  SELECT invoice_number, tax_treatment, CAST(-amount AS DECIMAL(50,4)) AS amount
  FROM allowance
),
of_lines AS (
  SELECT part.invoice_number, applied_tax.tax_category, applied_tax.tax_rate, applied_tax.tax_name,
         COALESCE(applied_tax.exemption_reason, '') AS exemption_reason, SUM(part.amount) AS amount
  FROM part
  LEFT JOIN applied_tax ON applied_tax.tax_treatment = part.tax_treatment
  WHERE applied_tax.is_compound IS DISTINCT FROM TRUE
  GROUP BY part.invoice_number, applied_tax.tax_category, applied_tax.tax_rate, applied_tax.tax_name,
           COALESCE(applied_tax.exemption_reason, '')
),
of_group AS (
  SELECT invoice_number, tax_category, tax_rate, tax_name, COALESCE(exemption_reason, '') AS exemption_reason,
         CAST(taxable_amount AS DECIMAL(50,4)) AS amount
  FROM tax_breakdown
  WHERE NOT is_compound
)
SELECT COALESCE(of_lines.invoice_number, of_group.invoice_number) AS invoice_number,
       COALESCE(of_lines.tax_name, of_group.tax_name) AS tax_name,
       COALESCE(of_lines.tax_category, of_group.tax_category) AS tax_category,
       COALESCE(of_lines.tax_rate, of_group.tax_rate) AS tax_rate, of_lines.amount AS amount_of_lines,
       of_group.amount AS taxable_amount
FROM of_lines
FULL JOIN of_group ON of_group.invoice_number = of_lines.invoice_number
 AND of_group.tax_category = of_lines.tax_category AND of_group.tax_rate = of_lines.tax_rate
 AND of_group.tax_name = of_lines.tax_name AND of_group.exemption_reason = of_lines.exemption_reason
WHERE of_lines.amount IS DISTINCT FROM of_group.amount
ORDER BY invoice_number, tax_name, tax_category, tax_rate
