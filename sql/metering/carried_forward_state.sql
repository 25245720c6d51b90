-- carried_forward_state: a reported state that is still valid at the start of a window, as a sample at that start.
--
-- grain   stream_id, measured_at
-- reads   windowed_state
-- params  $charge_date    DATE
--         $day_start      BIGINT   microseconds UTC
--         $day_end        BIGINT   microseconds UTC
--         $window         BIGINT   microseconds
--         $max_gap        BIGINT   microseconds
--         $known_until    BIGINT   microseconds UTC: no state is known later than this
--         $state_timeout  BIGINT   microseconds
-- writes  stream_id      BIGINT UNSIGNED not null
--         series_id      BIGINT UNSIGNED not null
--         measured_at    TIMESTAMP not null
--         quantity       DECIMAL(28,9) not null
--         created        BOOLEAN not null
--         deleted        BOOLEAN not null
--         is_state       BOOLEAN not null
--         held           BOOLEAN not null
--         record_digest  BIGINT UNSIGNED not null
--
-- A virtual machine that is reported only once, at its creation, exists in every later hour until the next event. Each
-- window that its state reaches gets one row at its start. Aggregations over the values of a window read these rows
-- together with the samples. Aggregations over time need none of them.
SELECT stream_id,
       series_id,
       window_start AS measured_at,
       quantity,
       FALSE AS created,
       FALSE AS deleted,
       TRUE AS is_state,
       TRUE AS held,
       CAST(0 AS BIGINT UNSIGNED) AS record_digest
FROM windowed_state
WHERE is_state AND window_start > measured_at
ORDER BY stream_id, measured_at
