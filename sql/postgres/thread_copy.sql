-- A copy of a thread: its row, its head, and all that its states stand in, moved inside the
-- database. The log is not copied: it is about runs that the copy never had. The source's head is
-- locked when the copy is made visible, so that no run here changes its states in between;
-- checkpoints are copied before what they refer to, which others write first.
--
-- Each statement of a table copies up to $3 rows that the copy lacks, in the order of the key.
-- Below a million it goes on behind the greatest key that the copy has; else it begins at the
-- start. thread_copy_fit_… says how many of these rows have $4 bytes together, but at least one: the
-- lengths come from the heads of rows, in their order.

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

-- name: thread_copy_size
-- Rows of a thread and their bytes, each kind counted up to $2. $1 thread
SELECT sum(p.rows)::bigint, coalesce(sum(p.bytes), 0)::bigint
FROM (
      SELECT count(*) AS rows, sum(n) AS bytes
      FROM (SELECT octet_length(channels) + octet_length(tasks) + octet_length(metadata)
                   + coalesce(octet_length(saved), 0) AS n FROM holdfast.checkpoints
            WHERE thread_id = $1 LIMIT $2) c
      UNION ALL
      SELECT count(*) AS rows, sum(n) AS bytes
      FROM (SELECT octet_length(value) AS n FROM holdfast.checkpoint_values
            WHERE thread_id = $1 LIMIT $2) v
      UNION ALL
      SELECT count(*) AS rows, sum(n) AS bytes
      FROM (SELECT octet_length(items) AS n FROM holdfast.checkpoint_lists
            WHERE thread_id = $1 LIMIT $2) l
      UNION ALL
      SELECT count(*) AS rows, sum(n) AS bytes
      FROM (SELECT octet_length(value) AS n FROM holdfast.checkpoint_writes
            WHERE thread_id = $1 LIMIT $2) w
      UNION ALL
      SELECT count(*) AS rows, sum(n) AS bytes
      FROM (SELECT pg_column_size(checkpoint) + pg_column_size(metadata) AS n FROM lg_checkpoints.checkpoints
            WHERE thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', '')) LIMIT $2) lc
      UNION ALL
      SELECT count(*) AS rows, sum(n) AS bytes
      FROM (SELECT coalesce(octet_length(blob), 0) AS n FROM lg_checkpoints.checkpoint_blobs
            WHERE thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', '')) LIMIT $2) lb
      UNION ALL
      SELECT count(*) AS rows, sum(n) AS bytes
      FROM (SELECT octet_length(blob) AS n FROM lg_checkpoints.checkpoint_writes
            WHERE thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', '')) LIMIT $2) lw) p;

-- shared: copy_fitting
count(CASE WHEN summed.total - summed.n < $4 THEN 1 END)
FROM (SELECT sized.n, sum(sized.n) OVER (ROWS UNBOUNDED PRECEDING) AS total

-- shared: copy_next_checkpoints
FROM holdfast.checkpoints s
WHERE s.thread_id = $2
  AND (s.checkpoint_ns, s.checkpoint_id)
      > (coalesce((SELECT c.checkpoint_ns FROM holdfast.checkpoints c
                   WHERE c.thread_id = $1 AND $3::int8 < 1000000
                   ORDER BY c.checkpoint_ns DESC, c.checkpoint_id DESC LIMIT 1), ''),
         coalesce((SELECT c.checkpoint_id FROM holdfast.checkpoints c
                   WHERE c.thread_id = $1 AND $3::int8 < 1000000
                   ORDER BY c.checkpoint_ns DESC, c.checkpoint_id DESC LIMIT 1),
                  '00000000-0000-0000-0000-000000000000'::uuid))
  AND NOT EXISTS (SELECT 1 FROM holdfast.checkpoints c
                  WHERE c.thread_id = $1 AND c.checkpoint_ns = s.checkpoint_ns
                    AND c.checkpoint_id = s.checkpoint_id)
ORDER BY s.checkpoint_ns, s.checkpoint_id

-- name: thread_copy_checkpoints
-- $1 the copy's id, $2 source, $3 rows, $4 what is put over metadata that name the thread
INSERT INTO holdfast.checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id,
                                  run_id, step, source, channels, next, tasks, metadata, created_at,
                                  saved)
SELECT $1, s.checkpoint_ns, s.checkpoint_id, s.parent_checkpoint_id, s.run_id, s.step, s.source,
       s.channels, s.next, s.tasks,
       CASE WHEN s.metadata::jsonb ? 'thread_id' THEN (s.metadata::jsonb || $4::jsonb)::text
            ELSE s.metadata END, s.created_at, s.saved
@copy_next_checkpoints LIMIT $3;

-- name: thread_copy_fit_checkpoints
-- $1 the copy's id, $2 source, $3 rows, $4 bytes
SELECT @copy_fitting
FROM (SELECT octet_length(s.channels) + octet_length(s.tasks) + octet_length(s.metadata)
             + coalesce(octet_length(s.saved), 0) AS n
      @copy_next_checkpoints LIMIT $3) sized) summed;

-- shared: copy_next_values
FROM holdfast.checkpoint_values s
WHERE s.thread_id = $2
  AND s.hash > coalesce((SELECT c.hash FROM holdfast.checkpoint_values c
                         WHERE c.thread_id = $1 AND $3::int8 < 1000000
                         ORDER BY c.hash DESC LIMIT 1), '')
  AND NOT EXISTS (SELECT 1 FROM holdfast.checkpoint_values c
                  WHERE c.thread_id = $1 AND c.hash = s.hash)
ORDER BY s.hash

-- name: thread_copy_values
-- $1 the copy's id, $2 source, $3 rows
INSERT INTO holdfast.checkpoint_values (thread_id, hash, value)
SELECT $1, s.hash, s.value
@copy_next_values LIMIT $3;

-- name: thread_copy_fit_values
-- $1 the copy's id, $2 source, $3 rows, $4 bytes
SELECT @copy_fitting
FROM (SELECT octet_length(s.value) AS n
      @copy_next_values LIMIT $3) sized) summed;

-- shared: copy_next_lists
FROM holdfast.checkpoint_lists s
WHERE s.thread_id = $2
  AND (s.list_id, s.start)
      > (coalesce((SELECT c.list_id FROM holdfast.checkpoint_lists c
                   WHERE c.thread_id = $1 AND $3::int8 < 1000000
                   ORDER BY c.list_id DESC, c.start DESC LIMIT 1), -1),
         coalesce((SELECT c.start FROM holdfast.checkpoint_lists c
                   WHERE c.thread_id = $1 AND $3::int8 < 1000000
                   ORDER BY c.list_id DESC, c.start DESC LIMIT 1), -1))
  AND NOT EXISTS (SELECT 1 FROM holdfast.checkpoint_lists c
                  WHERE c.thread_id = $1 AND c.list_id = s.list_id AND c.start = s.start)
ORDER BY s.list_id, s.start

-- name: thread_copy_lists
-- $1 the copy's id, $2 source, $3 rows
INSERT INTO holdfast.checkpoint_lists (thread_id, list_id, start, count, items)
SELECT $1, s.list_id, s.start, s.count, s.items
@copy_next_lists LIMIT $3;

-- name: thread_copy_fit_lists
-- $1 the copy's id, $2 source, $3 rows, $4 bytes
SELECT @copy_fitting
FROM (SELECT octet_length(s.items) AS n
      @copy_next_lists LIMIT $3) sized) summed;

-- shared: copy_next_writes
FROM holdfast.checkpoint_writes s
WHERE s.thread_id = $2
  AND (s.checkpoint_ns, s.checkpoint_id)
      >= (coalesce((SELECT c.checkpoint_ns FROM holdfast.checkpoint_writes c
                    WHERE c.thread_id = $1 AND $3::int8 < 1000000
                    ORDER BY c.checkpoint_ns DESC, c.checkpoint_id DESC LIMIT 1), ''),
          coalesce((SELECT c.checkpoint_id FROM holdfast.checkpoint_writes c
                    WHERE c.thread_id = $1 AND $3::int8 < 1000000
                    ORDER BY c.checkpoint_ns DESC, c.checkpoint_id DESC LIMIT 1),
                  '00000000-0000-0000-0000-000000000000'::uuid))
  AND NOT EXISTS (SELECT 1 FROM holdfast.checkpoint_writes c
                  WHERE c.thread_id = $1 AND c.checkpoint_ns = s.checkpoint_ns
                    AND c.checkpoint_id = s.checkpoint_id AND c.task_id = s.task_id
                    AND c.idx = s.idx)
ORDER BY s.checkpoint_ns, s.checkpoint_id, s.task_id, s.idx

-- name: thread_copy_writes
-- $1 the copy's id, $2 source, $3 rows
INSERT INTO holdfast.checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx,
                                        channel, type, value, task_path)
