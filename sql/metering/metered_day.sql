-- metered_day: the metered quantity of a series on a date.
--
-- grain   series_id, charge_date
-- reads   metered_usage
-- writes  series_id          BIGINT UNSIGNED not null
--         charge_date        DATE not null
--         consumed_quantity  DECIMAL(38,9) not null
--         sample_count       BIGINT not null
SELECT series_id,
       charge_date,
       CAST(SUM(CAST(consumed_quantity AS DECIMAL(60,9))) AS DECIMAL(38,9)) AS consumed_quantity,
       CAST(SUM(sample_count) AS BIGINT) AS sample_count
FROM metered_usage
GROUP BY series_id, charge_date
ORDER BY series_id, charge_date
