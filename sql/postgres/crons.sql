-- Crons, and which of their instants have been decided. The table is shared with other runtimes and
-- its columns are fixed: the rest stands in holdfast.cron_states. Columns of a cron: id, owner,
-- assistant, thread, schedule, timezone, end, enabled, on_run_completed, payload, metadata, next,
-- fired, created, updated.

-- name: cron_insert
-- Nothing when the owner has $14 already. $1 id, $2 owner, $3 assistant, $4 thread, $5 schedule,
-- $6 timezone, $7 end, $8 enabled, $9 on_run_completed, $10 payload, $11 metadata, $12 next, $13 now
WITH c AS (
  INSERT INTO langgraph_server.crons (id, user_id, assistant_id, thread_id, schedule, end_time, payload,
                                      metadata, next_run_date, created_at, updated_at)
  SELECT $1::uuid::text, nullif($2::text, ''), $3::uuid::text, $4::uuid::text, $5, $7::timestamptz,
         $10::jsonb, $11::jsonb, $12::timestamptz, $13, $13
  WHERE (SELECT count(*) FROM langgraph_server.crons o
         WHERE coalesce(o.user_id, '') COLLATE "C" = $2) < $14::int8
  RETURNING id
)
INSERT INTO holdfast.cron_states (cron_id, timezone, enabled, on_run_completed)
SELECT $1::uuid, $6::text, $8::boolean, $9::text FROM c;

-- name: cron_get
-- $1 id, $2 and $3 bounds of the owner
SELECT c.id, coalesce(c.user_id, ''), c.assistant_id, c.thread_id, c.schedule, s.timezone, c.end_time,
       coalesce(s.enabled, true), coalesce(s.on_run_completed, 'delete'), c.payload, c.metadata,
       c.next_run_date, s.fired_at, c.created_at, c.updated_at
FROM langgraph_server.crons c
LEFT JOIN holdfast.cron_states s ON s.cron_id = holdfast.to_uuid(c.id)
WHERE c.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND (coalesce(c.user_id, '') || '') COLLATE "C" BETWEEN $2 AND $3;

-- name: cron_update
-- $1 id, $2 and $3 bounds of the owner, $4 when it was updated as it was read, $5 assistant,
-- $6 schedule, $7 timezone, $8 end, $9 enabled, $10 on_run_completed, $11 payload, $12 metadata,
-- $13 next, $14 now. The next instant as it was read ($15) may have gone by.
WITH c AS (
  UPDATE langgraph_server.crons c SET assistant_id = $5::uuid::text, schedule = $6,
    end_time = $8::timestamptz, payload = $11::jsonb, metadata = $12::jsonb,
    next_run_date = $13::timestamptz, updated_at = $14
  WHERE c.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
    AND (coalesce(c.user_id, '') || '') COLLATE "C" BETWEEN $2 AND $3
    AND c.updated_at = $4 AND c.next_run_date IS NOT DISTINCT FROM $15::timestamptz
  RETURNING c.id
)
INSERT INTO holdfast.cron_states AS s (cron_id, timezone, enabled, on_run_completed)
SELECT $1::uuid, $7::text, $9::boolean, $10::text FROM c
ON CONFLICT (cron_id) DO UPDATE SET timezone = excluded.timezone, enabled = excluded.enabled,
  on_run_completed = excluded.on_run_completed;

-- name: cron_delete
-- $1 id, $2 and $3 bounds of the owner
WITH c AS (
  DELETE FROM langgraph_server.crons c
  WHERE c.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
    AND (coalesce(c.user_id, '') || '') COLLATE "C" BETWEEN $2 AND $3
  RETURNING c.id
), s AS (
  DELETE FROM holdfast.cron_states WHERE cron_id IN (SELECT $1::uuid FROM c)
), f AS (
  DELETE FROM holdfast.cron_firings WHERE cron_id IN (SELECT $1::uuid FROM c)
)
SELECT id FROM c;

-- shared: cron_rows
-- Of the crons in `c`.
f AS (
  DELETE FROM holdfast.cron_firings WHERE cron_id = ANY (ARRAY(SELECT id FROM c))
), cs AS (
  DELETE FROM holdfast.cron_states WHERE cron_id = ANY (ARRAY(SELECT id FROM c))
)

-- name: cron_search
-- vary: sort = created:c.created_at updated:c.updated_at id:c.id assistant:c.assistant_id thread:c.thread_id next:c.next_run_date end:c.end_time
-- vary: dir = desc asc
-- $1 owner, $2 assistant, $3 thread, $4 enabled (each NULL: any), $5 metadata, $6 limit, $7 offset
SELECT c.id, coalesce(c.user_id, ''), c.assistant_id, c.thread_id, c.schedule, s.timezone, c.end_time,
       coalesce(s.enabled, true), coalesce(s.on_run_completed, 'delete'), c.payload, c.metadata,
       c.next_run_date, s.fired_at, c.created_at, c.updated_at
