-- incomplete_lifecycle: resources of whose life a notification seems to be missing.
--
-- grain   meter, resource_id, reason
-- reads   sample, previous_stream_state, stream_state, stream
-- params  $period_start BIGINT                          microseconds UTC
-- writes  meter        TEXT not null
--         resource_id  TEXT not null
--         reason       TEXT not null        missing_creation_event, first_seen_mid_life, or missing_update
--         told_at      TIMESTAMP not null   when it was deleted; the first word of it, or since when it is there where that is later; the last one
--
-- Of a period: what was deleted in it and neither told nor measured to be there before, so that its usage is not known;
-- what began in it by a word of more than an hour later, or of a later period, so that what it was up to then is not known;
-- and what is believed by a word of before, for as long as the meter's state_timeout says, so that a deletion that was lost
-- would not be noticed.
WITH life AS (
  SELECT stream_id,
         MIN(measured_at) FILTER (WHERE deleted AND is_state) AS gone_at,
         MIN(measured_at) FILTER (WHERE NOT deleted) AS there_at,
         MIN(measured_at) FILTER (WHERE NOT assumed) AS message_sent_at
  FROM sample
  GROUP BY stream_id
),
unconfirmed AS (
  SELECT life.stream_id, 'missing_creation_event' AS reason, life.gone_at AS told_at
  FROM life
  LEFT ANTI JOIN previous_stream_state ON previous_stream_state.stream_id = life.stream_id
  WHERE life.gone_at IS NOT NULL AND (life.there_at IS NULL OR life.there_at > life.gone_at)
  UNION ALL
  SELECT life.stream_id, 'first_seen_mid_life', COALESCE(life.message_sent_at, life.there_at)
  FROM life
  LEFT ANTI JOIN previous_stream_state ON previous_stream_state.stream_id = life.stream_id
  WHERE life.there_at IS NOT NULL
    AND (life.message_sent_at IS NULL OR CAST(life.message_sent_at AS BIGINT) - CAST(life.there_at AS BIGINT) > 3600000000)
  UNION ALL
  SELECT stream_id, 'missing_update', last_measured_at
  FROM stream_state
  WHERE is_state AND NOT deleted AND CAST(last_measured_at AS BIGINT) < CAST($period_start AS BIGINT)
)
SELECT stream.meter,
       stream.resource_id,
       unconfirmed.reason,
       unconfirmed.told_at
FROM unconfirmed
JOIN stream ON stream.stream_id = unconfirmed.stream_id
ORDER BY meter, resource_id, reason
