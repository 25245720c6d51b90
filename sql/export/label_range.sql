-- label_range: from which date on a stream's label has a value. The first value known in the period holds from its beginning.
--
-- grain   stream_id, key, first_date
-- reads   label
-- writes  stream_id   BIGINT UNSIGNED not null
--         key         TEXT not null
--         value       TEXT not null
--         first_date  DATE     inclusive; absent: from the beginning
--         next_date   DATE     exclusive; absent: to the end
WITH said AS (
  SELECT stream_id, key, value, charge_date, LAG(value) OVER (PARTITION BY stream_id, key ORDER BY charge_date) AS previous_value
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
