-- account_change: the amounts before tax of an account in a month and in the month before.
--
-- grain   account_id, currency
-- reads   billed_amount
-- params  $billing_period_start  DATE   of the later month
-- writes  account_id     TEXT not null
--         account_name   TEXT
--         currency       TEXT not null
--         amount_before  DECIMAL(28,4) not null
--         amount         DECIMAL(28,4) not null
--         difference     DECIMAL(28,4) not null   amount minus amount_before
SELECT account_id,
       MAX(account_name) AS account_name,
       currency,
       CAST(SUM(CASE WHEN is_of_period THEN CAST(0 AS DECIMAL(50,4))
                     ELSE CAST(net_amount AS DECIMAL(50,4)) END) AS DECIMAL(28,4)) AS amount_before,
       CAST(SUM(CASE WHEN is_of_period THEN CAST(net_amount AS DECIMAL(50,4))
                     ELSE CAST(0 AS DECIMAL(50,4)) END) AS DECIMAL(28,4)) AS amount,
       CAST(SUM(CASE WHEN is_of_period THEN CAST(net_amount AS DECIMAL(50,4))
                     ELSE -CAST(net_amount AS DECIMAL(50,4)) END) AS DECIMAL(28,4)) AS difference
FROM billed_amount
GROUP BY account_id, currency
ORDER BY account_id, currency
