-- tax_summary: the tax of a seller's issued documents by country of the buyer, tax group and currency.
--
-- grain   sold_by, buyer_country, tax_category, tax_rate, tax_name, is_compound, currency
-- reads   invoice, tax_breakdown
-- writes  sold_by                            TEXT                     account of the reseller that sells; null for the
--                                                                     configured seller
--         buyer_country                      TEXT                     null if the account has no country
--         tax_category                       TEXT not null
--         tax_rate                           DECIMAL(7,4) not null    percent
--         tax_name                           TEXT not null
--         is_compound                        BOOLEAN not null
--         currency                           TEXT not null
--         document_count                     BIGINT not null
--         taxable_amount                     DECIMAL(28,4) not null
--         tax_amount                         DECIMAL(28,4) not null
--         seller_currency                    TEXT not null
--         taxable_amount_in_seller_currency  DECIMAL(28,4) not null   rounded once on the sum
--         tax_amount_in_seller_currency      DECIMAL(28,4) not null   adds up to BT-111 of the documents, see below
--
-- BT-111 is rounded once for each document. In a document with several tax groups, the largest group has BT-111 less
-- the rounded taxes of the other groups.
WITH converted AS (
  SELECT invoice.invoice_number, invoice.sold_by, invoice.buyer_country, invoice.currency, invoice.seller_currency,
         invoice.seller_currency_exponent, invoice.tax_amount_in_seller_currency AS document_tax,
         tax_breakdown.tax_category, tax_breakdown.tax_rate, tax_breakdown.tax_name, tax_breakdown.is_compound,
         tax_breakdown.taxable_amount, tax_breakdown.tax_amount,
         CASE WHEN invoice.exchange_rate IS NULL THEN CAST(tax_breakdown.taxable_amount AS DECIMAL(60,16))
              WHEN invoice.exchange_base = invoice.currency
                THEN CAST(CAST(tax_breakdown.taxable_amount AS DECIMAL(46,4))
                           * CAST(invoice.exchange_rate AS DECIMAL(29,12)) AS DECIMAL(60,16))
              ELSE CAST(CAST(tax_breakdown.taxable_amount AS DECIMAL(46,4))
                         / CAST(invoice.exchange_rate AS DECIMAL(29,12)) AS DECIMAL(60,16)) END AS seller_taxable,
         CASE WHEN invoice.exchange_rate IS NULL THEN CAST(tax_breakdown.tax_amount AS DECIMAL(60,16))
              WHEN invoice.exchange_base = invoice.currency
                THEN CAST(CAST(tax_breakdown.tax_amount AS DECIMAL(46,4))
                           * CAST(invoice.exchange_rate AS DECIMAL(29,12)) AS DECIMAL(60,16))
              ELSE CAST(CAST(tax_breakdown.tax_amount AS DECIMAL(46,4))
                         / CAST(invoice.exchange_rate AS DECIMAL(29,12)) AS DECIMAL(60,16)) END AS seller_tax,
         ROW_NUMBER() OVER (
           PARTITION BY invoice.invoice_number
           ORDER BY abs(tax_breakdown.tax_amount) DESC, tax_breakdown.tax_category, tax_breakdown.tax_rate,
                    tax_breakdown.tax_name, tax_breakdown.is_compound, tax_breakdown.exemption_reason NULLS FIRST
         ) AS size_rank
  FROM invoice
  JOIN tax_breakdown ON tax_breakdown.invoice_number = invoice.invoice_number
  WHERE invoice.document_kind NOT IN ('carried_forward', 'skipped')
),
rounded AS (
  SELECT *, CASE WHEN size_rank = 1 THEN CAST(0 AS DECIMAL(50,4))
                 ELSE CAST(round(seller_tax, seller_currency_exponent) AS DECIMAL(50,4)) END AS smaller_tax
  FROM converted
),
smaller AS (
  SELECT invoice_number, SUM(smaller_tax) AS smaller_tax
  FROM rounded
  GROUP BY invoice_number
)
SELECT rounded.sold_by, rounded.buyer_country, rounded.tax_category, rounded.tax_rate, rounded.tax_name,
       rounded.is_compound, rounded.currency,
       CAST(COUNT(DISTINCT rounded.invoice_number) AS BIGINT) AS document_count,
       CAST(SUM(CAST(rounded.taxable_amount AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS taxable_amount,
       CAST(SUM(CAST(rounded.tax_amount AS DECIMAL(50,4))) AS DECIMAL(28,4)) AS tax_amount,
       MIN(rounded.seller_currency) AS seller_currency,
       CAST(round(SUM(rounded.seller_taxable), MIN(rounded.seller_currency_exponent)) AS DECIMAL(28,4))
         AS taxable_amount_in_seller_currency,
       CAST(SUM(CASE WHEN rounded.size_rank = 1
                       THEN CAST(rounded.document_tax AS DECIMAL(50,4)) - smaller.smaller_tax
                     ELSE rounded.smaller_tax END) AS DECIMAL(28,4)) AS tax_amount_in_seller_currency
FROM rounded
JOIN smaller ON smaller.invoice_number = rounded.invoice_number
GROUP BY rounded.sold_by, rounded.buyer_country, rounded.tax_category, rounded.tax_rate, rounded.tax_name,
         rounded.is_compound, rounded.currency
ORDER BY sold_by NULLS FIRST, buyer_country NULLS FIRST, tax_category, tax_rate, tax_name, is_compound, currency
