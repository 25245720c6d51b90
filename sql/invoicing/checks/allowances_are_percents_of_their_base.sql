-- allowances_are_percents_of_their_base: what a term takes off by percent is that percent of what it was taken from, over all tax groups, to half of the currency's smallest unit.
--
-- reads   allowance, invoice
--
-- The difference of two allowances, on a correction, is a percent of nothing.
WITH taken_off AS (
  SELECT allowance.invoice_number, allowance.term_id, allowance.kind, allowance.percent, allowance.base_amount, invoice.currency_exponent,
         SUM(CAST(allowance.amount AS DECIMAL(40,4))) AS amount
  FROM allowance
  JOIN invoice ON invoice.invoice_number = allowance.invoice_number
  WHERE allowance.percent IS NOT NULL AND invoice.correction_reason IS NULL
  GROUP BY allowance.invoice_number, allowance.term_id, allowance.kind, allowance.percent, allowance.base_amount, invoice.currency_exponent
),
measured AS (
  SELECT invoice_number, term_id, percent, base_amount, amount,
         CASE currency_exponent
           WHEN 0 THEN CAST(1 AS DECIMAL(5,4)) WHEN 1 THEN CAST(0.1 AS DECIMAL(5,4)) WHEN 2 THEN CAST(0.01 AS DECIMAL(5,4))
           WHEN 3 THEN CAST(0.001 AS DECIMAL(5,4)) ELSE CAST(0.0001 AS DECIMAL(5,4)) END AS smallest_unit
  FROM taken_off
)
SELECT invoice_number, term_id, percent, base_amount, amount
FROM measured
WHERE abs(amount * 100 - CAST(base_amount AS DECIMAL(40,4)) * percent) * 2 > smallest_unit * 100
ORDER BY invoice_number, term_id, base_amount
