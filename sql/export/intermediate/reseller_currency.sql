-- reseller_currency: the currency in which a reseller sells and in which its costs are added up.
--
-- grain   sold_by
-- reads   payer_series, invoice
-- params  $currency  TEXT   of the seller, ISO 4217
-- writes  sold_by   TEXT not null   account of the reseller
--         currency  TEXT not null   of its invoices; that of the seller if it has none
WITH reseller AS (
  SELECT sold_by
  FROM payer_series
  WHERE status = 'retail'
  UNION
  SELECT sold_by
  FROM invoice
  WHERE sold_by IS NOT NULL
)
SELECT reseller.sold_by,
       COALESCE(MIN(invoice.currency), CAST($currency AS TEXT)) AS currency
FROM reseller
LEFT JOIN invoice ON invoice.sold_by = reseller.sold_by
GROUP BY reseller.sold_by