SELECT $1, s.checkpoint_ns, s.checkpoint_id, s.task_id, s.idx, s.channel, s.type, s.value,
       s.task_path
@copy_next_writes LIMIT $3;

-- name: thread_copy_fit_writes
-- $1 the copy's id, $2 source, $3 rows, $4 bytes
SELECT @copy_fitting
FROM (SELECT octet_length(s.value) AS n
      @copy_next_writes LIMIT $3) sized) summed;

-- In LangGraph's layout, and the states of other runtimes.

-- shared: copy_next_lg_checkpoints
FROM lg_checkpoints.checkpoints s
WHERE s.thread_id IN ($2::uuid::text, replace($2::uuid::text, '-', ''))
  AND (s.checkpoint_ns, s.checkpoint_id)
      > (coalesce((SELECT c.checkpoint_ns FROM lg_checkpoints.checkpoints c
                   WHERE c.thread_id = $1::uuid::text AND $3::int8 < 1000000
                   ORDER BY c.checkpoint_ns DESC, c.checkpoint_id DESC LIMIT 1), ''),
         coalesce((SELECT c.checkpoint_id FROM lg_checkpoints.checkpoints c
                   WHERE c.thread_id = $1::uuid::text AND $3::int8 < 1000000
                   ORDER BY c.checkpoint_ns DESC, c.checkpoint_id DESC LIMIT 1), ''))
  AND NOT EXISTS (SELECT 1 FROM lg_checkpoints.checkpoints c
                  WHERE c.thread_id = $1::uuid::text AND c.checkpoint_ns = s.checkpoint_ns
                    AND c.checkpoint_id = s.checkpoint_id)
