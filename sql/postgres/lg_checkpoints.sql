-- LangGraph's checkpoint tables, which its JavaScript and Python savers read and write as well. The
-- thread's id stands in them as its row spells it. An answer is rows of three kinds, so that one
-- statement brings all of a state:
--   0  checkpoint id, the checkpoint, its metadata, the parent's id
--   1  '', channel, version, type, blob: each value once, whatever number of checkpoints has it
--   2  checkpoint id, task id, channel, type, blob (of interrupts and errors only), the task's path
-- LIMIT 1 makes the look-up of each blob one of its key, whatever the planner believes.

-- name: lg_checkpoint_insert
-- only: postgres
-- many
-- $1 thread, $2 namespace, $3 id, $4 parent, $5 checkpoint, $6 metadata
INSERT INTO lg_checkpoints.checkpoints (thread_id, checkpoint_ns, checkpoint_id,
                                        parent_checkpoint_id, checkpoint, metadata)
SELECT coalesce((SELECT t.id FROM langgraph_server.threads t
                 WHERE t.id = replace(n.thread::text, '-', '')), n.thread::text),
       n.ns, n.id::text, n.parent::text, n.checkpoint::jsonb, n.metadata::jsonb
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::text[])
  AS n(thread, ns, id, parent, checkpoint, metadata);

-- name: lg_blob_insert
-- only: postgres
-- many
-- $1 thread, $2 namespace, $3 channel, $4 version, $5 type, $6 blob. A version that is there belongs
-- to a run that was rolled back.
INSERT INTO lg_checkpoints.checkpoint_blobs AS b (thread_id, checkpoint_ns, channel, version, type,
                                                  blob)
SELECT coalesce((SELECT t.id FROM langgraph_server.threads t
                 WHERE t.id = replace(n.thread::text, '-', '')), n.thread::text),
       n.ns, n.channel, n.version, n.type, n.blob
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[])
  AS n(thread, ns, channel, version, type, blob)
ON CONFLICT (thread_id, checkpoint_ns, channel, version) DO UPDATE SET
  type = excluded.type, blob = excluded.blob;

-- name: lg_checkpoint_newest
-- together: uuid text
-- point
-- only: postgres
-- $1 thread, $2 namespace
WITH c AS (
  SELECT * FROM (
   (SELECT thread_id, checkpoint_id, parent_checkpoint_id, checkpoint, metadata
    FROM lg_checkpoints.checkpoints
    WHERE thread_id = $1::uuid::text AND checkpoint_ns = $2
    ORDER BY checkpoint_id DESC LIMIT 1)
   UNION ALL
   (SELECT thread_id, checkpoint_id, parent_checkpoint_id, checkpoint, metadata
    FROM lg_checkpoints.checkpoints
    WHERE thread_id = replace($1::uuid::text, '-', '') AND checkpoint_ns = $2
    ORDER BY checkpoint_id DESC LIMIT 1)
  ) both_spellings ORDER BY checkpoint_id DESC LIMIT 1
)
SELECT 0 AS kind, c.checkpoint_id, c.checkpoint::text, c.metadata::text, c.parent_checkpoint_id,
       NULL::bytea, NULL::text
FROM c
UNION ALL
SELECT 1, '', b.channel, b.version, b.type, b.blob, NULL
FROM (SELECT DISTINCT c.thread_id, v.key, v.value
      FROM c, jsonb_each_text(CASE jsonb_typeof(c.checkpoint -> 'channel_versions')
                              WHEN 'object' THEN c.checkpoint -> 'channel_versions'
                              ELSE '{}' END) v) n
CROSS JOIN LATERAL (SELECT * FROM lg_checkpoints.checkpoint_blobs
                    WHERE thread_id = n.thread_id AND checkpoint_ns = $2 AND channel = n.key
                      AND version = n.value LIMIT 1) b
UNION ALL
SELECT 2, w.checkpoint_id, w.task_id, w.channel, w.type,
       CASE WHEN w.channel IN ('__interrupt__', '__error__') THEN w.blob END, w.task_path
FROM c JOIN lg_checkpoints.checkpoint_writes w
  ON w.thread_id = c.thread_id AND w.checkpoint_ns = $2 AND w.checkpoint_id = c.checkpoint_id
WHERE NOT c.checkpoint ? 'holdfast'
ORDER BY 1, 2 DESC, 3, 4;

