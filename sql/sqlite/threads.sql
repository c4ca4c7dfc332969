-- Threads. Lists of one owner run backwards along the index (owner, updated_at); `all` is for the
-- server's own work. hf_in('…', '') and hf_contains(…, '{}') match everything at no cost.

-- name: thread_insert
-- $1 id, $2 owner, $3 metadata, $4 config, $5 now, $6 and $7 what ends it, and when; NULL: nothing
INSERT INTO threads (id, owner, status, metadata, config, interrupts, seq,
                     created_at, updated_at, state_updated_at, ttl_strategy, ttl_us, ttl_check_at)
VALUES ($1, $2, 'idle', $3, $4, '{}', 0, $5, $5, $5, $6, $7, $5 + $7);

-- name: thread_get
-- point
-- $1 id, $2 and $3 bounds of the owner
SELECT id, owner, status, metadata, config, interrupts, error, seq, checkpoint_id,
       created_at, updated_at, state_updated_at
FROM threads
WHERE id = $1 AND owner BETWEEN $2 AND $3;

-- name: thread_patch
-- $1 id, $2 and $3 bounds of the owner, $4 metadata to merge, $5 now
UPDATE threads SET metadata = hf_merge(metadata, $4), updated_at = $5
WHERE id = $1 AND owner BETWEEN $2 AND $3
RETURNING id, owner, status, metadata, config, interrupts, error, seq, checkpoint_id,
          created_at, updated_at, state_updated_at;

-- name: thread_delete
-- $1 id, $2 and $3 bounds of the owner, $4 a status that it must not have ('': any)
DELETE FROM threads WHERE id = $1 AND owner BETWEEN $2 AND $3 AND status <> $4;

-- name: thread_delete_runs
-- only: sqlite
DELETE FROM runs WHERE thread_id = $1;

-- name: thread_delete_events
DELETE FROM events WHERE thread_id = $1;

-- name: thread_delete_checkpoints
DELETE FROM checkpoints WHERE thread_id = $1;

-- name: thread_delete_writes
-- only: sqlite
DELETE FROM checkpoint_writes WHERE thread_id = $1;

-- name: thread_delete_values
DELETE FROM checkpoint_values WHERE thread_id = $1;

-- name: thread_delete_lists
DELETE FROM checkpoint_lists WHERE thread_id = $1;

-- name: thread_search
-- vary: sort = updated_at created_at
-- vary: dir = desc asc
-- $1 owner, $2 statuses, $3 metadata, $4 limit, $5 offset
SELECT id, owner, status, metadata, config, interrupts, error, seq, checkpoint_id,
       created_at, updated_at, state_updated_at
FROM threads
WHERE owner = $1 AND hf_in(status, $2) AND hf_contains(metadata, $3)
ORDER BY @sort @dir, id @dir LIMIT $4 OFFSET $5;

-- name: thread_search_sorted
-- vary: sort = state_updated_at id status
-- vary: dir = desc asc
-- Orders that no index gives: sorts as many as $6 says. The last column is how many there were.
-- $1 owner, $2 statuses, $3 metadata, $4 limit, $5 offset
SELECT id, owner, status, metadata, config, interrupts, error, seq, checkpoint_id,
       created_at, updated_at, state_updated_at, count(*) OVER ()
FROM (SELECT * FROM threads
      WHERE owner = $1 AND hf_in(status, $2) AND hf_contains(metadata, $3)
      ORDER BY updated_at DESC LIMIT $6)
ORDER BY @sort @dir, id @dir LIMIT $4 OFFSET $5;

-- name: thread_search_active
-- vary: dir = desc asc
-- For a status other than idle, in the order of updated_at: few threads, which have their own index.
-- $1 owner, $2 status, $3 metadata, $4 limit, $5 offset
SELECT id, owner, status, metadata, config, interrupts, error, seq, checkpoint_id,
       created_at, updated_at, state_updated_at
FROM threads
WHERE owner = $1 AND status = $2 AND status <> 'idle' AND hf_contains(metadata, $3)
ORDER BY updated_at @dir, id @dir LIMIT $4 OFFSET $5;

-- name: thread_search_ids
-- vary: sort = updated_at created_at state_updated_at id status
-- vary: dir = desc asc
-- $1 and $2 bounds of the owner, $3 JSON array of ids, $4 statuses, $5 metadata, $6 limit, $7 offset
SELECT id, owner, status, metadata, config, interrupts, error, seq, checkpoint_id,
       created_at, updated_at, state_updated_at
FROM threads
WHERE id IN (SELECT value FROM json_each($3)) AND owner BETWEEN $1 AND $2
  AND hf_in(status, $4) AND hf_contains(metadata, $5)
ORDER BY @sort @dir, id @dir LIMIT $6 OFFSET $7;

-- name: thread_count
-- vary: own = mine:= all:>=
-- $1 owner, $2 statuses, $3 metadata
SELECT count(*) FROM threads
WHERE owner @own $1 AND hf_in(status, $2) AND hf_contains(metadata, $3);

-- name: thread_count_plain
-- vary: own = mine:= all:>=
-- Without a filter: reads the index only.
-- $1 owner
SELECT count(*) FROM threads WHERE owner @own $1;

-- name: thread_count_ids
-- $1 and $2 bounds of the owner, $3 JSON array of ids, $4 statuses, $5 metadata
SELECT count(*) FROM threads
WHERE id IN (SELECT value FROM json_each($3)) AND owner BETWEEN $1 AND $2
  AND hf_in(status, $4) AND hf_contains(metadata, $5);

-- name: thread_ids_containing
-- vary: own = mine:= all:>=
-- $1 owner, $2 metadata, $3 after this id, $4 limit
SELECT id FROM threads
WHERE owner @own $1 AND id > $3 AND hf_contains(metadata, $2)
ORDER BY id LIMIT $4;

-- name: thread_doom
-- $1 thread, $2 when it goes
INSERT INTO doomed_threads (thread_id, due_at) VALUES ($1, $2) ON CONFLICT (thread_id) DO NOTHING;

-- name: thread_doomed
-- $1 now, $2 limit
SELECT thread_id FROM doomed_threads WHERE due_at <= $1 ORDER BY due_at LIMIT $2;

-- name: thread_undoom
DELETE FROM doomed_threads WHERE thread_id = $1;

-- name: thread_walk
-- $1 after this id, $2 limit
SELECT id FROM threads WHERE id > $1 ORDER BY id LIMIT $2;
