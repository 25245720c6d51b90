-- usage_price: the texts of a price in usage.csv, or of a missing price, with its place among other prices.
--
-- grain   price_number
-- reads   rate
-- params  $currency  TEXT   currency for usage without a price, ISO 4217
-- writes  price_number  BIGINT not null
--         rate_id       TEXT               null for usage without a price
--         component     TEXT not null
--         service       TEXT
--         sku           TEXT
--         pricing_unit  TEXT
--         currency      TEXT not null
--         position      DECIMAL(38,0) not null   from the right: component and sku in the digits 13 to 17; service,
--                                                unit and currency in 1 to 4
WITH price AS (
  SELECT rate_id, component, service, sku, pricing_unit, currency
  FROM rate
  UNION ALL
  SELECT DISTINCT CAST(NULL AS TEXT), component, CAST(NULL AS TEXT), CAST(NULL AS TEXT), CAST(NULL AS TEXT),
         CAST($currency AS TEXT)
  FROM rate
  UNION ALL
  SELECT CAST(NULL AS TEXT), 'base', CAST(NULL AS TEXT), CAST(NULL AS TEXT), CAST(NULL AS TEXT),
         CAST($currency AS TEXT)
  WHERE NOT EXISTS (SELECT 1 FROM rate WHERE component = 'base')
)
SELECT CAST(ROW_NUMBER() OVER (ORDER BY component, rate_id) AS BIGINT) AS price_number,
       rate_id,
       component,
       service,
       sku,
       pricing_unit,
       currency,
       CAST(CAST(DENSE_RANK() OVER (ORDER BY CASE WHEN component = 'base' THEN 0 ELSE 1 END, component, sku)
                AS DECIMAL(5,0)) * CAST('1000000000000' AS DECIMAL(13,0))
            + CAST(DENSE_RANK() OVER (ORDER BY service, pricing_unit, currency) AS DECIMAL(4,0))
         AS DECIMAL(38,0)) AS position
FROM price
ORDER BY price_number