-- name: lg_checkpoint_get
-- together: uuid text uuid
-- point
-- only: postgres
-- $1 thread, $2 namespace, $3 id
WITH c AS (
  SELECT * FROM (
   (SELECT thread_id, checkpoint_id, parent_checkpoint_id, checkpoint, metadata
    FROM lg_checkpoints.checkpoints
    WHERE thread_id = $1::uuid::text AND checkpoint_ns = $2 AND checkpoint_id = $3::uuid::text
    ORDER BY checkpoint_id DESC LIMIT 1)
   UNION ALL
   (SELECT thread_id, checkpoint_id, parent_checkpoint_id, checkpoint, metadata
    FROM lg_checkpoints.checkpoints
    WHERE thread_id = replace($1::uuid::text, '-', '') AND checkpoint_ns = $2 AND checkpoint_id = $3::uuid::text
    ORDER BY checkpoint_id DESC LIMIT 1)
  ) both_spellings ORDER BY checkpoint_id DESC LIMIT 1
)
SELECT 0 AS kind, c.checkpoint_id, c.checkpoint::text, c.metadata::text, c.parent_checkpoint_id,
       NULL::bytea, NULL::text
FROM c
UNION ALL
SELECT 1, '', b.channel, b.version, b.type, b.blob, NULL
FROM (SELECT DISTINCT c.thread_id, v.key, v.value
      FROM c, jsonb_each_text(CASE jsonb_typeof(c.checkpoint -> 'channel_versions')
                              WHEN 'object' THEN c.checkpoint -> 'channel_versions'
                              ELSE '{}' END) v) n
CROSS JOIN LATERAL (SELECT * FROM lg_checkpoints.checkpoint_blobs
                    WHERE thread_id = n.thread_id AND checkpoint_ns = $2 AND channel = n.key
                      AND version = n.value LIMIT 1) b
UNION ALL
SELECT 2, w.checkpoint_id, w.task_id, w.channel, w.type,
       CASE WHEN w.channel IN ('__interrupt__', '__error__') THEN w.blob END, w.task_path
FROM c JOIN lg_checkpoints.checkpoint_writes w
  ON w.thread_id = c.thread_id AND w.checkpoint_ns = $2 AND w.checkpoint_id = c.checkpoint_id
WHERE NOT c.checkpoint ? 'holdfast'
ORDER BY 1, 2 DESC, 3, 4;

-- name: lg_checkpoint_page
-- only: postgres
-- $1 thread, $2 namespace, $3 id before which, $4 metadata, $5 limit, $6 with the values?
WITH c AS (
  SELECT * FROM (
   (SELECT thread_id, checkpoint_id, parent_checkpoint_id, checkpoint, metadata
    FROM lg_checkpoints.checkpoints
    WHERE thread_id = $1::uuid::text AND checkpoint_ns = $2
      AND checkpoint_id < $3 AND metadata @> $4::jsonb
    ORDER BY checkpoint_id DESC LIMIT $5)
   UNION ALL
   (SELECT thread_id, checkpoint_id, parent_checkpoint_id, checkpoint, metadata
    FROM lg_checkpoints.checkpoints
    WHERE thread_id = replace($1::uuid::text, '-', '') AND checkpoint_ns = $2
      AND checkpoint_id < $3 AND metadata @> $4::jsonb
    ORDER BY checkpoint_id DESC LIMIT $5)
  ) both_spellings ORDER BY checkpoint_id DESC LIMIT $5
)
SELECT 0 AS kind, c.checkpoint_id, c.checkpoint::text, c.metadata::text, c.parent_checkpoint_id,
       NULL::bytea, NULL::text
FROM c
UNION ALL
SELECT 1, '', b.channel, b.version, b.type, b.blob, NULL
FROM (SELECT DISTINCT c.thread_id, v.key, v.value
      FROM c, jsonb_each_text(CASE jsonb_typeof(c.checkpoint -> 'channel_versions')
                              WHEN 'object' THEN c.checkpoint -> 'channel_versions'
                              ELSE '{}' END) v
      WHERE $6::bool) n
CROSS JOIN LATERAL (SELECT * FROM lg_checkpoints.checkpoint_blobs
                    WHERE thread_id = n.thread_id AND checkpoint_ns = $2 AND channel = n.key
                      AND version = n.value LIMIT 1) b
UNION ALL
SELECT 2, w.checkpoint_id, w.task_id, w.channel, w.type,
       CASE WHEN w.channel IN ('__interrupt__', '__error__') THEN w.blob END, w.task_path
FROM c JOIN lg_checkpoints.checkpoint_writes w
  ON w.thread_id = c.thread_id AND w.checkpoint_ns = $2 AND w.checkpoint_id = c.checkpoint_id
WHERE NOT c.checkpoint ? 'holdfast'
ORDER BY 1, 2 DESC, 3, 4;

-- name: lg_legacy_states
-- only: postgres
-- States of a thread that has no checkpoints: what the other runtimes keep beside them, and last the
-- values in the thread's row. $1 thread, $2 limit
(SELECT s.checkpoint_id, s.values::text, to_json(s.next)::text, s.tasks::text, s.metadata::text,
        s.parent_checkpoint ->> 'checkpoint_id', s.created_at, s.id::int8
 FROM langgraph_server.thread_states s
 WHERE s.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
 ORDER BY s.created_at DESC, s.id DESC LIMIT $2)
