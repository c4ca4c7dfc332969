-- Checkpoints that savers of other processes write and read. See src/store/saved_checkpoints.c. In
-- LangGraph's layout their rows are those that LangGraph's own savers would write.

-- name: saved_touch
-- The thread is used, unless a run of this server has it. $1 id, $2 and $3 bounds of the owner,
-- $4 a root checkpoint, or NULL, $5 now. Heads are locked before threads, everywhere.
WITH head AS (
  INSERT INTO holdfast.thread_heads AS h (thread_id, seq, checkpoint_id, state_updated_at)
  VALUES ($1, 0, $4::uuid, $5)
  ON CONFLICT (thread_id) DO UPDATE SET
    checkpoint_id = greatest(h.checkpoint_id, excluded.checkpoint_id),
    state_updated_at = excluded.state_updated_at
  RETURNING 1
)
UPDATE langgraph_server.threads t SET updated_at = $5
WHERE (SELECT count(*) FROM head) >= 0
  AND t.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $2 AND $3
  AND t.status <> 'busy' AND NOT holdfast.thread_has_live_runs($1);

-- name: saved_insert
-- One that the server made itself stays as it is.
-- $1 thread, $2 namespace, $3 id, $4 parent, $5 run, $6 step, $7 source, $8 channels, $9 metadata,
-- $10 now, $11 the checkpoint
INSERT INTO holdfast.checkpoints AS c (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id,
                                       run_id, step, source, channels, next, tasks, metadata,
                                       created_at, saved)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '[]', '[]', $9, $10, $11)
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id) DO UPDATE SET
  channels = excluded.channels, metadata = excluded.metadata, saved = excluded.saved
WHERE c.saved IS NOT NULL;

-- name: saved_write
-- $1 thread, $2 namespace, $3 checkpoint, $4 task, $5 number, $6 channel, $7 type, $8 value, $9 path,
-- $10 replace the one of that number?
INSERT INTO holdfast.checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx,
                                        channel, type, value, task_path)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO UPDATE SET
  channel = excluded.channel, type = excluded.type, value = excluded.value
WHERE $10::bool;

-- name: saved_delta_history
-- What the value of a delta channel is made of, as lg_delta_history gives it: 0, the value of the
-- nearest state before that has one, then 1, the writes from there on, in the order of their steps.
-- $1 thread, $2 namespace, $3 checkpoint, $4 channel
WITH RECURSIVE before (id, parent, type, hash, inline, far, found) AS (
  SELECT c.checkpoint_id, c.parent_checkpoint_id, NULL::text, NULL::text, NULL::jsonb, 0, false
  FROM holdfast.checkpoints c
  WHERE c.thread_id = $1 AND c.checkpoint_ns = $2 AND c.checkpoint_id = $3
  UNION ALL
  SELECT n.id, n.parent, n.ref ->> 't', n.ref ->> 'h', n.inline, n.far,
         coalesce(n.ref ->> 't' <> 'empty', false)
         OR coalesce(jsonb_typeof(n.inline) <> 'null', false)
  FROM (SELECT c.checkpoint_id AS id, c.parent_checkpoint_id AS parent,
               c.channels::jsonb -> $4::text AS ref,
               c.saved::jsonb -> 'channel_values' -> $4::text AS inline, b.far + 1 AS far
        FROM before b
        JOIN holdfast.checkpoints c
          ON c.thread_id = $1 AND c.checkpoint_ns = $2 AND c.checkpoint_id = b.parent
        WHERE NOT b.found AND b.far < 100000) n
)
SELECT 0 AS kind, b.far, '' COLLATE "C" AS path, '' COLLATE "C" AS task, 0 AS idx,
       CASE WHEN v.value IS NULL THEN 'json' ELSE b.type END, coalesce(v.value, b.inline::text)
FROM before b
LEFT JOIN holdfast.checkpoint_values v
  ON v.thread_id = $1 AND v.hash = b.hash AND b.type <> 'empty'
WHERE b.found
UNION ALL
SELECT 1, b.far, w.task_path COLLATE "C", w.task_id COLLATE "C", w.idx, w.type, w.value
FROM before b
JOIN holdfast.checkpoint_writes w
  ON w.thread_id = $1 AND w.checkpoint_ns = $2 AND w.checkpoint_id = b.id AND w.channel = $4
WHERE b.far > 0
ORDER BY 1, 2 DESC, 3, 4, 5;

-- name: saved_base
-- The newest that may hold values which $3 does not bring: its parent is gone.
-- $1 thread, $2 namespace, $3 id
SELECT checkpoint_id FROM holdfast.checkpoints
WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id < $3
ORDER BY checkpoint_id DESC LIMIT 1;

-- name: saved_keys
-- vary: space = one:= any:>=
-- Of one thread, which the caller has looked up, without the server's own. $1 thread, $2 namespace
-- (or its lower bound), $3 id before which, $4 metadata, $5 limit
SELECT thread_id, NULL::text, checkpoint_ns, checkpoint_id FROM holdfast.checkpoints
WHERE thread_id = $1 AND checkpoint_ns @space $2 AND checkpoint_id < $3
  AND saved IS NOT NULL AND metadata::jsonb @> $4::jsonb
ORDER BY checkpoint_id DESC LIMIT $5;

-- name: saved_keys_all
-- vary: space = one:= any:>=
-- Of the threads that one owner used last, as many as $6 says. $1 owner, $2 namespace (or its lower
-- bound), $3 id before which, $4 metadata, $5 limit
SELECT t.thread_id, t.name, c.checkpoint_ns, c.checkpoint_id
FROM (SELECT holdfast.to_uuid(id) AS thread_id, metadata ->> 'saver_thread_id' AS name
      FROM langgraph_server.threads
      WHERE coalesce(metadata ->> 'owner', '') COLLATE "C" = $1
      ORDER BY updated_at DESC LIMIT $6) t
