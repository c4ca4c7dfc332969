-- Checkpoints in the native layout: rows of references, values by content, lists by segments.

-- name: checkpoint_insert
-- many
INSERT INTO holdfast.checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id,
                                  run_id, step, source, channels, next, tasks, metadata, created_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::int4[],
                     $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
                     $12::timestamptz[]);

-- name: checkpoint_value_insert
-- many
INSERT INTO holdfast.checkpoint_values (thread_id, hash, value)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[])
ON CONFLICT DO NOTHING;

-- name: checkpoint_segment_insert
-- many
INSERT INTO holdfast.checkpoint_lists (thread_id, list_id, start, count, items)
SELECT * FROM unnest($1::uuid[], $2::int8[], $3::int8[], $4::int8[], $5::text[]);

-- name: checkpoint_get
SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, step, source, channels,
       next, tasks, metadata, created_at, saved
FROM holdfast.checkpoints
WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id = $3;

-- name: checkpoint_newest
SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, step, source, channels,
       next, tasks, metadata, created_at, saved
FROM holdfast.checkpoints
WHERE thread_id = $1 AND checkpoint_ns = $2
ORDER BY checkpoint_id DESC LIMIT 1;

-- name: checkpoint_page
SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, step, source, channels,
       next, tasks, metadata, created_at, saved
FROM holdfast.checkpoints
WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id < $3
  AND metadata::jsonb @> $4::jsonb
ORDER BY checkpoint_id DESC LIMIT $5;

-- name: checkpoint_value_get
SELECT value FROM holdfast.checkpoint_values WHERE thread_id = $1 AND hash = $2;

-- name: checkpoint_segments
SELECT start, count, items FROM holdfast.checkpoint_lists
WHERE thread_id = $1 AND list_id = $2 AND start < $3
ORDER BY start;

-- name: checkpoint_segments_upto
-- Backwards, from that in which item $3 is. $1 thread, $2 list, $4 its length, $5 limit
SELECT start, count, items FROM holdfast.checkpoint_lists
WHERE thread_id = $1 AND list_id = $2 AND start <= $3 AND start < $4
ORDER BY start DESC LIMIT $5;

-- name: checkpoint_segments_from
-- Forwards, from that in which item $3 is. $1 thread, $2 list, $4 its length, $5 limit
SELECT start, count, items FROM holdfast.checkpoint_lists
WHERE thread_id = $1 AND list_id = $2 AND start < $4
  AND start >= (SELECT max(l.start) FROM holdfast.checkpoint_lists l
                WHERE l.thread_id = $1 AND l.list_id = $2 AND l.start <= $3)
ORDER BY start LIMIT $5;

-- name: checkpoint_segments_named
-- Those of the log, see src/history/parts.c. $1 thread, $2 JSON array of [list, start]
SELECT l.list_id, l.start, l.items
FROM jsonb_array_elements($2::jsonb) p
JOIN holdfast.checkpoint_lists l ON l.thread_id = $1 AND l.list_id = (p.value ->> 0)::int8
                                AND l.start = (p.value ->> 1)::int8;

-- name: checkpoint_delete_run
-- In both layouts. Blobs of LangGraph's that nothing refers to any more go with the thread.
WITH gone AS (
  DELETE FROM lg_checkpoints.checkpoints
  WHERE thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
    AND metadata ->> 'run_id' IN ($2::uuid::text, replace($2::uuid::text, '-', ''))
  RETURNING thread_id, checkpoint_ns, checkpoint_id
), writes AS (
  DELETE FROM lg_checkpoints.checkpoint_writes w USING gone g
  WHERE w.thread_id = g.thread_id AND w.checkpoint_ns = g.checkpoint_ns
    AND w.checkpoint_id = g.checkpoint_id
)
DELETE FROM holdfast.checkpoints WHERE thread_id = $1 AND run_id = $2;

-- name: thread_checkpoint_reset
UPDATE holdfast.thread_heads
SET checkpoint_id = greatest(
  (SELECT c.checkpoint_id FROM holdfast.checkpoints c
   WHERE c.thread_id = $1 AND c.checkpoint_ns = ''
   ORDER BY c.checkpoint_id DESC LIMIT 1),
  (SELECT holdfast.to_uuid(max(c.checkpoint_id)) FROM lg_checkpoints.checkpoints c
   WHERE c.thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
     AND c.checkpoint_ns = ''))
WHERE thread_id = $1;

-- name: checkpoint_trim_lists
-- Segments behind what the newest checkpoint holds of its lists: those of a run that was deleted.
-- The next run appends to the same lists.
DELETE FROM holdfast.checkpoint_lists l
USING holdfast.thread_heads h, holdfast.checkpoints c, jsonb_each(c.channels::jsonb) AS e
WHERE l.thread_id = $1 AND h.thread_id = $1
  AND c.thread_id = $1 AND c.checkpoint_ns = '' AND c.checkpoint_id = h.checkpoint_id
  AND (e.value ->> 'l')::int8 = l.list_id AND (e.value ->> 'n')::int8 <= l.start;

-- name: checkpoint_write_insert
-- many
-- $1 thread, $2 namespace, $3 checkpoint, $4 task, $5 number, $6 channel, $7 type, $8 value, $9 path
INSERT INTO holdfast.checkpoint_writes AS w (thread_id, checkpoint_ns, checkpoint_id, task_id, idx,
                                             channel, type, value, task_path)
SELECT n.thread, n.ns, n.checkpoint, n.task::text, n.idx, n.channel, n.type, n.value, n.path
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::int4[], $6::text[], $7::text[],
            $8::text[], $9::text[])
  AS n(thread, ns, checkpoint, task, idx, channel, type, value, path)
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO UPDATE SET
  channel = excluded.channel, type = excluded.type, value = excluded.value,
  task_path = excluded.task_path;

-- name: checkpoint_writes_of
SELECT task_id, idx, channel, type, value, task_path FROM holdfast.checkpoint_writes
WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id = $3
ORDER BY task_id, idx;
