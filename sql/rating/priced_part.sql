-- priced_part: a priced part of usage, with its unrounded cost.
--
-- grain   series_id, charge_date, segment_start, component, tier_number, charge_kind
-- reads   pool_part, tier_price
-- calls   line_costs
-- writes  series_id              BIGINT UNSIGNED not null
--         charge_date            DATE not null
--         segment_start          TIMESTAMP not null
--         component              TEXT not null
--         tier_number            BIGINT not null
--         charge_kind            TEXT not null
--         priced_number          BIGINT not null
--         tier_start             DECIMAL(28,9) not null
--         pricing_quantity       DECIMAL(38,9) not null
--         contracted_unit_price  DECIMAL(28,12) not null
--         unit_price_per         DECIMAL(28,9) not null
--         contracted_cost        DECIMAL(38,18) not null   unrounded
--
-- The parts of one invoice line are priced by difference. A pricing function F maps the line's running quantity to a
-- cost, and a part costs F(after) minus F(before) in a total order. The costs therefore add up to F(whole quantity of
-- the line), however it is split by day, resource and pool. All windows of one date and segment in one tier form one
-- part.
--
-- F is rounded half away from zero to 18 places; a difference is never rounded.
--
-- A line starts at zero before its first part. Its smallest running quantity can be less than that. The rounded share
-- of a project in a tier of a shared pool can be -0.000000001.
WITH line AS (
  SELECT unnest(line_costs(charge_date, tier_price_number, part_quantity, divisor, contracted_unit_price,
                           unit_price_per, priced_number)) AS part
  FROM pool_part
  GROUP BY line_number
),
costed AS (
  SELECT part['tier_price_number'] AS tier_price_number, part['charge_date'] AS charge_date,
         part['pricing_quantity'] AS pricing_quantity, part['contracted_cost'] AS contracted_cost
  FROM line
)
SELECT tier_price.series_id,
       costed.charge_date,
       tier_price.segment_start,
       tier_price.component,
       tier_price.tier_number,
       tier_price.charge_kind,
       tier_price.priced_number,
       tier_price.tier_start,
       costed.pricing_quantity,
       tier_price.contracted_unit_price,
       tier_price.unit_price_per,
       costed.contracted_cost
FROM tier_price
JOIN costed ON costed.tier_price_number = tier_price.tier_price_number
ORDER BY series_id, charge_date, segment_start, component, tier_number, charge_kind
