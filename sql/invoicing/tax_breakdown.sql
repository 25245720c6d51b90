-- tax_breakdown: the tax of an invoice for each tax group: name, category, rate and exemption reason.
--
-- grain   invoice_number, tax_category, tax_rate, tax_name, is_compound, exemption_reason
-- reads   invoice_line, allowance, applied_tax, document_header, issued_net, issued_tax
-- writes  invoice_number    TEXT not null
--         tax_category      TEXT not null
--         tax_rate          DECIMAL(7,4) not null    percent
--         exemption_reason  TEXT
--         tax_name          TEXT not null
--         is_compound       BOOLEAN not null         whether the taxable amount includes the other taxes of the lines
--         taxable_amount    DECIMAL(28,4) not null   lines minus allowances, see below
--         tax_amount        DECIMAL(28,4) not null   rounded once per group, see below
--
-- A line with several taxes is in several groups. A compound tax applies to the net amount and the other taxes of its
-- treatment. Each of these taxes is rounded on the net amount of the treatment.
--
-- The amounts of a correction are cumulative: those of all documents of the payer and period, less those that were
-- issued before. Other documents have no earlier documents.
WITH part AS (
  SELECT invoice_number, tax_treatment, CAST(net_amount AS DECIMAL(50,4)) AS amount, TRUE AS is_own
  FROM invoice_line
  UNION ALL
  SELECT invoice_number, tax_treatment, CAST(-amount AS DECIMAL(50,4)) AS amount, TRUE AS is_own
  FROM allowance
  UNION ALL
  SELECT invoice_number, tax_treatment, CAST(net_amount AS DECIMAL(50,4)) AS amount, FALSE AS is_own
  FROM issued_net
),
net AS (
  SELECT invoice_number, tax_treatment, bool_or(is_own) AS is_own, CAST(SUM(amount) AS DECIMAL(28,4)) AS net_amount
  FROM part
  GROUP BY invoice_number, tax_treatment
),
taxed AS (
  SELECT net.invoice_number, net.tax_treatment, net.is_own, net.net_amount, document_header.currency_exponent,
         applied_tax.tax_category, applied_tax.tax_rate, applied_tax.tax_name, applied_tax.is_compound,
         applied_tax.exemption_reason,
         CASE WHEN applied_tax.is_compound THEN CAST(0 AS DECIMAL(28,4))
              ELSE CAST(round(net.net_amount * applied_tax.tax_rate * CAST(0.01 AS DECIMAL(3,2)),
                              document_header.currency_exponent) AS DECIMAL(28,4)) END AS other_tax
  FROM net
  JOIN applied_tax ON applied_tax.tax_treatment = net.tax_treatment
  JOIN document_header ON document_header.invoice_number = net.invoice_number
),
other AS (
  SELECT invoice_number, tax_treatment, SUM(CAST(other_tax AS DECIMAL(50,4))) AS other_tax
  FROM taxed
  GROUP BY invoice_number, tax_treatment
),
taxable AS (
  SELECT taxed.invoice_number, taxed.tax_category, taxed.tax_rate, taxed.tax_name, taxed.is_compound,
         taxed.exemption_reason, taxed.currency_exponent, bool_or(taxed.is_own) AS is_own,
         CAST(SUM(CAST(taxed.net_amount AS DECIMAL(50,4))
                   + CASE WHEN taxed.is_compound THEN other.other_tax ELSE CAST(0 AS DECIMAL(50,4)) END)
               AS DECIMAL(28,4)) AS taxable_amount
  FROM taxed
  JOIN other ON other.invoice_number = taxed.invoice_number AND other.tax_treatment = taxed.tax_treatment
  GROUP BY taxed.invoice_number, taxed.tax_category, taxed.tax_rate, taxed.tax_name, taxed.is_compound,
           taxed.exemption_reason, taxed.currency_exponent
)
SELECT taxable.invoice_number,
       taxable.tax_category,
       taxable.tax_rate,
       taxable.exemption_reason,
       taxable.tax_name,
       taxable.is_compound,
       CAST(taxable.taxable_amount - COALESCE(issued_tax.taxable_amount, CAST(0 AS DECIMAL(28,4))) AS DECIMAL(28,4))
         AS taxable_amount,
       CAST(round(taxable.taxable_amount * taxable.tax_rate
                   * CAST(0.01 AS DECIMAL(3,2)), taxable.currency_exponent)
             - COALESCE(issued_tax.tax_amount, CAST(0 AS DECIMAL(28,4))) AS DECIMAL(28,4)) AS tax_amount
FROM taxable
LEFT JOIN issued_tax ON issued_tax.invoice_number = taxable.invoice_number
 AND issued_tax.tax_category = taxable.tax_category AND issued_tax.tax_rate = taxable.tax_rate
 AND issued_tax.tax_name = taxable.tax_name AND issued_tax.is_compound = taxable.is_compound
 AND issued_tax.exemption_reason IS NOT DISTINCT FROM taxable.exemption_reason
WHERE taxable.is_own
ORDER BY invoice_number, tax_category, tax_rate, tax_name, is_compound, exemption_reason NULLS FIRST
