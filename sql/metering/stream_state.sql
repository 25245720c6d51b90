-- stream_state: the last state of a stream at the end of a date, which the next date starts from.
--
-- grain   stream_id
-- reads   stream_day
-- params  $day_end  BIGINT   microseconds UTC
--         $horizon  BIGINT   microseconds
-- writes  stream_id         BIGINT UNSIGNED not null
--         last_measured_at  TIMESTAMP not null
--         last_quantity     DECIMAL(28,9) not null
--         last_series_id    BIGINT UNSIGNED not null
--         deleted           BOOLEAN not null   the resource was deleted at last_measured_at
--         is_state          BOOLEAN not null   the state is valid until the next event of the stream
--
-- A stream without a sample for longer than the horizon has no row: its next reading counts as a first reading. A
-- reported state is kept until the next event of the stream, however long that takes.
SELECT stream_id, last_measured_at, last_quantity, last_series_id, deleted, is_state
FROM stream_day
WHERE (is_state AND NOT deleted)
   OR CAST(last_measured_at AS BIGINT) >= CAST($day_end AS BIGINT) - CAST($horizon AS BIGINT)
ORDER BY stream_id