UNION ALL
(SELECT NULL, t.values::text, '[]', '[]', '{}', NULL, t.updated_at, 0
 FROM langgraph_server.threads t
 WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', '')) AND t.values <> '{}'
   AND NOT EXISTS (SELECT 1 FROM langgraph_server.thread_states s
                   WHERE s.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))))
ORDER BY 7 DESC, 8 DESC;

-- name: lg_write_insert
-- only: postgres
-- many
-- $1 thread, $2 namespace, $3 checkpoint, $4 task, $5 number, $6 channel, $7 type, $8 blob, $9 path
INSERT INTO lg_checkpoints.checkpoint_writes AS w (thread_id, checkpoint_ns, checkpoint_id, task_id,
                                                   idx, channel, type, blob, task_path)
SELECT coalesce((SELECT t.id FROM langgraph_server.threads t
                 WHERE t.id = replace(n.thread::text, '-', '')), n.thread::text),
       n.ns, n.checkpoint::text, n.task::text, n.idx, n.channel, n.type, n.blob, n.path
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::int4[], $6::text[], $7::text[],
            $8::bytea[], $9::text[])
  AS n(thread, ns, checkpoint, task, idx, channel, type, blob, path)
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO UPDATE SET
  channel = excluded.channel, type = excluded.type, blob = excluded.blob,
  task_path = excluded.task_path;

-- name: lg_writes_of
-- only: postgres
-- $1 thread, $2 namespace, $3 checkpoint
SELECT task_id, idx, channel, type, blob, task_path
FROM lg_checkpoints.checkpoint_writes
WHERE thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', '')) AND checkpoint_ns = $2
  AND checkpoint_id = $3::uuid::text
ORDER BY task_id, idx;

-- name: lg_delta_history
-- only: postgres
-- What the value of a delta channel is made of: 0, the value of the nearest state before that has
-- one, then 1, the writes from there on, in the order of their steps.
-- $1 thread, $2 namespace, $3 checkpoint, $4 channel
WITH RECURSIVE before (thread_id, id, parent, version, inline, far, found) AS (
  SELECT c.thread_id, c.checkpoint_id, c.parent_checkpoint_id, NULL::text, NULL::jsonb, 0, false
  FROM lg_checkpoints.checkpoints c
  WHERE c.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
    AND c.checkpoint_ns = $2 AND c.checkpoint_id = $3::uuid::text
  UNION ALL
  SELECT c.thread_id, c.checkpoint_id, c.parent_checkpoint_id,
         c.checkpoint -> 'channel_versions' ->> $4::text,
         c.checkpoint -> 'channel_values' -> $4::text, b.far + 1,
         coalesce(jsonb_typeof(c.checkpoint -> 'channel_values' -> $4::text) <> 'null', false)
         OR EXISTS (SELECT 1 FROM lg_checkpoints.checkpoint_blobs l
                    WHERE l.thread_id = c.thread_id AND l.checkpoint_ns = $2
                      AND l.channel = $4 AND l.type <> 'empty'
                      AND l.version = c.checkpoint -> 'channel_versions' ->> $4::text)
  FROM before b JOIN lg_checkpoints.checkpoints c
    ON c.thread_id = b.thread_id AND c.checkpoint_ns = $2 AND c.checkpoint_id = b.parent
  WHERE NOT b.found AND b.far < 100000
)
SELECT 0 AS kind, b.far, '' COLLATE "C" AS path, '' COLLATE "C" AS task, 0 AS idx,
       coalesce(l.type, 'json'), coalesce(l.blob, convert_to(b.inline::text, 'UTF8'))
FROM before b LEFT JOIN lg_checkpoints.checkpoint_blobs l
  ON l.thread_id = b.thread_id AND l.checkpoint_ns = $2 AND l.channel = $4
 AND l.version = b.version AND l.type <> 'empty'
WHERE b.found
UNION ALL
SELECT 1, b.far, w.task_path COLLATE "C", w.task_id COLLATE "C", w.idx, w.type, w.blob
FROM before b JOIN lg_checkpoints.checkpoint_writes w
  ON w.thread_id = b.thread_id AND w.checkpoint_ns = $2 AND w.checkpoint_id = b.id
 AND w.channel = $4
WHERE b.far > 0
ORDER BY 1, 2 DESC, 3, 4, 5;

-- name: lg_sends_of
-- only: postgres
-- Before version 4 the sends of a step stood with the state before it.
-- $1 thread, $2 namespace, $3 the checkpoint's parent
SELECT type, blob
FROM lg_checkpoints.checkpoint_writes
WHERE thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', '')) AND checkpoint_ns = $2
  AND checkpoint_id = $3::uuid::text AND channel = '__pregel_tasks'
ORDER BY task_path COLLATE "C", task_id COLLATE "C", idx;
