-- A copy of a thread: its row, its head, and all that its states stand in, moved inside the
-- database. The log is not copied: it is about runs that the copy never had. The source's head is
-- locked first, so that no run here changes its states in between; checkpoints are copied before
-- what they refer to, which others write first.

-- name: thread_copy
-- $1 the copy's id, $2 source, $3 and $4 bounds of the owner, $5 metadata to put over, $6 now
WITH held AS (
  SELECT checkpoint_id, ttl_strategy, ttl_us FROM holdfast.thread_heads
  WHERE thread_id = $2 FOR NO KEY UPDATE
), source AS (
  SELECT * FROM langgraph_server.threads
  WHERE id IN ($2::uuid::text, replace($2::uuid::text, '-', ''))
    AND (coalesce(metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $3 AND $4
    AND (SELECT count(*) FROM held) >= 0
), head AS (
  INSERT INTO holdfast.thread_heads (thread_id, seq, checkpoint_id, state_updated_at, ttl_strategy,
                                     ttl_us, ttl_check_at)
  SELECT $1, 0, held.checkpoint_id, $6, held.ttl_strategy, held.ttl_us,
         $6::timestamptz + held.ttl_us * interval '1 microsecond'
  FROM source, held
)
INSERT INTO langgraph_server.threads (id, metadata, config, status, values, interrupts, created_at,
                                      updated_at)
SELECT $1::uuid::text, metadata || ($5::jsonb - 'owner'), '{}', 'idle', values, '{}', $6, $6
FROM source;

-- name: thread_copy_checkpoints
-- In both layouts, and the states of other runtimes.
-- $1 the copy's id, $2 source, $3 what is put over metadata that name the thread
WITH lg AS (
  INSERT INTO lg_checkpoints.checkpoints (thread_id, checkpoint_ns, checkpoint_id,
                                          parent_checkpoint_id, type, checkpoint, metadata)
  SELECT $1::uuid::text, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint,
         CASE WHEN metadata ? 'thread_id' THEN metadata || $3::jsonb ELSE metadata END
  FROM lg_checkpoints.checkpoints
  WHERE thread_id IN ($2::uuid::text, replace($2::uuid::text, '-', ''))
), states AS (
  INSERT INTO langgraph_server.thread_states (thread_id, values, metadata, next, tasks,
                                              checkpoint_id, parent_checkpoint, interrupts,
                                              created_at)
  SELECT $1::uuid::text, values, metadata, next, tasks, checkpoint_id, parent_checkpoint, interrupts,
         created_at
  FROM langgraph_server.thread_states
  WHERE thread_id IN ($2::uuid::text, replace($2::uuid::text, '-', '')) ORDER BY id
)
INSERT INTO holdfast.checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id,
                                  run_id, step, source, channels, next, tasks, metadata, created_at,
                                  saved)
SELECT $1, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, step, source, channels, next,
       tasks, CASE WHEN metadata::jsonb ? 'thread_id' THEN (metadata::jsonb || $3::jsonb)::text
              ELSE metadata END, created_at, saved
FROM holdfast.checkpoints WHERE thread_id = $2;

-- name: thread_copy_values
-- $1 the copy's id, $2 source
WITH writes AS (
  INSERT INTO lg_checkpoints.checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id,
                                                idx, channel, type, blob, task_path)
  SELECT $1::uuid::text, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path
  FROM lg_checkpoints.checkpoint_writes
  WHERE thread_id IN ($2::uuid::text, replace($2::uuid::text, '-', ''))
), blobs AS (
  INSERT INTO lg_checkpoints.checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
  SELECT $1::uuid::text, checkpoint_ns, channel, version, type, blob
  FROM lg_checkpoints.checkpoint_blobs
  WHERE thread_id IN ($2::uuid::text, replace($2::uuid::text, '-', ''))
)
INSERT INTO holdfast.checkpoint_values (thread_id, hash, value)
SELECT $1, hash, value FROM holdfast.checkpoint_values WHERE thread_id = $2;

-- name: thread_copy_lists
-- $1 the copy's id, $2 source
INSERT INTO holdfast.checkpoint_lists (thread_id, list_id, start, count, items)
SELECT $1, list_id, start, count, items FROM holdfast.checkpoint_lists WHERE thread_id = $2;

-- name: thread_copy_writes
-- $1 the copy's id, $2 source. Those of LangGraph's layout go with the values.
INSERT INTO holdfast.checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx,
                                        channel, type, value, task_path)
SELECT $1, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, value, task_path
FROM holdfast.checkpoint_writes WHERE thread_id = $2;
