-- br_co_15_gross_is_net_plus_tax: BT-112 equals the total without tax plus the tax.
--
-- reads   invoice
--
-- Rule BR-CO-15 of EN 16931.
SELECT invoice_number, total_without_tax, tax_amount, total_with_tax
FROM invoice
WHERE total_with_tax <> total_without_tax + tax_amount
ORDER BY invoice_number
