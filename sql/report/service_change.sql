-- service_change: the amounts before tax of a service in a month and in the month before, over all accounts.
--
-- grain   service, currency
-- reads   billed_amount
-- params  $billing_period_start  DATE   of the later month
-- writes  service        TEXT not null            empty for discounts and credits
--         currency       TEXT not null
--         amount_before  DECIMAL(28,4) not null
--         amount         DECIMAL(28,4) not null
--         difference     DECIMAL(28,4) not null   amount minus amount_before
SELECT service,
       currency,
       CAST(SUM(CASE WHEN is_of_period THEN CAST(0 AS DECIMAL(50,4))
                     ELSE CAST(net_amount AS DECIMAL(50,4)) END) AS DECIMAL(28,4)) AS amount_before,
       CAST(SUM(CASE WHEN is_of_period THEN CAST(net_amount AS DECIMAL(50,4))
                     ELSE CAST(0 AS DECIMAL(50,4)) END) AS DECIMAL(28,4)) AS amount,
       CAST(SUM(CASE WHEN is_of_period THEN CAST(net_amount AS DECIMAL(50,4))
                     ELSE -CAST(net_amount AS DECIMAL(50,4)) END) AS DECIMAL(28,4)) AS difference
FROM billed_amount
GROUP BY service, currency
ORDER BY service, currency
