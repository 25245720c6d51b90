-- tax_breakdown: the tax of an invoice for each tax category, rate and exemption reason.
--
-- grain   invoice_number, tax_category, tax_rate, exemption_reason
-- reads   invoice_line, allowance, document_header, issued_tax
-- writes  invoice_number    TEXT not null
--         tax_category      TEXT not null
--         tax_rate          DECIMAL(7,4) not null    percent
--         exemption_reason  TEXT
--         tax_name          TEXT not null
--         taxable_amount    DECIMAL(28,4) not null   lines minus allowances
--         tax_amount        DECIMAL(28,4) not null   rounded once per group, see below
--
-- The tax of a correction is cumulative: the tax on all documents of the payer and period, less the tax that was issued
-- before. Other documents have no earlier documents.
WITH part AS (
  SELECT invoice_number, tax_category, tax_rate, exemption_reason, tax_name, CAST(net_amount AS DECIMAL(50,4)) AS amount
  FROM invoice_line
  UNION ALL
  SELECT invoice_number, tax_category, tax_rate, exemption_reason, tax_name, CAST(-amount AS DECIMAL(50,4)) AS amount
  FROM allowance
),
taxable AS (
  SELECT invoice_number, tax_category, tax_rate, exemption_reason, MAX(tax_name) AS tax_name,
         CAST(SUM(amount) AS DECIMAL(28,4)) AS taxable_amount
  FROM part
  GROUP BY invoice_number, tax_category, tax_rate, exemption_reason
)
SELECT taxable.invoice_number,
       taxable.tax_category,
       taxable.tax_rate,
       taxable.exemption_reason,
       taxable.tax_name,
       taxable.taxable_amount,
       CAST(round(CAST(taxable.taxable_amount + COALESCE(issued_tax.taxable_amount, CAST(0 AS DECIMAL(28,4)))
                       AS DECIMAL(28,4)) * taxable.tax_rate
                   * CAST(0.01 AS DECIMAL(3,2)), document_header.currency_exponent)
             - COALESCE(issued_tax.tax_amount, CAST(0 AS DECIMAL(28,4))) AS DECIMAL(28,4)) AS tax_amount
FROM taxable
JOIN document_header ON document_header.invoice_number = taxable.invoice_number
LEFT JOIN issued_tax ON issued_tax.invoice_number = taxable.invoice_number
 AND issued_tax.tax_category = taxable.tax_category AND issued_tax.tax_rate = taxable.tax_rate
 AND issued_tax.exemption_reason IS NOT DISTINCT FROM taxable.exemption_reason
ORDER BY invoice_number, tax_category, tax_rate, exemption_reason NULLS FIRST
