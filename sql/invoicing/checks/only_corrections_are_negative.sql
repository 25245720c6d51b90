-- only_corrections_are_negative: only corrections have a negative total without tax or amount due.
--
-- reads   invoice
SELECT invoice_number, document_kind, total_without_tax, amount_due
FROM invoice
WHERE correction_reason IS NULL AND (total_without_tax < 0 OR amount_due < 0)
ORDER BY invoice_number
