-- unconfirmed_state: resources of whose life a notification seems to be missing.
--
-- grain   meter, resource_id, reason
-- reads   sample, carry_in, carry, stream
-- params  $period_start BIGINT                          microseconds UTC
-- writes  meter        TEXT not null
--         resource_id  TEXT not null
--         reason       TEXT not null        no_beginning, no_creation, or no_word
--         told_at      TIMESTAMP not null   when it was deleted; the first word of it, or since when it is there where that is later; the last one
--
-- Of a period: what was deleted in it and neither told nor measured to be there before, so that its usage is not known;
-- what began in it by a word of more than an hour later, or of a later period, so that what it was up to then is not known;
-- and what is believed by a word of before, for as long as the meter's event_gap_cap says, so that a deletion that was lost
-- would not be noticed.
WITH life AS (
  SELECT stream_id,
         MIN(measured_at) FILTER (WHERE deleted AND holds) AS gone_at,
         MIN(measured_at) FILTER (WHERE NOT deleted) AS there_at,
         MIN(measured_at) FILTER (WHERE NOT assumed) AS said_at
  FROM sample
  GROUP BY stream_id
),
unconfirmed AS (
  SELECT life.stream_id, 'no_beginning' AS reason, life.gone_at AS told_at
  FROM life
  LEFT ANTI JOIN carry_in ON carry_in.stream_id = life.stream_id
  WHERE life.gone_at IS NOT NULL AND (life.there_at IS NULL OR life.there_at > life.gone_at)
  UNION ALL
  SELECT life.stream_id, 'no_creation', COALESCE(life.said_at, life.there_at)
  FROM life
  LEFT ANTI JOIN carry_in ON carry_in.stream_id = life.stream_id
  WHERE life.there_at IS NOT NULL
    AND (life.said_at IS NULL OR CAST(life.said_at AS BIGINT) - CAST(life.there_at AS BIGINT) > 3600000000)
  UNION ALL
  SELECT stream_id, 'no_word', last_measured_at
  FROM carry
  WHERE holds AND NOT deleted AND CAST(last_measured_at AS BIGINT) < CAST($period_start AS BIGINT)
)
SELECT stream.meter,
       stream.resource_id,
       unconfirmed.reason,
       unconfirmed.told_at
FROM unconfirmed
JOIN stream ON stream.stream_id = unconfirmed.stream_id
ORDER BY meter, resource_id, reason
