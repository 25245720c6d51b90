-- negative_documents_are_corrections_or_last: only corrections and last documents have a negative total or amount due.
--
-- reads   invoice
SELECT invoice_number, document_kind, total_without_tax, amount_due
FROM invoice
WHERE correction_reason IS NULL AND NOT is_last AND (total_without_tax < 0 OR amount_due < 0)
ORDER BY invoice_number
