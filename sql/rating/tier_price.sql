-- tier_price: the price of a tier for one series in a segment, after its factors, with the number of its invoice line.
--
-- grain   priced_number, tier_number, charge_kind
-- reads   priced_series, rate_tier
-- calls   price_with_factor
-- writes  series_id              BIGINT UNSIGNED not null
--         segment_start          TIMESTAMP not null
--         component              TEXT not null
--         priced_number          BIGINT not null
--         tier_number            BIGINT not null
--         charge_kind            TEXT not null            usage or flat_fee
--         tier_price_number      BIGINT not null          order of the parts of a date on an invoice line
--         line_number            BIGINT not null          parts with equal numbers are on the same invoice line
--         tier_start             DECIMAL(28,9) not null
--         contracted_unit_price  DECIMAL(28,12) not null
--         unit_price_per         DECIMAL(28,9) not null   number of priced units that the unit price is for
--         divisor                DECIMAL(28,9) not null   metered units per priced unit; one for a flat fee
--         pool_floor             DECIMAL(38,9) not null   as all bounds in metered units, before included units
--         pool_ceiling           DECIMAL(38,9)
--         total_above            DECIMAL(38,9)
--         total_up_to            DECIMAL(38,9)
--         is_volume              BOOLEAN not null         the total of the pool selects the tier
--         package                DECIMAL(38,9)
--         package_rounding       TEXT
--         max_amount             DECIMAL(28,12)           largest cost of the tier in a pool
--         is_shared              BOOLEAN not null
--         is_owed_at_zero        BOOLEAN not null         the flat fee is owed if the pool does not reach the tier
--
-- A price that depends on dimensions replaces the price of all tiers except the one of included units.
--
-- Line numbers and orders are computed once for all series. Usage is large, and sorting it by numbers is cheap.
WITH priced AS (
  SELECT priced_series.series_id, priced_series.segment_start, priced_series.component, priced_series.priced_number,
         priced_series.rate_id, priced_series.line_group, priced_series.usage_order, priced_series.factor,
         priced_series.pricing_divisor, priced_series.is_shared, priced_series.flat_fee_at_zero,
         COALESCE(CASE WHEN rate_tier.tier_number > 0 THEN priced_series.unit_price END, rate_tier.unit_price)
           AS unit_price,
         rate_tier.tier_number, rate_tier.tier_start, rate_tier.price_per, rate_tier.flat_fee,
         rate_tier.pool_floor, rate_tier.pool_ceiling, rate_tier.total_above, rate_tier.total_up_to,
         rate_tier.package, rate_tier.package_rounding,
         CASE WHEN rate_tier.max_amount IS NOT NULL
              THEN price_with_factor(rate_tier.max_amount, priced_series.factor) END AS max_amount
  FROM priced_series
  JOIN rate_tier ON rate_tier.rate_id = priced_series.rate_id
),
charge AS (
  SELECT priced.*, 'usage' AS charge_kind,
         price_with_factor(unit_price, factor) AS contracted_unit_price,
         price_per AS unit_price_per, pricing_divisor AS divisor
  FROM priced
  UNION ALL
  SELECT priced.*, 'flat_fee', price_with_factor(flat_fee, factor),
         CAST(1 AS DECIMAL(28,9)), CAST(1 AS DECIMAL(28,9))
  FROM priced
  WHERE flat_fee IS NOT NULL
)
SELECT series_id,
       segment_start,
       component,
       priced_number,
       tier_number,
       charge_kind,
       CAST(ROW_NUMBER() OVER (ORDER BY segment_start, usage_order, tier_number, priced_number, charge_kind) AS BIGINT)
         AS tier_price_number,
       CAST(DENSE_RANK() OVER (ORDER BY line_group, charge_kind, tier_start, contracted_unit_price, unit_price_per)
         AS BIGINT) AS line_number,
       tier_start,
       contracted_unit_price,
       unit_price_per,
       divisor,
       pool_floor,
       pool_ceiling,
       total_above,
       total_up_to,
       total_above IS NOT NULL OR total_up_to IS NOT NULL AS is_volume,
       package,
       package_rounding,
       max_amount,
       is_shared,
       flat_fee_at_zero AND tier_number = 1 AS is_owed_at_zero
FROM charge
ORDER BY priced_number, tier_number, charge_kind
