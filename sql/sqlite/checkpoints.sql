-- Checkpoints in the native layout: rows of references, values by content, lists by segments.

-- name: checkpoint_insert
INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, step,
                         source, channels, next, tasks, metadata, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: checkpoint_value_insert
INSERT INTO checkpoint_values (thread_id, hash, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: checkpoint_segment_insert
INSERT INTO checkpoint_lists (thread_id, list_id, start, count, items) VALUES ($1, $2, $3, $4, $5);

-- name: checkpoint_get
-- point
SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, step, source, channels,
       next, tasks, metadata, created_at, saved
FROM checkpoints
WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id = $3;

-- name: checkpoint_newest
-- point
SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, step, source, channels,
       next, tasks, metadata, created_at, saved
FROM checkpoints
WHERE thread_id = $1 AND checkpoint_ns = $2
ORDER BY checkpoint_id DESC LIMIT 1;

-- name: checkpoint_page
SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, step, source, channels,
       next, tasks, metadata, created_at, saved
FROM checkpoints
WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id < $3
  AND hf_contains(metadata, $4)
ORDER BY checkpoint_id DESC LIMIT $5;

-- name: checkpoint_value_get
-- point
SELECT value FROM checkpoint_values WHERE thread_id = $1 AND hash = $2;

-- name: checkpoint_segments
-- point
SELECT start, count, items FROM checkpoint_lists
WHERE thread_id = $1 AND list_id = $2 AND start < $3
ORDER BY start;

-- name: checkpoint_segments_upto
-- Backwards, from that in which item $3 is. $1 thread, $2 list, $4 its length, $5 limit
SELECT start, count, items FROM checkpoint_lists
WHERE thread_id = $1 AND list_id = $2 AND start <= $3 AND start < $4
ORDER BY start DESC LIMIT $5;

-- name: checkpoint_segments_from
-- Forwards, from that in which item $3 is. $1 thread, $2 list, $4 its length, $5 limit
SELECT start, count, items FROM checkpoint_lists
WHERE thread_id = $1 AND list_id = $2 AND start < $4
  AND start >= (SELECT max(l.start) FROM checkpoint_lists l
                WHERE l.thread_id = $1 AND l.list_id = $2 AND l.start <= $3)
ORDER BY start LIMIT $5;

-- name: checkpoint_segments_named
-- Those of the log, see src/history/parts.c. $1 thread, $2 JSON array of [list, start]
SELECT l.list_id, l.start, l.items
FROM json_each($2) p
CROSS JOIN checkpoint_lists l ON l.thread_id = $1 AND l.list_id = json_extract(p.value, '$[0]')
                             AND l.start = json_extract(p.value, '$[1]');

-- name: checkpoint_delete_run_writes
-- only: sqlite
DELETE FROM checkpoint_writes
WHERE thread_id = $1
  AND (checkpoint_ns, checkpoint_id) IN (SELECT checkpoint_ns, checkpoint_id FROM checkpoints
                                         WHERE thread_id = $1 AND run_id = $2);

-- name: checkpoint_delete_run
DELETE FROM checkpoints WHERE thread_id = $1 AND run_id = $2;

-- name: thread_checkpoint_reset
UPDATE threads SET checkpoint_id = (SELECT max(checkpoint_id) FROM checkpoints
                                    WHERE thread_id = $1 AND checkpoint_ns = '')
WHERE id = $1;

-- name: checkpoint_trim_lists
-- Segments behind what the newest checkpoint holds of its lists: those of a run that was deleted.
-- The next run appends to the same lists.
DELETE FROM checkpoint_lists
WHERE thread_id = $1
  AND EXISTS (SELECT 1 FROM threads t
              JOIN checkpoints c ON c.thread_id = t.id AND c.checkpoint_ns = ''
                                AND c.checkpoint_id = t.checkpoint_id,
                   json_each(c.channels) e
              WHERE t.id = $1 AND json_extract(e.value, '$.l') = list_id
                AND json_extract(e.value, '$.n') <= start);

-- name: checkpoint_write_insert
-- $1 thread, $2 namespace, $3 checkpoint, $4 task, $5 number, $6 channel, $7 type, $8 value, $9 path
INSERT INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type,
                               value, task_path)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO UPDATE SET channel = excluded.channel, type = excluded.type, value = excluded.value,
  task_path = excluded.task_path;

-- name: checkpoint_writes_of
-- point
SELECT task_id, idx, channel, type, value, task_path FROM checkpoint_writes
WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id = $3
ORDER BY task_id, idx;