ORDER BY s.checkpoint_ns, s.checkpoint_id

-- name: thread_copy_lg_checkpoints
-- only: postgres
-- $1 the copy's id, $2 source, $3 rows, $4 what is put over metadata that name the thread
INSERT INTO lg_checkpoints.checkpoints (thread_id, checkpoint_ns, checkpoint_id,
                                        parent_checkpoint_id, type, checkpoint, metadata)
SELECT $1::uuid::text, s.checkpoint_ns, s.checkpoint_id, s.parent_checkpoint_id, s.type,
       s.checkpoint,
       CASE WHEN s.metadata ? 'thread_id' THEN s.metadata || $4::jsonb ELSE s.metadata END
@copy_next_lg_checkpoints LIMIT $3;

-- name: thread_copy_fit_lg_checkpoints
-- only: postgres
-- $1 the copy's id, $2 source, $3 rows, $4 bytes
SELECT @copy_fitting
FROM (SELECT pg_column_size(s.checkpoint) + pg_column_size(s.metadata) AS n
      @copy_next_lg_checkpoints LIMIT $3) sized) summed;

-- shared: copy_next_lg_writes
FROM lg_checkpoints.checkpoint_writes s
WHERE s.thread_id IN ($2::uuid::text, replace($2::uuid::text, '-', ''))
  AND (s.checkpoint_ns, s.checkpoint_id)
      >= (coalesce((SELECT c.checkpoint_ns FROM lg_checkpoints.checkpoint_writes c
                    WHERE c.thread_id = $1::uuid::text AND $3::int8 < 1000000
                    ORDER BY c.checkpoint_ns DESC, c.checkpoint_id DESC LIMIT 1), ''),
          coalesce((SELECT c.checkpoint_id FROM lg_checkpoints.checkpoint_writes c
                    WHERE c.thread_id = $1::uuid::text AND $3::int8 < 1000000
                    ORDER BY c.checkpoint_ns DESC, c.checkpoint_id DESC LIMIT 1), ''))
  AND NOT EXISTS (SELECT 1 FROM lg_checkpoints.checkpoint_writes c
                  WHERE c.thread_id = $1::uuid::text AND c.checkpoint_ns = s.checkpoint_ns
                    AND c.checkpoint_id = s.checkpoint_id AND c.task_id = s.task_id
                    AND c.idx = s.idx)
