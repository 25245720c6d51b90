-- line_running_total: a part of usage in the order of invoice lines, with one running quantity over all lines.
--
-- grain   line_group, charge_kind, tier_start, contracted_unit_price, unit_price_per, charge_date, segment_start,
--         usage_order, tier_number
-- reads   pool_part
-- writes  line_group             BIGINT not null
--         charge_kind            TEXT not null            usage or flat_fee
--         tier_start             DECIMAL(28,9) not null
--         contracted_unit_price  DECIMAL(28,12) not null
--         unit_price_per         DECIMAL(28,9) not null
--         charge_date            DATE not null
--         segment_start          TIMESTAMP not null
--         usage_order            BIGINT not null
--         tier_number            BIGINT not null
--         series_id              BIGINT UNSIGNED not null
--         component              TEXT not null
--         priced_number          BIGINT not null
--         part_quantity          DECIMAL(38,9) not null
--         running_quantity       DECIMAL(38,9) not null   sum up to and including this row, over all lines
--
-- The first five columns identify the line. As in pool_running_total, a line is the difference of two running totals.
SELECT line_group,
       charge_kind,
       tier_start,
       contracted_unit_price,
       unit_price_per,
       charge_date,
       segment_start,
       usage_order,
       tier_number,
       series_id,
       component,
       priced_number,
       part_quantity,
       CAST(SUM(CAST(part_quantity AS DECIMAL(60,9))) OVER (
         ORDER BY line_group, charge_kind, tier_start, contracted_unit_price, unit_price_per, charge_date,
                  segment_start, usage_order, tier_number
         ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
       ) AS DECIMAL(38,9)) AS running_quantity
FROM pool_part
ORDER BY line_group, charge_kind, tier_start, contracted_unit_price, unit_price_per, charge_date, segment_start,
         usage_order, tier_number
