-- br_co_15_gross_is_net_plus_tax: the total with tax (BT-112) is the total without it plus the tax (BR-CO-15 of EN 16931).
--
-- reads   invoice
SELECT invoice_number, total_without_tax, tax_amount, total_with_tax
FROM invoice
WHERE total_with_tax <> total_without_tax + tax_amount
ORDER BY invoice_number
