-- Crons, and which of their instants have been decided; those go with their cron (a trigger). Columns of a cron: id, owner, assistant,
-- thread, schedule, timezone, end, enabled, on_run_completed, payload, metadata, next, fired,
-- created, updated.

-- name: cron_insert
-- Nothing when the owner has $14 already. $1 id, $2 owner, $3 assistant, $4 thread, $5 schedule,
-- $6 timezone, $7 end, $8 enabled, $9 on_run_completed, $10 payload, $11 metadata, $12 next, $13 now
INSERT INTO crons (id, owner, assistant_id, thread_id, schedule, timezone, end_time, enabled,
                   on_run_completed, payload, metadata, next_run_at, created_at, updated_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13
WHERE (SELECT count(*) FROM crons WHERE owner = $2) < $14;

-- name: cron_get
-- $1 id, $2 and $3 bounds of the owner
SELECT id, owner, assistant_id, thread_id, schedule, timezone, end_time, enabled, on_run_completed,
       payload, metadata, next_run_at, fired_at, created_at, updated_at
FROM crons WHERE id = $1 AND owner BETWEEN $2 AND $3;

-- name: cron_update
-- $1 id, $2 and $3 bounds of the owner, $4 when it was updated as it was read, $5 assistant,
-- $6 schedule, $7 timezone, $8 end, $9 enabled, $10 on_run_completed, $11 payload, $12 metadata,
-- $13 next, $14 now. The next instant as it was read ($15) may have gone by.
UPDATE crons SET assistant_id = $5, schedule = $6, timezone = $7, end_time = $8, enabled = $9,
  on_run_completed = $10, payload = $11, metadata = $12, next_run_at = $13, updated_at = $14
WHERE id = $1 AND owner BETWEEN $2 AND $3 AND updated_at = $4 AND next_run_at IS $15;

-- name: cron_delete
-- $1 id, $2 and $3 bounds of the owner
DELETE FROM crons WHERE id = $1 AND owner BETWEEN $2 AND $3;

-- name: cron_delete_of_thread
-- only: sqlite
DELETE FROM crons WHERE thread_id = $1;

-- name: cron_delete_of_assistant
-- only: sqlite
DELETE FROM crons WHERE assistant_id = $1;

-- name: cron_search
-- vary: sort = created:created_at updated:updated_at id assistant:assistant_id thread:thread_id next:next_run_at end:end_time
-- vary: dir = desc asc
-- $1 owner, $2 assistant, $3 thread, $4 enabled (each NULL: any), $5 metadata, $6 limit, $7 offset
SELECT id, owner, assistant_id, thread_id, schedule, timezone, end_time, enabled, on_run_completed,
       payload, metadata, next_run_at, fired_at, created_at, updated_at
FROM crons
WHERE owner = $1 AND ($2 IS NULL OR assistant_id = $2) AND ($3 IS NULL OR thread_id = $3)
  AND ($4 IS NULL OR enabled = $4) AND hf_contains(metadata, $5)
ORDER BY @sort @dir NULLS LAST, id @dir LIMIT $6 OFFSET $7;

-- name: cron_count
-- $1 owner, $2 assistant, $3 thread, $4 enabled (each NULL: any), $5 metadata
SELECT count(*) FROM crons
WHERE owner = $1 AND ($2 IS NULL OR assistant_id = $2) AND ($3 IS NULL OR thread_id = $3)
  AND ($4 IS NULL OR enabled = $4) AND hf_contains(metadata, $5);

-- name: cron_due
-- Of all owners. $1 now, $2 limit
SELECT id, owner, assistant_id, thread_id, schedule, timezone, end_time, enabled, on_run_completed,
       payload, metadata, next_run_at, fired_at, created_at, updated_at
FROM crons WHERE next_run_at <= $1 ORDER BY next_run_at, id LIMIT $2;

-- name: cron_next_due
SELECT min(next_run_at) FROM crons WHERE next_run_at IS NOT NULL;

-- name: cron_fire
-- $1 id, $2 the instant, $3 when the cron was updated as it was read, $4 run, $5 error, $6 now
INSERT INTO cron_firings (cron_id, scheduled_at, run_id, error, decided_at)
SELECT id, next_run_at, $4, $5, $6 FROM crons
WHERE id = $1 AND next_run_at = $2 AND updated_at = $3
ON CONFLICT (cron_id, scheduled_at) DO NOTHING;

-- name: cron_advance
-- $1 id, $2 the instant that is decided, $3 when it was updated as it was read, $4 the next one
UPDATE crons SET next_run_at = $4, fired_at = $2
WHERE id = $1 AND next_run_at = $2 AND updated_at = $3;

-- name: cron_firings_trim
-- $1 id, $2 before
DELETE FROM cron_firings WHERE cron_id = $1 AND scheduled_at < $2;

-- name: cron_firings_of
-- $1 id, $2 limit
SELECT scheduled_at, run_id, error, decided_at FROM cron_firings
WHERE cron_id = $1 ORDER BY scheduled_at DESC LIMIT $2;

-- name: cron_strangers
-- Crons that other programs made: there are none here. $1 limit
SELECT id, owner, assistant_id, thread_id, schedule, timezone, end_time, enabled, on_run_completed,
       payload, metadata, next_run_at, fired_at, created_at, updated_at
FROM crons WHERE id < '' LIMIT $1;

-- name: cron_adopt
-- $1 id, $2 next
UPDATE crons SET next_run_at = $2 WHERE id = $1 AND id < '';
