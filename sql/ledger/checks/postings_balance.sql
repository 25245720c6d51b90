-- postings_balance: the postings of a document sum to zero, and its receivables equal the amount due.
--
-- reads   posting, invoice
WITH posted AS (
  SELECT invoice_number, currency, SUM(CAST(amount AS DECIMAL(50,4))) AS amount,
         SUM(CASE WHEN role = 'receivable' THEN CAST(amount AS DECIMAL(50,4)) ELSE CAST(0 AS DECIMAL(50,4)) END)
           AS receivable
  FROM posting
  GROUP BY invoice_number, currency
),
own AS (
  SELECT invoice_number, currency, amount_due
  FROM invoice
  WHERE sold_by IS NULL
)
SELECT COALESCE(own.invoice_number, posted.invoice_number) AS invoice_number, posted.amount, posted.receivable,
       own.amount_due
FROM own
FULL JOIN posted ON posted.invoice_number = own.invoice_number AND posted.currency = own.currency
WHERE COALESCE(posted.amount, CAST(0 AS DECIMAL(50,4))) <> 0
   OR (COALESCE(posted.receivable, CAST(0 AS DECIMAL(50,4))) IS DISTINCT FROM CAST(own.amount_due AS DECIMAL(50,4)))
ORDER BY invoice_number