FROM langgraph_server.crons c
LEFT JOIN holdfast.cron_states s ON s.cron_id = holdfast.to_uuid(c.id)
WHERE coalesce(c.user_id, '') COLLATE "C" = $1
  AND ($2::uuid IS NULL OR holdfast.to_uuid(c.assistant_id) = $2)
  AND ($3::uuid IS NULL OR holdfast.to_uuid(c.thread_id) = $3)
  AND ($4::boolean IS NULL OR coalesce(s.enabled, true) = $4) AND c.metadata @> $5::jsonb
ORDER BY @sort @dir NULLS LAST, c.id COLLATE "C" @dir LIMIT $6 OFFSET $7;

-- name: cron_count
-- $1 owner, $2 assistant, $3 thread, $4 enabled (each NULL: any), $5 metadata
SELECT count(*)
FROM langgraph_server.crons c
LEFT JOIN holdfast.cron_states s ON s.cron_id = holdfast.to_uuid(c.id)
WHERE coalesce(c.user_id, '') COLLATE "C" = $1
  AND ($2::uuid IS NULL OR holdfast.to_uuid(c.assistant_id) = $2)
  AND ($3::uuid IS NULL OR holdfast.to_uuid(c.thread_id) = $3)
  AND ($4::boolean IS NULL OR coalesce(s.enabled, true) = $4) AND c.metadata @> $5::jsonb;

-- name: cron_due
-- Of all owners. $1 now, $2 limit
SELECT c.id, coalesce(c.user_id, ''), c.assistant_id, c.thread_id, c.schedule, s.timezone, c.end_time,
       coalesce(s.enabled, true), coalesce(s.on_run_completed, 'delete'), c.payload, c.metadata,
       c.next_run_date, s.fired_at, c.created_at, c.updated_at
FROM langgraph_server.crons c
JOIN holdfast.cron_states s ON s.cron_id = holdfast.to_uuid(c.id)
WHERE c.next_run_date <= $1 ORDER BY c.next_run_date, c.id LIMIT $2;

-- name: cron_next_due
SELECT c.next_run_date
FROM langgraph_server.crons c
JOIN holdfast.cron_states s ON s.cron_id = holdfast.to_uuid(c.id)
WHERE c.next_run_date IS NOT NULL ORDER BY c.next_run_date LIMIT 1;

-- name: cron_fire
-- $1 id, $2 the instant, $3 when the cron was updated as it was read, $4 run, $5 error, $6 now
INSERT INTO holdfast.cron_firings (cron_id, scheduled_at, run_id, error, decided_at)
SELECT $1::uuid, c.next_run_date, $4::uuid, $5::text, $6::timestamptz FROM langgraph_server.crons c
WHERE c.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND c.next_run_date = $2 AND c.updated_at = $3
ON CONFLICT (cron_id, scheduled_at) DO NOTHING;

-- name: cron_advance
-- $1 id, $2 the instant that is decided, $3 when it was updated as it was read, $4 the next one
WITH c AS (
  UPDATE langgraph_server.crons c SET next_run_date = $4::timestamptz
  WHERE c.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
    AND c.next_run_date = $2 AND c.updated_at = $3
  RETURNING c.id
)
UPDATE holdfast.cron_states SET fired_at = $2 WHERE cron_id IN (SELECT $1::uuid FROM c);

-- name: cron_firings_trim
-- $1 id, $2 before
DELETE FROM holdfast.cron_firings WHERE cron_id = $1 AND scheduled_at < $2;

-- name: cron_firings_of
-- $1 id, $2 limit
SELECT scheduled_at, run_id, error, decided_at FROM holdfast.cron_firings
WHERE cron_id = $1 ORDER BY scheduled_at DESC LIMIT $2;

-- name: cron_strangers
-- Crons that other programs made, which nobody has looked at. $1 limit
SELECT c.id, coalesce(c.user_id, ''), c.assistant_id, c.thread_id, c.schedule, s.timezone, c.end_time,
       coalesce(s.enabled, true), coalesce(s.on_run_completed, 'delete'), c.payload, c.metadata,
       c.next_run_date, s.fired_at, c.created_at, c.updated_at
FROM langgraph_server.crons c
LEFT JOIN holdfast.cron_states s ON s.cron_id = holdfast.to_uuid(c.id)
WHERE s.cron_id IS NULL AND holdfast.to_uuid(c.id) IS NOT NULL ORDER BY c.id LIMIT $1;

-- name: cron_adopt
-- One of them has a state from now on. $1 id, $2 next
WITH s AS (
  INSERT INTO holdfast.cron_states (cron_id) VALUES ($1) ON CONFLICT (cron_id) DO NOTHING
  RETURNING cron_id
)
UPDATE langgraph_server.crons c SET next_run_date = $2::timestamptz FROM s
WHERE c.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''));
