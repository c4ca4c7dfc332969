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
SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, step, source, channels,
       next, tasks, metadata, created_at
FROM checkpoints
WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id = $3;

-- name: checkpoint_newest
SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, step, source, channels,
       next, tasks, metadata, created_at
FROM checkpoints
WHERE thread_id = $1 AND checkpoint_ns = $2
ORDER BY checkpoint_id DESC LIMIT 1;

-- name: checkpoint_page
SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, step, source, channels,
       next, tasks, metadata, created_at
FROM checkpoints
WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id < $3
  AND hf_contains(metadata, $4)
ORDER BY checkpoint_id DESC LIMIT $5;

-- name: checkpoint_value_get
SELECT value FROM checkpoint_values WHERE thread_id = $1 AND hash = $2;

-- name: checkpoint_segments
SELECT start, count, items FROM checkpoint_lists
WHERE thread_id = $1 AND list_id = $2 AND start < $3
ORDER BY start;

-- name: checkpoint_delete_run
DELETE FROM checkpoints WHERE thread_id = $1 AND run_id = $2;

-- name: thread_checkpoint_reset
UPDATE threads SET checkpoint_id = (SELECT max(checkpoint_id) FROM checkpoints
                                    WHERE thread_id = $1 AND checkpoint_ns = '')
WHERE id = $1;
