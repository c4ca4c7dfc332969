-- A copy of a thread: its row and all that its states stand in, moved inside the database. The log
-- is not copied: it is about runs that the copy never had.

-- name: thread_copy
-- $1 the copy's id, $2 source, $3 and $4 bounds of the owner, $5 metadata to put over, $6 now
INSERT INTO threads (id, owner, status, metadata, config, interrupts, seq, checkpoint_id,
                     created_at, updated_at, state_updated_at, ttl_strategy, ttl_us, ttl_check_at)
SELECT $1, owner, 'idle', hf_merge(metadata, $5), '{}', '{}', 0, checkpoint_id, $6, $6, $6,
       ttl_strategy, ttl_us, $6 + ttl_us
FROM threads WHERE id = $2 AND owner BETWEEN $3 AND $4;

-- name: thread_copy_checkpoints
-- $1 the copy's id, $2 source, $3 what is put over metadata that name the thread
INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, step,
                         source, channels, next, tasks, metadata, created_at, saved)
SELECT $1, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, step, source, channels, next,
       tasks, CASE WHEN json_extract(metadata, '$.thread_id') IS NULL THEN metadata
              ELSE hf_merge(metadata, $3) END, created_at, saved
FROM checkpoints WHERE thread_id = $2;

-- name: thread_copy_values
-- $1 the copy's id, $2 source
INSERT INTO checkpoint_values (thread_id, hash, value)
SELECT $1, hash, value FROM checkpoint_values WHERE thread_id = $2;

-- name: thread_copy_lists
-- $1 the copy's id, $2 source
INSERT INTO checkpoint_lists (thread_id, list_id, start, count, items)
SELECT $1, list_id, start, count, items FROM checkpoint_lists WHERE thread_id = $2;

-- name: thread_copy_writes
-- $1 the copy's id, $2 source
INSERT INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type,
                               value, task_path)
SELECT $1, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, value, task_path
FROM checkpoint_writes WHERE thread_id = $2;
