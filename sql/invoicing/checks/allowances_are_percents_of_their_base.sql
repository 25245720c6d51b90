-- allowances_are_percents_of_their_base: a percentage allowance equals its percentage of its base.
--
-- reads   allowance, invoice
-- calls   smallest_unit
--
-- The amount is the sum over all tax groups, with a tolerance of half the smallest unit of the currency. On a
-- correction the difference of two allowances is no percentage of any amount, so corrections are excluded.
WITH reduced AS (
  SELECT allowance.invoice_number, allowance.term_id, allowance.kind, allowance.percent, allowance.base_amount,
         invoice.currency_exponent,
         SUM(CAST(allowance.amount AS DECIMAL(40,4))) AS amount
  FROM allowance
  JOIN invoice ON invoice.invoice_number = allowance.invoice_number
  WHERE allowance.percent IS NOT NULL AND invoice.correction_reason IS NULL
  GROUP BY allowance.invoice_number, allowance.term_id, allowance.kind, allowance.percent, allowance.base_amount,
           invoice.currency_exponent
),
measured AS (
  SELECT invoice_number, term_id, percent, base_amount, amount,
         smallest_unit(currency_exponent) AS smallest_unit
  FROM reduced
)
SELECT invoice_number, term_id, percent, base_amount, amount
FROM measured
WHERE abs(amount * 100 - CAST(base_amount AS DECIMAL(40,4)) * percent) * 2 > smallest_unit * 100
ORDER BY invoice_number, term_id, base_amount
