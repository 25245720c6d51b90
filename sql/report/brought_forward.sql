-- brought_forward: a line of an issued document with an amount of an earlier document, and why it was carried forward.
--
-- grain   invoice_number, line_number
-- reads   invoice, invoice_line, line_reference
-- writes  invoice_number  TEXT not null
--         line_number     BIGINT not null
--         account_id      TEXT not null
--         account_name    TEXT
--         project_id      TEXT
--         description     TEXT not null
--         from_period     TEXT not null            month of the amount, such as 2026-09
--         carried_from    TEXT not null            document that carried the amount forward
--         reason          TEXT not null            below_minimum, below_zero, late_usage, changed_record,
--                                                  late_and_changed or changed_rule
--         net_amount      DECIMAL(28,4) not null
--         currency        TEXT not null
--
-- A document that corrects nothing carries its amount forward because the amount is below the minimum or below zero.
WITH carried AS (
  SELECT invoice_line.invoice_number, invoice_line.line_number, invoice.account_id, invoice.account_name,
         invoice_line.project_id, invoice_line.description,
         COALESCE(line_reference.corrected_period, SUBSTR(CAST(invoice_line.charge_period_start AS TEXT), 1, 7))
           AS from_period,
         line_reference.carried_from, line_reference.reason, invoice_line.net_amount, invoice_line.currency,
         SUM(CAST(invoice_line.net_amount AS DECIMAL(50,4)))
           OVER (PARTITION BY invoice_line.invoice_number, line_reference.carried_from) AS carried_amount
  FROM line_reference
  JOIN invoice_line ON invoice_line.invoice_number = line_reference.invoice_number
   AND invoice_line.line_number = line_reference.line_number
  JOIN invoice ON invoice.invoice_number = line_reference.invoice_number
  WHERE line_reference.carried_from IS NOT NULL AND invoice.document_kind NOT IN ('carried_forward', 'skipped')
)
SELECT invoice_number,
       line_number,
       account_id,
       account_name,
       project_id,
       description,
       from_period,
       carried_from,
       COALESCE(reason, CASE WHEN carried_amount < 0 THEN 'below_zero' ELSE 'below_minimum' END) AS reason,
       net_amount,
       currency
FROM carried
ORDER BY invoice_number, line_number
