-- tax_breakdown: the tax of an invoice for each tax category, rate and exemption reason.
--
-- grain   invoice_number, tax_category, tax_rate, exemption_reason
-- reads   invoice_line, allowance, document_header
-- writes  invoice_number    TEXT not null
--         tax_category      TEXT not null
--         tax_rate          DECIMAL(7,4) not null    percent
--         exemption_reason  TEXT
--         tax_name          TEXT not null
--         taxable_amount    DECIMAL(28,4) not null   lines minus allowances
--         tax_amount        DECIMAL(28,4) not null   rounded once per group
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
       CAST(round(taxable.taxable_amount * taxable.tax_rate
                   * CAST(0.01 AS DECIMAL(3,2)), document_header.currency_exponent) AS DECIMAL(28,4)) AS tax_amount
FROM taxable
JOIN document_header ON document_header.invoice_number = taxable.invoice_number
ORDER BY invoice_number, tax_category, tax_rate, exemption_reason NULLS FIRST
