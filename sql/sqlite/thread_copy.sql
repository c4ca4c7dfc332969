-- A copy of a thread: its row and all that its states stand in, moved inside the database. The log
-- is not copied: it is about runs that the copy never had.
--
-- Each statement of a table copies up to $3 rows that the copy lacks, in the order of the key.
-- Below a million it goes on behind the greatest key that the copy has; else it begins at the
-- start. thread_copy_fit_… says how many of these rows have $4 bytes together, but at least one: the
-- lengths come from the heads of rows, in their order.

-- name: thread_copy
-- $1 the copy's id, $2 source, $3 and $4 bounds of the owner, $5 metadata to put over, $6 now
INSERT INTO threads (id, owner, status, metadata, config, interrupts, seq, checkpoint_id,
                     created_at, updated_at, state_updated_at, ttl_strategy, ttl_us, ttl_check_at)
SELECT $1, owner, 'idle', hf_merge(metadata, $5), '{}', '{}', 0, checkpoint_id, $6, $6, $6,
       ttl_strategy, ttl_us, $6 + ttl_us
FROM threads WHERE id = $2 AND owner BETWEEN $3 AND $4;

-- name: thread_copy_size
-- Rows of a thread and their bytes, each kind counted up to $2. $1 thread
SELECT sum(p.rows), coalesce(sum(p.bytes), 0)
FROM (
      SELECT count(*) AS rows, sum(n) AS bytes
      FROM (SELECT octet_length(channels) + octet_length(tasks) + octet_length(metadata)
                   + coalesce(octet_length(saved), 0) AS n FROM checkpoints
            WHERE thread_id = $1 LIMIT $2) c
      UNION ALL
      SELECT count(*) AS rows, sum(n) AS bytes
      FROM (SELECT octet_length(value) AS n FROM checkpoint_values
            WHERE thread_id = $1 LIMIT $2) v
      UNION ALL
      SELECT count(*) AS rows, sum(n) AS bytes
      FROM (SELECT octet_length(items) AS n FROM checkpoint_lists
            WHERE thread_id = $1 LIMIT $2) l
      UNION ALL
      SELECT count(*) AS rows, sum(n) AS bytes
      FROM (SELECT octet_length(value) AS n FROM checkpoint_writes
            WHERE thread_id = $1 LIMIT $2) w) p;

-- shared: copy_fitting
count(CASE WHEN summed.total - summed.n < $4 THEN 1 END)
FROM (SELECT sized.n, sum(sized.n) OVER (ROWS UNBOUNDED PRECEDING) AS total

-- shared: copy_next_checkpoints
FROM checkpoints s
WHERE s.thread_id = $2
  AND (s.checkpoint_ns, s.checkpoint_id)
      > (coalesce((SELECT c.checkpoint_ns FROM checkpoints c
                   WHERE c.thread_id = $1 AND $3 < 1000000
                   ORDER BY c.checkpoint_ns DESC, c.checkpoint_id DESC LIMIT 1), ''),
         coalesce((SELECT c.checkpoint_id FROM checkpoints c
                   WHERE c.thread_id = $1 AND $3 < 1000000
                   ORDER BY c.checkpoint_ns DESC, c.checkpoint_id DESC LIMIT 1), ''))
  AND NOT EXISTS (SELECT 1 FROM checkpoints c
                  WHERE c.thread_id = $1 AND c.checkpoint_ns = s.checkpoint_ns
                    AND c.checkpoint_id = s.checkpoint_id)
ORDER BY s.checkpoint_ns, s.checkpoint_id

-- name: thread_copy_checkpoints
-- $1 the copy's id, $2 source, $3 rows, $4 what is put over metadata that name the thread
INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id,
                         step, source, channels, next, tasks, metadata, created_at, saved)
SELECT $1, s.checkpoint_ns, s.checkpoint_id, s.parent_checkpoint_id, s.run_id, s.step, s.source,
       s.channels, s.next, s.tasks,
       CASE WHEN json_extract(s.metadata, '$.thread_id') IS NULL THEN s.metadata
            ELSE hf_merge(s.metadata, $4) END, s.created_at, s.saved
@copy_next_checkpoints LIMIT $3;

-- name: thread_copy_fit_checkpoints
-- $1 the copy's id, $2 source, $3 rows, $4 bytes
SELECT @copy_fitting
FROM (SELECT octet_length(s.channels) + octet_length(s.tasks) + octet_length(s.metadata)
             + coalesce(octet_length(s.saved), 0) AS n
      @copy_next_checkpoints LIMIT $3) sized) summed;

-- shared: copy_next_values
FROM checkpoint_values s
WHERE s.thread_id = $2
  AND s.hash > coalesce((SELECT c.hash FROM checkpoint_values c
                         WHERE c.thread_id = $1 AND $3 < 1000000 ORDER BY c.hash DESC LIMIT 1), '')
  AND NOT EXISTS (SELECT 1 FROM checkpoint_values c WHERE c.thread_id = $1 AND c.hash = s.hash)
ORDER BY s.hash

-- name: thread_copy_values
-- $1 the copy's id, $2 source, $3 rows
INSERT INTO checkpoint_values (thread_id, hash, value)
SELECT $1, s.hash, s.value
@copy_next_values LIMIT $3;

-- name: thread_copy_fit_values
-- $1 the copy's id, $2 source, $3 rows, $4 bytes
SELECT @copy_fitting
FROM (SELECT octet_length(s.value) AS n
      @copy_next_values LIMIT $3) sized) summed;

