-- Checkpoints that savers of other processes write and read. See src/store/saved_checkpoints.c.

-- name: saved_touch
-- The thread is used, unless a run of this server has it. $1 id, $2 and $3 bounds of the owner,
-- $4 a root checkpoint, or NULL, $5 now
UPDATE threads
SET updated_at = $5, state_updated_at = $5,
    checkpoint_id = CASE WHEN $4 > coalesce(checkpoint_id, '') THEN $4 ELSE checkpoint_id END
WHERE id = $1 AND owner BETWEEN $2 AND $3 AND status <> 'busy' AND run_id IS NULL
  AND NOT EXISTS (SELECT 1 FROM runs r
                  WHERE r.thread_id = $1 AND r.status IN ('pending', 'running'));

-- name: saved_insert
-- One that the server made itself stays as it is.
-- $1 thread, $2 namespace, $3 id, $4 parent, $5 run, $6 step, $7 source, $8 channels, $9 metadata,
-- $10 now, $11 the checkpoint
INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, step,
                         source, channels, next, tasks, metadata, created_at, saved)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '[]', '[]', $9, $10, $11)
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id) DO UPDATE SET
  channels = excluded.channels, metadata = excluded.metadata, saved = excluded.saved
WHERE saved IS NOT NULL;

-- name: saved_write
-- $1 thread, $2 namespace, $3 checkpoint, $4 task, $5 number, $6 channel, $7 type, $8 value, $9 path,
-- $10 replace the one of that number?
INSERT INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type,
                               value, task_path)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO UPDATE SET
  channel = excluded.channel, type = excluded.type, value = excluded.value
WHERE $10;

-- name: saved_delta_history
-- What the value of a delta channel is made of, as lg_delta_history gives it: 0, the value of the
-- nearest state before that has one, then 1, the writes from there on, in the order of their steps.
-- $1 thread, $2 namespace, $3 checkpoint, $4 channel
WITH RECURSIVE before (id, parent, type, hash, inline, far, found) AS (
  SELECT c.checkpoint_id, c.parent_checkpoint_id, NULL, NULL, NULL, 0, 0
  FROM checkpoints c
  WHERE c.thread_id = $1 AND c.checkpoint_ns = $2 AND c.checkpoint_id = $3
  UNION ALL
  SELECT c.checkpoint_id, c.parent_checkpoint_id, json_extract(r.value, '$.t'),
         json_extract(r.value, '$.h'), json_quote(i.value), b.far + 1,
         coalesce(json_extract(r.value, '$.t') <> 'empty', 0) OR coalesce(i.type <> 'null', 0)
  FROM before b
  JOIN checkpoints c ON c.thread_id = $1 AND c.checkpoint_ns = $2 AND c.checkpoint_id = b.parent
  LEFT JOIN json_each(c.channels) r ON r.key = $4
  LEFT JOIN json_each(coalesce(c.saved, '{}'), '$.channel_values') i ON i.key = $4
  WHERE NOT b.found AND b.far < 100000
)
SELECT 0 AS kind, b.far AS far, '' AS path, '' AS task, 0 AS idx,
       CASE WHEN v.value IS NULL THEN 'json' ELSE b.type END, coalesce(v.value, b.inline)
FROM before b
LEFT JOIN checkpoint_values v ON v.thread_id = $1 AND v.hash = b.hash AND b.type <> 'empty'
WHERE b.found
UNION ALL
SELECT 1, b.far, w.task_path, w.task_id, w.idx, w.type, w.value
FROM before b
JOIN checkpoint_writes w ON w.thread_id = $1 AND w.checkpoint_ns = $2 AND w.checkpoint_id = b.id
                        AND w.channel = $4
WHERE b.far > 0
ORDER BY 1, 2 DESC, 3, 4, 5;

-- name: saved_base
-- The newest that may hold values which $3 does not bring: its parent is gone.
-- $1 thread, $2 namespace, $3 id
SELECT checkpoint_id FROM checkpoints
WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id < $3
ORDER BY checkpoint_id DESC LIMIT 1;

-- name: saved_keys
-- vary: space = one:= any:>=
-- Of one thread, which the caller has looked up, without the server's own. $1 thread, $2 namespace
-- (or its lower bound), $3 id before which, $4 metadata, $5 limit
SELECT thread_id, NULL, checkpoint_ns, checkpoint_id FROM checkpoints
WHERE thread_id = $1 AND checkpoint_ns @space $2 AND checkpoint_id < $3
  AND saved IS NOT NULL AND hf_contains(metadata, $4)
ORDER BY checkpoint_id DESC LIMIT $5;

-- name: saved_keys_all
-- vary: space = one:= any:>=
-- Of the threads that one owner used last, as many as $6 says. $1 owner, $2 namespace (or its lower
-- bound), $3 id before which, $4 metadata, $5 limit
SELECT t.id, t.name, c.checkpoint_ns, c.checkpoint_id
FROM (SELECT id, json_extract(metadata, '$.saver_thread_id') AS name FROM threads
      WHERE owner = $1 ORDER BY updated_at DESC LIMIT $6) t
JOIN checkpoints c ON c.thread_id = t.id AND c.checkpoint_ns @space $2 AND c.checkpoint_id < $3
                  AND c.saved IS NOT NULL AND hf_contains(c.metadata, $4)
ORDER BY c.checkpoint_id DESC, t.id LIMIT $5;

-- name: saved_run
-- $1 thread, $2 run
INSERT INTO saved_runs (thread_id, run) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: saved_run_threads
-- Threads in which a saver wrote for a run. $1 and $2 bounds of the owner, $3 run, $4 limit
SELECT t.id FROM saved_runs r JOIN threads t ON t.id = r.thread_id
WHERE r.run = $3 AND t.owner BETWEEN $1 AND $2
LIMIT $4;

-- name: saved_run_forget
-- $1 thread, $2 run
DELETE FROM saved_runs WHERE thread_id = $1 AND run = $2;

-- name: saved_run_delete_writes
-- only: sqlite
-- $1 thread, $2 run
DELETE FROM checkpoint_writes
WHERE thread_id = $1
  AND (checkpoint_ns, checkpoint_id)
      IN (SELECT checkpoint_ns, checkpoint_id FROM checkpoints
          WHERE thread_id = $1 AND saved IS NOT NULL AND json_extract(metadata, '$.run_id') = $2);

-- name: saved_run_delete
-- What savers wrote for a run. $1 thread, $2 run
DELETE FROM checkpoints
WHERE thread_id = $1 AND saved IS NOT NULL AND json_extract(metadata, '$.run_id') = $2;

-- name: saved_runs_copy
-- $1 the copy's id, $2 source
INSERT INTO saved_runs (thread_id, run) SELECT $1, run FROM saved_runs WHERE thread_id = $2;
