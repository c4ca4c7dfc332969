-- What the PostgreSQL driver itself says to the server. Not part of the catalogue of statements.

-- name: server_facts
SELECT current_setting('server_version_num')::int4, current_setting('max_connections')::int4,
       current_setting('superuser_reserved_connections')::int4,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend');

-- name: session_setup
-- Where the session is ours alone (no pooler): statements are planned once, not for each execution,
-- and with their indexes, however empty a table is at that moment. A table that has to be read whole
-- looks very dear then, which must not make the server compile the statement. A page may be thought a
-- tenth of a large table: to start workers for it takes ten times as long as to read it.
SELECT set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('enable_seqscan', 'off', false), set_config('jit', 'off', false),
       set_config('max_parallel_workers_per_gather', '0', false);

-- name: writer_register
-- Takes old rows away, those of processes that ended without a word: that of a living one comes back
-- with its next group.
-- $1 id
WITH gone AS (
  DELETE FROM holdfast.writers WHERE id IN (
    SELECT id FROM holdfast.writers WHERE created_at < now() - interval '30 days'
    FOR UPDATE SKIP LOCKED))
INSERT INTO holdfast.writers (id, epoch, group_no) VALUES ($1, 1, 0);

-- name: writer_advance
-- The witness of a group of batches: fails (22012) when the row is in another epoch. A row that is
-- gone is there again. It stands before the group's first statement, where that can carry it
-- (src/db/postgres/texts.c), else by itself.
-- $1 id, $2 number of the group, $3 epoch
INSERT INTO holdfast.writers AS w (id, epoch, group_no) VALUES ($1, $3, $2)
ON CONFLICT (id) DO UPDATE SET
  group_no = excluded.group_no / CASE WHEN w.epoch = excluded.epoch THEN 1 ELSE 0 END;

-- name: group_setup
-- As session_setup does, for a transaction: where the session is not ours alone.
SELECT set_config('plan_cache_mode', 'force_generic_plan', true),
       set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true);

-- name: writer_resolve
-- Which group was the last to commit; none of the old epoch can any more. Waits for one under way.
-- $1 id
UPDATE holdfast.writers SET epoch = epoch + 1 WHERE id = $1 RETURNING group_no, epoch;

-- name: writer_evict
-- Ends the connection whose open transaction holds the row.
-- $1 id
SELECT pg_catalog.pg_terminate_backend(l.pid)
FROM holdfast.writers w
JOIN pg_catalog.pg_locks l ON l.locktype = 'transactionid' AND l.transactionid = w.xmax
                          AND l.mode = 'ExclusiveLock' AND l.granted
WHERE w.id = $1;

-- name: writer_forget
-- $1 id
DELETE FROM holdfast.writers WHERE id = $1;