ORDER BY s.checkpoint_ns, s.checkpoint_id, s.task_id, s.idx

-- name: thread_copy_lg_writes
-- only: postgres
-- $1 the copy's id, $2 source, $3 rows
INSERT INTO lg_checkpoints.checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx,
                                              channel, type, blob, task_path)
SELECT $1::uuid::text, s.checkpoint_ns, s.checkpoint_id, s.task_id, s.idx, s.channel, s.type,
       s.blob, s.task_path
@copy_next_lg_writes LIMIT $3;

-- name: thread_copy_fit_lg_writes
-- only: postgres
-- $1 the copy's id, $2 source, $3 rows, $4 bytes
SELECT @copy_fitting
FROM (SELECT octet_length(s.blob) AS n
      @copy_next_lg_writes LIMIT $3) sized) summed;

-- shared: copy_next_lg_blobs
FROM lg_checkpoints.checkpoint_blobs s
WHERE s.thread_id IN ($2::uuid::text, replace($2::uuid::text, '-', ''))
  AND (s.checkpoint_ns, s.channel)
      >= (coalesce((SELECT c.checkpoint_ns FROM lg_checkpoints.checkpoint_blobs c
                    WHERE c.thread_id = $1::uuid::text AND $3::int8 < 1000000
                    ORDER BY c.checkpoint_ns DESC, c.channel DESC LIMIT 1), ''),
          coalesce((SELECT c.channel FROM lg_checkpoints.checkpoint_blobs c
                    WHERE c.thread_id = $1::uuid::text AND $3::int8 < 1000000
                    ORDER BY c.checkpoint_ns DESC, c.channel DESC LIMIT 1), ''))
  AND NOT EXISTS (SELECT 1 FROM lg_checkpoints.checkpoint_blobs c
                  WHERE c.thread_id = $1::uuid::text AND c.checkpoint_ns = s.checkpoint_ns
                    AND c.channel = s.channel AND c.version = s.version)
ORDER BY s.checkpoint_ns, s.channel, s.version

-- name: thread_copy_lg_blobs
-- only: postgres
-- $1 the copy's id, $2 source, $3 rows
INSERT INTO lg_checkpoints.checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
SELECT $1::uuid::text, s.checkpoint_ns, s.channel, s.version, s.type, s.blob
@copy_next_lg_blobs LIMIT $3;

-- name: thread_copy_fit_lg_blobs
-- only: postgres
-- $1 the copy's id, $2 source, $3 rows, $4 bytes
SELECT @copy_fitting
FROM (SELECT coalesce(octet_length(s.blob), 0) AS n
      @copy_next_lg_blobs LIMIT $3) sized) summed;

-- name: thread_copy_states
-- only: postgres
-- They need the thread's row. $1 the copy's id, $2 source
INSERT INTO langgraph_server.thread_states (thread_id, values, metadata, next, tasks, checkpoint_id,
                                            parent_checkpoint, interrupts, created_at)
SELECT $1::uuid::text, values, metadata, next, tasks, checkpoint_id, parent_checkpoint, interrupts,
       created_at
