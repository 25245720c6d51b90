-- label_range: the dates on which a label of a stream has a value.
--
-- grain   stream_id, key, first_date
-- reads   label
-- writes  stream_id   BIGINT UNSIGNED not null
--         key         TEXT not null
--         value       TEXT not null
--         first_date  DATE   inclusive; null if it has no beginning
--         next_date   DATE   exclusive; null if it has no end
--
-- The first known value of the period is valid from the start of the period.
WITH said AS (
  SELECT stream_id, key, value, charge_date,
         LAG(value) OVER (PARTITION BY stream_id, key ORDER BY charge_date) AS previous_value
  FROM label
),
changed AS (
  SELECT stream_id, key, value, charge_date, previous_value
  FROM said
  WHERE previous_value IS DISTINCT FROM value
)
SELECT stream_id,
       key,
       value,
       CASE WHEN previous_value IS NOT NULL THEN charge_date END AS first_date,
       LEAD(charge_date) OVER (PARTITION BY stream_id, key ORDER BY charge_date) AS next_date
FROM changed
ORDER BY stream_id, key, first_date NULLS FIRST
