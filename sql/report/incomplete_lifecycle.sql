-- incomplete_lifecycle: a resource for which a lifecycle event seems to be missing.
--
-- grain   meter, resource_id, reason
-- reads   sample, previous_stream_state, stream_state, stream
-- params  $period_start  BIGINT   microseconds UTC
-- writes  meter        TEXT not null
--         resource_id  TEXT not null
--         reason       TEXT not null        missing_creation_event, first_seen_mid_life or missing_update
--         event_at     TIMESTAMP not null   time of the deletion, of the first message or later first existence,
--                                           or of the last message
--
-- missing_creation_event: the resource was deleted in the period, but no creation or earlier sample was received. Its
-- usage before the deletion is unknown.
--
-- first_seen_mid_life: the first sample that is not backfilled is over an hour after the first existence of the
-- resource, or in a later period. Its usage before that is unknown.
--
-- missing_update: the last event is from an earlier period, and its state is valid until state_timeout. A lost deletion
-- would not be noticed.
WITH life AS (
  SELECT stream_id,
         MIN(measured_at) FILTER (WHERE deleted AND is_state) AS gone_at,
         MIN(measured_at) FILTER (WHERE NOT deleted) AS there_at,
         MIN(measured_at) FILTER (WHERE NOT is_backfilled) AS message_sent_at
  FROM sample
  GROUP BY stream_id
),
unconfirmed AS (
  SELECT life.stream_id, 'missing_creation_event' AS reason, life.gone_at AS event_at
  FROM life
  LEFT ANTI JOIN previous_stream_state ON previous_stream_state.stream_id = life.stream_id
  WHERE life.gone_at IS NOT NULL AND (life.there_at IS NULL OR life.there_at > life.gone_at)
  UNION ALL
  SELECT life.stream_id, 'first_seen_mid_life', COALESCE(life.message_sent_at, life.there_at)
  FROM life
  LEFT ANTI JOIN previous_stream_state ON previous_stream_state.stream_id = life.stream_id
  WHERE life.there_at IS NOT NULL
    AND (life.message_sent_at IS NULL
         OR CAST(life.message_sent_at AS BIGINT) - CAST(life.there_at AS BIGINT) > 3600000000)
  UNION ALL
  SELECT stream_id, 'missing_update', last_measured_at
  FROM stream_state
  WHERE is_state AND NOT deleted AND CAST(last_measured_at AS BIGINT) < CAST($period_start AS BIGINT)
)
SELECT stream.meter,
       stream.resource_id,
       unconfirmed.reason,
       unconfirmed.event_at
FROM unconfirmed
JOIN stream ON stream.stream_id = unconfirmed.stream_id
ORDER BY meter, resource_id, reason