FROM langgraph_server.thread_states
WHERE thread_id IN ($2::uuid::text, replace($2::uuid::text, '-', '')) ORDER BY id;

-- What the source has lost or changed since it was copied; the copy's row is not there yet.

-- name: thread_copy_gone_checkpoints
-- $1 the copy's id, $2 source
DELETE FROM holdfast.checkpoints c
WHERE c.thread_id = $1
  AND NOT EXISTS (SELECT 1 FROM holdfast.checkpoints s
                  WHERE s.thread_id = $2 AND s.checkpoint_ns = c.checkpoint_ns
                    AND s.checkpoint_id = c.checkpoint_id
                    AND s.parent_checkpoint_id IS NOT DISTINCT FROM c.parent_checkpoint_id
                    AND s.channels = c.channels);

-- name: thread_copy_gone_values
-- $1 the copy's id, $2 source
DELETE FROM holdfast.checkpoint_values c
WHERE c.thread_id = $1
  AND NOT EXISTS (SELECT 1 FROM holdfast.checkpoint_values s
                  WHERE s.thread_id = $2 AND s.hash = c.hash);

-- name: thread_copy_gone_lists
-- $1 the copy's id, $2 source
DELETE FROM holdfast.checkpoint_lists c
WHERE c.thread_id = $1
  AND NOT EXISTS (SELECT 1 FROM holdfast.checkpoint_lists s
                  WHERE s.thread_id = $2 AND s.list_id = c.list_id
                    AND s.start = c.start AND s.count = c.count);

-- name: thread_copy_gone_writes
-- $1 the copy's id, $2 source
DELETE FROM holdfast.checkpoint_writes c
WHERE c.thread_id = $1
  AND NOT EXISTS (SELECT 1 FROM holdfast.checkpoint_writes s
                  WHERE s.thread_id = $2 AND s.checkpoint_ns = c.checkpoint_ns
                    AND s.checkpoint_id = c.checkpoint_id
                    AND s.task_id = c.task_id AND s.idx = c.idx
                    AND s.channel = c.channel);

-- name: thread_copy_gone_lg_checkpoints
-- only: postgres
-- $1 the copy's id, $2 source
DELETE FROM lg_checkpoints.checkpoints c
WHERE c.thread_id = $1::uuid::text
  AND NOT EXISTS (SELECT 1 FROM lg_checkpoints.checkpoints s
                  WHERE s.thread_id IN ($2::uuid::text, replace($2::uuid::text, '-', ''))
                    AND s.checkpoint_ns = c.checkpoint_ns AND s.checkpoint_id = c.checkpoint_id
                    AND s.parent_checkpoint_id IS NOT DISTINCT FROM c.parent_checkpoint_id);

-- name: thread_copy_gone_lg_writes
-- only: postgres
-- $1 the copy's id, $2 source
DELETE FROM lg_checkpoints.checkpoint_writes c
WHERE c.thread_id = $1::uuid::text
  AND NOT EXISTS (SELECT 1 FROM lg_checkpoints.checkpoint_writes s
                  WHERE s.thread_id IN ($2::uuid::text, replace($2::uuid::text, '-', ''))
                    AND s.checkpoint_ns = c.checkpoint_ns AND s.checkpoint_id = c.checkpoint_id
                    AND s.task_id = c.task_id AND s.idx = c.idx AND s.channel = c.channel);

-- name: thread_copy_gone_lg_blobs
-- only: postgres
-- $1 the copy's id, $2 source
DELETE FROM lg_checkpoints.checkpoint_blobs c
WHERE c.thread_id = $1::uuid::text
  AND NOT EXISTS (SELECT 1 FROM lg_checkpoints.checkpoint_blobs s
                  WHERE s.thread_id IN ($2::uuid::text, replace($2::uuid::text, '-', ''))
                    AND s.checkpoint_ns = c.checkpoint_ns AND s.channel = c.channel
                    AND s.version = c.version);