CROSS JOIN LATERAL (
  SELECT checkpoint_ns, checkpoint_id FROM holdfast.checkpoints
  WHERE thread_id = t.thread_id AND checkpoint_ns @space $2 AND checkpoint_id < $3
    AND saved IS NOT NULL AND metadata::jsonb @> $4::jsonb
  ORDER BY checkpoint_id DESC LIMIT $5) c
ORDER BY c.checkpoint_id DESC, t.thread_id LIMIT $5;

-- name: saved_run
-- $1 thread, $2 run
INSERT INTO holdfast.saved_runs (thread_id, run) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: saved_run_threads
-- Threads in which a saver wrote for a run. $1 and $2 bounds of the owner, $3 run, $4 limit
SELECT r.thread_id
FROM holdfast.saved_runs r
JOIN langgraph_server.threads t ON t.id = ANY (holdfast.spellings(r.thread_id))
WHERE r.run = $3 AND (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $1 AND $2
LIMIT $4;

-- name: saved_run_forget
-- $1 thread, $2 run
DELETE FROM holdfast.saved_runs WHERE thread_id = $1 AND run = $2;

-- name: saved_runs_copy
-- $1 the copy's id, $2 source
INSERT INTO holdfast.saved_runs (thread_id, run)
SELECT $1, run FROM holdfast.saved_runs WHERE thread_id = $2;

-- name: saved_run_delete
-- What savers wrote for a run, in either layout. $1 thread, $2 run
WITH gone AS (
  DELETE FROM lg_checkpoints.checkpoints
  WHERE thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
    AND metadata ->> 'run_id' = $2 AND NOT checkpoint ? 'holdfast'
  RETURNING thread_id, checkpoint_ns, checkpoint_id
), writes AS (
  DELETE FROM lg_checkpoints.checkpoint_writes w USING gone g
  WHERE w.thread_id = g.thread_id AND w.checkpoint_ns = g.checkpoint_ns
    AND w.checkpoint_id = g.checkpoint_id
)
DELETE FROM holdfast.checkpoints
WHERE thread_id = $1 AND metadata::jsonb ->> 'run_id' = $2 AND saved IS NOT NULL;

-- name: saved_lg_insert
-- only: postgres
-- One that the server made itself stays as it is.
-- $1 thread, $2 namespace, $3 id, $4 parent, $5 checkpoint, $6 metadata
INSERT INTO lg_checkpoints.checkpoints AS c (thread_id, checkpoint_ns, checkpoint_id,
                                             parent_checkpoint_id, checkpoint, metadata)
VALUES (coalesce((SELECT t.id FROM langgraph_server.threads t
                  WHERE t.id = replace($1::uuid::text, '-', '')), $1::uuid::text),
        $2, $3::uuid::text, $4::uuid::text, $5::jsonb, $6::jsonb)
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id) DO UPDATE SET
  checkpoint = excluded.checkpoint, metadata = excluded.metadata
WHERE NOT c.checkpoint ? 'holdfast';

-- name: saved_lg_blob
-- only: postgres
-- $1 thread, $2 namespace, $3 channel, $4 version, $5 type, $6 blob
INSERT INTO lg_checkpoints.checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
VALUES (coalesce((SELECT t.id FROM langgraph_server.threads t
                  WHERE t.id = replace($1::uuid::text, '-', '')), $1::uuid::text),
        $2, $3, $4, $5, $6)
ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO NOTHING;

-- name: saved_lg_write
-- only: postgres
-- $1 thread, $2 namespace, $3 checkpoint, $4 task, $5 number, $6 channel, $7 type, $8 blob, $9 path,
-- $10 replace the one of that number?
INSERT INTO lg_checkpoints.checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx,
                                              channel, type, blob, task_path)
VALUES (coalesce((SELECT t.id FROM langgraph_server.threads t
                  WHERE t.id = replace($1::uuid::text, '-', '')), $1::uuid::text),
        $2, $3::uuid::text, $4, $5, $6, $7, $8, $9)
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO UPDATE SET
  channel = excluded.channel, type = excluded.type, blob = excluded.blob
WHERE $10::bool;

-- name: saved_lg_keys
-- vary: space = one:= any:>=
-- only: postgres
-- As saved_keys.
SELECT thread_id, NULL::text, checkpoint_ns, checkpoint_id FROM lg_checkpoints.checkpoints
WHERE thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', '')) AND checkpoint_ns @space $2
  AND checkpoint_id < $3::uuid::text AND metadata @> $4::jsonb
ORDER BY checkpoint_id DESC LIMIT $5;

-- name: saved_lg_keys_all
-- vary: space = one:= any:>=
-- only: postgres
-- As saved_keys_all.
SELECT t.id, t.name, c.checkpoint_ns, c.checkpoint_id
FROM (SELECT id, metadata ->> 'saver_thread_id' AS name
      FROM langgraph_server.threads
      WHERE coalesce(metadata ->> 'owner', '') COLLATE "C" = $1
      ORDER BY updated_at DESC LIMIT $6) t
CROSS JOIN LATERAL (
  SELECT checkpoint_ns, checkpoint_id FROM lg_checkpoints.checkpoints
  WHERE thread_id = t.id AND checkpoint_ns @space $2 AND checkpoint_id < $3::uuid::text
    AND metadata @> $4::jsonb
  ORDER BY checkpoint_id DESC LIMIT $5) c
ORDER BY c.checkpoint_id DESC, t.id LIMIT $5;