-- shared: copy_next_lists
FROM checkpoint_lists s
WHERE s.thread_id = $2
  AND (s.list_id, s.start)
      > (coalesce((SELECT c.list_id FROM checkpoint_lists c
                   WHERE c.thread_id = $1 AND $3 < 1000000
                   ORDER BY c.list_id DESC, c.start DESC LIMIT 1), -1),
         coalesce((SELECT c.start FROM checkpoint_lists c
                   WHERE c.thread_id = $1 AND $3 < 1000000
                   ORDER BY c.list_id DESC, c.start DESC LIMIT 1), -1))
  AND NOT EXISTS (SELECT 1 FROM checkpoint_lists c
                  WHERE c.thread_id = $1 AND c.list_id = s.list_id AND c.start = s.start)
ORDER BY s.list_id, s.start

-- name: thread_copy_lists
-- $1 the copy's id, $2 source, $3 rows
INSERT INTO checkpoint_lists (thread_id, list_id, start, count, items)
SELECT $1, s.list_id, s.start, s.count, s.items
@copy_next_lists LIMIT $3;

-- name: thread_copy_fit_lists
-- $1 the copy's id, $2 source, $3 rows, $4 bytes
SELECT @copy_fitting
FROM (SELECT octet_length(s.items) AS n
      @copy_next_lists LIMIT $3) sized) summed;

-- shared: copy_next_writes
FROM checkpoint_writes s
WHERE s.thread_id = $2
  AND (s.checkpoint_ns, s.checkpoint_id)
      >= (coalesce((SELECT c.checkpoint_ns FROM checkpoint_writes c
                    WHERE c.thread_id = $1 AND $3 < 1000000
                    ORDER BY c.checkpoint_ns DESC, c.checkpoint_id DESC LIMIT 1), ''),
          coalesce((SELECT c.checkpoint_id FROM checkpoint_writes c
                    WHERE c.thread_id = $1 AND $3 < 1000000
                    ORDER BY c.checkpoint_ns DESC, c.checkpoint_id DESC LIMIT 1), ''))
  AND NOT EXISTS (SELECT 1 FROM checkpoint_writes c
                  WHERE c.thread_id = $1 AND c.checkpoint_ns = s.checkpoint_ns
                    AND c.checkpoint_id = s.checkpoint_id AND c.task_id = s.task_id
                    AND c.idx = s.idx)
ORDER BY s.checkpoint_ns, s.checkpoint_id, s.task_id, s.idx

-- name: thread_copy_writes
-- $1 the copy's id, $2 source, $3 rows
INSERT INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type,
                               value, task_path)
SELECT $1, s.checkpoint_ns, s.checkpoint_id, s.task_id, s.idx, s.channel, s.type, s.value,
       s.task_path
@copy_next_writes LIMIT $3;

-- name: thread_copy_fit_writes
-- $1 the copy's id, $2 source, $3 rows, $4 bytes
SELECT @copy_fitting
FROM (SELECT octet_length(s.value) AS n
      @copy_next_writes LIMIT $3) sized) summed;

-- What the source has lost or changed since it was copied; the copy's row is not there yet.

-- name: thread_copy_gone_checkpoints
-- $1 the copy's id, $2 source
DELETE FROM checkpoints
WHERE thread_id = $1
  AND NOT EXISTS (SELECT 1 FROM checkpoints s
                  WHERE s.thread_id = $2 AND s.checkpoint_ns = checkpoints.checkpoint_ns
                    AND s.checkpoint_id = checkpoints.checkpoint_id
                    AND s.parent_checkpoint_id IS checkpoints.parent_checkpoint_id
                    AND s.channels = checkpoints.channels);

-- name: thread_copy_loose_writes
-- only: sqlite
-- Of the copy's checkpoints that went. $1 the copy's id
DELETE FROM checkpoint_writes
WHERE thread_id = $1
  AND NOT EXISTS (SELECT 1 FROM checkpoints c
                  WHERE c.thread_id = $1 AND c.checkpoint_ns = checkpoint_writes.checkpoint_ns
                    AND c.checkpoint_id = checkpoint_writes.checkpoint_id);

-- name: thread_copy_gone_values
-- $1 the copy's id, $2 source
DELETE FROM checkpoint_values
WHERE thread_id = $1
  AND NOT EXISTS (SELECT 1 FROM checkpoint_values s
                  WHERE s.thread_id = $2 AND s.hash = checkpoint_values.hash);

-- name: thread_copy_gone_lists
-- $1 the copy's id, $2 source
DELETE FROM checkpoint_lists
WHERE thread_id = $1
  AND NOT EXISTS (SELECT 1 FROM checkpoint_lists s
                  WHERE s.thread_id = $2 AND s.list_id = checkpoint_lists.list_id
                    AND s.start = checkpoint_lists.start AND s.count = checkpoint_lists.count);

-- name: thread_copy_gone_writes
-- $1 the copy's id, $2 source
DELETE FROM checkpoint_writes
WHERE thread_id = $1
  AND NOT EXISTS (SELECT 1 FROM checkpoint_writes s
                  WHERE s.thread_id = $2 AND s.checkpoint_ns = checkpoint_writes.checkpoint_ns
                    AND s.checkpoint_id = checkpoint_writes.checkpoint_id
                    AND s.task_id = checkpoint_writes.task_id AND s.idx = checkpoint_writes.idx
                    AND s.channel = checkpoint_writes.channel);
