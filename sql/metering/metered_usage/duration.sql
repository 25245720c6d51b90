-- duration: the seconds that samples cover in each window.
--
-- grain   series_id, window_start
-- reads   described_sample, previous_stream_state
-- params  $charge_date DATE
--         $day_start BIGINT                             microseconds UTC
--         $day_end BIGINT                               microseconds UTC
--         $window BIGINT                                microseconds
--         $max_gap BIGINT                               microseconds
--         $known_until BIGINT                            microseconds UTC: nothing is known of what is later
--         $state_timeout BIGINT                         microseconds
-- writes  series_id          BIGINT UNSIGNED not null
--         charge_date        DATE not null
--         window_start       TIMESTAMP not null
--         window_end         TIMESTAMP not null
--         consumed_quantity  DECIMAL(28,9) not null
--         sample_count       BIGINT not null
--
-- A value holds from its sample to the next one, but no longer than the gap cap, and it ends at a deletion. A state that
-- was notified has a gap cap of its own, and holds up to what is known. What the
-- day before carries in holds on into this one. Each part belongs to the series in force, so a change splits at the instant.
WITH reading AS (
  SELECT stream_id, series_id, CAST(measured_at AS BIGINT) AS measured_at, quantity, deleted, is_state, 1 AS own_sample
  FROM described_sample
  UNION ALL
  SELECT stream_id, last_series_id, CAST(last_measured_at AS BIGINT), last_quantity, deleted, is_state, 0
  FROM previous_stream_state
),
followed AS (
  SELECT *, LEAD(measured_at) OVER (PARTITION BY stream_id ORDER BY measured_at) AS next_measured_at
  FROM reading
),
held AS (
  SELECT series_id, quantity, measured_at, own_sample,
         GREATEST(measured_at, CAST($day_start AS BIGINT)) AS held_from,
         LEAST(CASE WHEN is_state THEN LEAST(measured_at + CAST($state_timeout AS BIGINT), CAST($known_until AS BIGINT))
                    ELSE measured_at + CAST($max_gap AS BIGINT) END, COALESCE(next_measured_at, CAST($day_end AS BIGINT)), CAST($day_end AS BIGINT)) AS held_to
  FROM followed
  WHERE NOT deleted
),
windowed AS (
  SELECT series_id, quantity, measured_at, own_sample, held_from, held_to,
         UNNEST(generate_series(
           (held_from - CAST($day_start AS BIGINT)) / CAST($window AS BIGINT),
           (held_to - 1 - CAST($day_start AS BIGINT)) / CAST($window AS BIGINT))) AS window_number
  FROM held
  WHERE held_to > held_from
),
clipped AS (
  SELECT series_id, quantity, window_number,
         LEAST(held_to, CAST($day_start AS BIGINT) + (window_number + 1) * CAST($window AS BIGINT))
           - GREATEST(held_from, CAST($day_start AS BIGINT) + window_number * CAST($window AS BIGINT)) AS microseconds,
         CASE WHEN own_sample = 1 AND (measured_at - CAST($day_start AS BIGINT)) / CAST($window AS BIGINT) = window_number
              THEN 1 ELSE 0 END AS own_sample
  FROM windowed
)
SELECT series_id,
       CAST($charge_date AS DATE) AS charge_date,
       arrow_cast(CAST($day_start AS BIGINT) + window_number * CAST($window AS BIGINT), 'Timestamp(Microsecond, Some("UTC"))') AS window_start,
       arrow_cast(LEAST(CAST($day_start AS BIGINT) + (window_number + 1) * CAST($window AS BIGINT), CAST($day_end AS BIGINT)), 'Timestamp(Microsecond, Some("UTC"))') AS window_end,
       CAST(CAST(SUM(microseconds) AS DECIMAL(20,0)) * CAST(0.000001 AS DECIMAL(7,6)) AS DECIMAL(28,9)) AS consumed_quantity,
       CAST(SUM(own_sample) AS BIGINT) AS sample_count
FROM clipped
GROUP BY series_id, window_number
ORDER BY series_id, window_start
