-- invoice_line: one line of one invoice: a sku at one unit price, tier and line_by value. Where money is rounded.
--
-- grain   invoice_number, line_number
-- reads   rated_usage, active_series, rate
-- params  $billing_period TEXT                            2026-10
--         $currency TEXT                                  ISO 4217
--         $currency_exponent BIGINT                       places of the currency
--         $tax_category TEXT
--         $tax_rate DECIMAL(7,4)                          percent
-- writes  invoice_number       TEXT not null
--         line_number          BIGINT not null            from one
--         account_id           TEXT not null
--         project_id           TEXT not null
--         service              TEXT not null
--         component            TEXT not null
--         sku                  TEXT not null
--         description          TEXT not null
--         line_by              TEXT not null
--         tier_start           DECIMAL(28,9) not null     tells tiers of one price apart
--         charge_period_start  DATE not null              first date with usage
--         charge_period_end    DATE not null              the day after the last, exclusive
--         quantity             DECIMAL(28,9) not null
--         unit                 TEXT not null
--         unit_price           DECIMAL(28,12) not null
--         unit_price_per       DECIMAL(28,9) not null     the price is for so many units
--         contracted_cost      DECIMAL(38,18) not null    before rounding
--         net_amount           DECIMAL(28,4) not null     rounded half away from zero to the currency's places: the one rounding of a price
--         currency             TEXT not null
--         tax_category         TEXT not null
--         tax_rate             DECIMAL(7,4) not null
WITH charge AS (
  SELECT active_series.account_id, active_series.project_id,
         rate.service, rate.component, rate.sku, rate.description, rated_usage.line_by, rated_usage.tier_start,
         rate.pricing_unit, rated_usage.contracted_unit_price, rate.price_per,
         MIN(rated_usage.charge_date) AS first_date,
         MAX(rated_usage.charge_date) AS last_date,
         CAST(SUM(CAST(rated_usage.pricing_quantity AS DECIMAL(50,9))) AS DECIMAL(28,9)) AS quantity,
         CAST(SUM(CAST(rated_usage.contracted_cost AS DECIMAL(60,18))) AS DECIMAL(38,18)) AS contracted_cost
  FROM rated_usage
  JOIN active_series ON active_series.series_id = rated_usage.series_id
  JOIN rate ON rate.rate_id = rated_usage.rate_id
  WHERE active_series.status = 'invoiced'
  GROUP BY active_series.account_id, active_series.project_id,
           rate.service, rate.component, rate.sku, rate.description, rated_usage.line_by, rated_usage.tier_start,
           rate.pricing_unit, rated_usage.contracted_unit_price, rate.price_per
  HAVING SUM(CAST(rated_usage.pricing_quantity AS DECIMAL(50,9))) <> 0 OR SUM(CAST(rated_usage.contracted_cost AS DECIMAL(60,18))) <> 0
),
numbered AS (
  SELECT *,
         ROW_NUMBER() OVER (
           PARTITION BY project_id
           ORDER BY service, CASE WHEN component = 'base' THEN 0 ELSE 1 END, component, sku, description, line_by,
                    tier_start, contracted_unit_price, pricing_unit, price_per
         ) AS line_number
  FROM charge
)
SELECT concat('DRAFT-', CAST($billing_period AS TEXT), '-', project_id) AS invoice_number,
       CAST(line_number AS BIGINT) AS line_number,
       account_id,
       project_id,
       service,
       component,
       sku,
       description,
       line_by,
       tier_start,
       first_date AS charge_period_start,
       CAST(last_date + INTERVAL '1 day' AS DATE) AS charge_period_end,
       quantity,
       pricing_unit AS unit,
       contracted_unit_price AS unit_price,
       price_per AS unit_price_per,
       contracted_cost,
       CAST(round(contracted_cost, CAST($currency_exponent AS BIGINT)) AS DECIMAL(28,4)) AS net_amount,
       CAST($currency AS TEXT) AS currency,
       CAST($tax_category AS TEXT) AS tax_category,
       CAST($tax_rate AS DECIMAL(7,4)) AS tax_rate
FROM numbered
ORDER BY invoice_number, line_number
