-- only_corrections_are_negative: no document comes to less than nothing, without tax or in what is due, but one that takes back what was charged too much.
--
-- reads   invoice
SELECT invoice_number, document_kind, total_without_tax, amount_due
FROM invoice
WHERE correction_reason IS NULL AND (total_without_tax < 0 OR amount_due < 0)
ORDER BY invoice_number
