-- billed_amount: a line or an allowance of the documents of two successive months, as an amount before tax.
--
-- grain   invoice_number, charge_category, position
-- reads   invoice, invoice_line, line_reference, allowance
-- params  $billing_period_start  DATE   of the later month
-- writes  invoice_number    TEXT not null
--         charge_category   TEXT not null             of invoice_line, or Allowance
--         position          BIGINT not null
--         is_of_period      BOOLEAN not null          whether the document is of the later month
--         account_id        TEXT not null
--         account_name      TEXT
--         currency          TEXT not null
--         service           TEXT not null             empty for an allowance
--         name              TEXT not null
--         corrected_period  TEXT not null             another month that the line corrects; empty for none
--         unit              TEXT not null
--         quantity          DECIMAL(38,9) not null    zero for an allowance
--         contracted_cost   DECIMAL(38,18) not null   unrounded; zero for an allowance
--         net_amount        DECIMAL(28,4) not null    negative for an allowance
--
-- The name of a recurring fee does not contain its month, so that the fees of both months have the same name. The
-- description of an amount brought forward contains its month.
-- Documents that resellers issue are not included. Lines and allowances of a document add up to its total without tax.
SELECT invoice_line.invoice_number,
       invoice_line.charge_category,
       invoice_line.line_number AS position,
       invoice.billing_period_start = CAST($billing_period_start AS DATE) AS is_of_period,
       invoice.account_id,
       invoice.account_name,
       invoice_line.currency,
       invoice_line.service,
       CASE WHEN invoice_line.line_by = '' OR (invoice_line.line_by LIKE 'month=%'
                                               AND invoice_line.charge_kind IN ('recurring', 'brought_forward'))
              THEN invoice_line.description
            ELSE invoice_line.description || ' (' || invoice_line.line_by || ')' END AS name,
       CASE WHEN line_reference.corrected_period || '-01' <> CAST(invoice.billing_period_start AS TEXT)
              THEN COALESCE(line_reference.corrected_period, '')
            ELSE '' END AS corrected_period,
       invoice_line.unit,
       invoice_line.quantity,
       invoice_line.contracted_cost,
       invoice_line.net_amount
FROM invoice_line
JOIN invoice ON invoice.invoice_number = invoice_line.invoice_number
LEFT JOIN line_reference ON line_reference.invoice_number = invoice_line.invoice_number
 AND line_reference.line_number = invoice_line.line_number
WHERE invoice.sold_by IS NULL
UNION ALL
SELECT allowance.invoice_number,
       'Allowance',
       allowance.allowance_number,
       invoice.billing_period_start = CAST($billing_period_start AS DATE),
       invoice.account_id,
       invoice.account_name,
       allowance.currency,
       '',
       allowance.description,
       '',
       '',
       CAST(0 AS DECIMAL(38,9)),
       CAST(0 AS DECIMAL(38,18)),
       CAST(-allowance.amount AS DECIMAL(28,4))
FROM allowance
JOIN invoice ON invoice.invoice_number = allowance.invoice_number
WHERE invoice.sold_by IS NULL
