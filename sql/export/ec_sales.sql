-- ec_sales: a row of the EC sales list: services for a business in another EU country that owes the tax.
--
-- grain   buyer_vat_id
-- reads   invoice, tax_breakdown
-- params  $seller_country  TEXT
-- writes  buyer_country   TEXT not null
--         buyer_vat_id    TEXT not null
--         indicator       TEXT not null            always 3, which means services
--         invoice_count   BIGINT not null
--         taxable_amount  DECIMAL(28,4) not null   in the seller's currency
--         currency        TEXT not null
--
-- The sum of all documents of a buyer is rounded once. So a document and its corrections sum to zero.
WITH supply AS (
  SELECT COALESCE(invoice.buyer_country, '') AS buyer_country, COALESCE(invoice.buyer_vat_id, '') AS buyer_vat_id,
         invoice.invoice_number, invoice.seller_currency,
         CASE WHEN invoice.exchange_rate IS NULL THEN CAST(tax_breakdown.taxable_amount AS DECIMAL(60,16))
              WHEN invoice.exchange_base = invoice.currency
                THEN CAST(CAST(tax_breakdown.taxable_amount AS DECIMAL(46,4))
                           * CAST(invoice.exchange_rate AS DECIMAL(29,12)) AS DECIMAL(60,16))
              ELSE CAST(CAST(tax_breakdown.taxable_amount AS DECIMAL(46,4))
                         / CAST(invoice.exchange_rate AS DECIMAL(29,12)) AS DECIMAL(60,16)) END AS taxable_amount
  FROM invoice
  JOIN tax_breakdown ON tax_breakdown.invoice_number = invoice.invoice_number
  WHERE tax_breakdown.tax_category = 'AE' AND invoice.document_kind NOT IN ('carried_forward', 'skipped')
    AND invoice.sold_by IS NULL
    AND invoice.buyer_country IN ('AT', 'BE', 'BG', 'CY', 'CZ', 'DE', 'DK', 'EE', 'ES', 'FI', 'FR', 'GR', 'HR', 'HU',
                                  'IE', 'IT', 'LT', 'LU', 'LV', 'MT', 'NL', 'PL', 'PT', 'RO', 'SE', 'SI', 'SK')
    AND invoice.buyer_country <> CAST($seller_country AS TEXT)
)
SELECT MIN(buyer_country) AS buyer_country,
       buyer_vat_id,
       '3' AS indicator,
       CAST(COUNT(DISTINCT invoice_number) AS BIGINT) AS invoice_count,
       CAST(round(SUM(taxable_amount), 2) AS DECIMAL(28,4)) AS taxable_amount,
       MIN(seller_currency) AS currency
FROM supply
GROUP BY buyer_vat_id
ORDER BY buyer_vat_id
