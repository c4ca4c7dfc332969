-- Runs, and the thread's side of their start and end. Holdfast's runs have two rows: run_states is
-- locked and fenced, langgraph_server.runs shows others the same status. A run without the first is
-- another runtime's: it is listed, and nobody here executes it or waits for it.
--
-- Parts of one WITH see the same snapshot, and the order of locks is that of the references: heads
-- before threads, states before runs.
--
-- Statements for many join rows by `= ANY (ARRAY[…])`, or an IN of both spellings: then each element
-- is a look-up by key, whatever the planner believes of the tables (an equality could be hashed).

-- name: run_get
-- together: uuid text text
-- $1 id, $2 and $3 bounds of the owner
SELECT r.id, r.thread_id, r.assistant_id, r.status, r.metadata - 'owner', r.kwargs,
       r.multitask_strategy, coalesce(s.attempt, 0), coalesce(s.first_seq, 0), s.cancel_reason,
       s.error, r.created_at, r.updated_at
FROM langgraph_server.runs r
JOIN langgraph_server.threads t ON t.id = ANY (ARRAY[r.thread_id,
  holdfast.to_uuid(r.thread_id)::text, replace(r.thread_id, '-', '')])
LEFT JOIN holdfast.run_states s ON s.run_id = $1
WHERE r.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $2 AND $3;

-- name: run_page
SELECT r.id, r.thread_id, r.assistant_id, r.status, r.metadata - 'owner', r.kwargs,
       r.multitask_strategy, coalesce(s.attempt, 0), coalesce(s.first_seq, 0), s.cancel_reason,
       s.error, r.created_at, r.updated_at
FROM (SELECT * FROM langgraph_server.runs WHERE thread_id = $1::uuid::text
      UNION ALL
      SELECT * FROM langgraph_server.runs
      WHERE thread_id = replace($1::uuid::text, '-', '')) r
LEFT JOIN holdfast.run_states s ON s.run_id = holdfast.to_uuid(r.id)
WHERE r.status COLLATE "C" >= $2 AND r.status COLLATE "C" <= $3
ORDER BY r.created_at DESC LIMIT $4 OFFSET $5;

-- name: run_thread_visible
-- together: uuid text text
SELECT 1 FROM langgraph_server.threads
WHERE id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND (coalesce(metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $2 AND $3;

-- name: run_context
-- together: uuid uuid text text timestamptz uuid
-- $1 assistant, $2 thread, $3 and $4 bounds of the owner, $5 and $6 time and id of a run: are there
-- live ones before it? The last three columns: the owner's preferences, those of the thread, and the
-- first time at which one of these is over.
SELECT a.id, coalesce(a.metadata ->> 'owner', ''), a.graph_id, coalesce(a.name, a.graph_id),
       a.description, a.config, a.context, a.metadata - 'owner', a.version, a.created_at,
       a.updated_at,
       @thread_columns, h.run_id,
       EXISTS (SELECT 1 FROM holdfast.run_states r
               WHERE r.thread_id = $2 AND r.live AND (r.created_at, r.run_id) < ($5, $6)),
       h.checkpoint_id,
       (SELECT jsonb_object_agg(p.key, p.value) FROM holdfast.preferences p WHERE p.user_id = $3),
       o.set, o.until
FROM (SELECT 1) one
LEFT JOIN langgraph_server.assistants a
  ON a.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND ((coalesce(a.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $3 AND $4
       OR (coalesce(a.metadata ->> 'owner', '') = '' AND a.metadata @> '{"created_by":"system"}')
       OR a.metadata ->> 'owner' = 'system')
LEFT JOIN langgraph_server.threads t
  ON t.id IN ($2::uuid::text, replace($2::uuid::text, '-', ''))
  AND (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $3 AND $4
LEFT JOIN holdfast.thread_heads h ON h.thread_id = $2
LEFT JOIN LATERAL (SELECT jsonb_object_agg(v.key, v.value) AS set, min(v.expires_at) AS until
                   FROM holdfast.preference_overrides v
                   WHERE v.thread_id = $2 AND v.user_id = $3 AND v.expires_at > $5) o ON true;

-- name: run_insert
-- $1 id, $2 thread, $3 assistant, $4 status, $5 metadata, $6 kwargs, $7 strategy, $8 attempt, $9 now,
-- $10 worker
WITH state AS (
  INSERT INTO holdfast.run_states (run_id, thread_id, created_at, status, live, attempt, first_seq,
                                   worker)
  SELECT $1, $2, $9, $4, $4 IN ('pending', 'running'), $8,
         coalesce((SELECT seq FROM holdfast.thread_heads WHERE thread_id = $2), 0), $10
)
INSERT INTO langgraph_server.runs (id, thread_id, assistant_id, status, metadata, kwargs,
                                   multitask_strategy, created_at, updated_at)
SELECT $1::uuid::text, t.id,
       coalesce((SELECT a.id FROM langgraph_server.assistants a
                 WHERE a.id IN ($3::uuid::text, replace($3::uuid::text, '-', ''))),
                $3::uuid::text),
       $4, CASE WHEN t.metadata ? 'owner'
           THEN $5::jsonb || jsonb_build_object('owner', t.metadata -> 'owner')
           ELSE $5::jsonb - 'owner' END,
       $6::jsonb, $7, $9, $9
FROM langgraph_server.threads t
WHERE t.id IN ($2::uuid::text, replace($2::uuid::text, '-', ''));

-- arrays: run_insert 1 2
WITH args AS (
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::jsonb[], $6::jsonb[],
                       $7::text[], $8::int8[], $9::timestamptz[], $10::uuid[])
    AS a(run, thread, assistant, status, metadata, kwargs, strategy, attempt, now, worker)
), state AS (
  INSERT INTO holdfast.run_states (run_id, thread_id, created_at, status, live, attempt, first_seq,
                                   worker)
  SELECT a.run, a.thread, a.now, a.status, a.status IN ('pending', 'running'), a.attempt,
         coalesce((SELECT h.seq FROM holdfast.thread_heads h WHERE h.thread_id = a.thread), 0),
         a.worker
  FROM args a
)
INSERT INTO langgraph_server.runs (id, thread_id, assistant_id, status, metadata, kwargs,
                                   multitask_strategy, created_at, updated_at)
SELECT a.run::text, t.id,
       coalesce((SELECT s.id FROM langgraph_server.assistants s
                 WHERE s.id IN (a.assistant::text, replace(a.assistant::text, '-', ''))),
                a.assistant::text),
       a.status, CASE WHEN t.metadata ? 'owner'
                 THEN a.metadata || jsonb_build_object('owner', t.metadata -> 'owner')
                 ELSE a.metadata - 'owner' END,
       a.kwargs, a.strategy, a.now, a.now
FROM args a
CROSS JOIN LATERAL (SELECT id, metadata FROM langgraph_server.threads
                    WHERE id IN (a.thread::text, replace(a.thread::text, '-', '')) LIMIT 2) t;

-- name: run_first
-- only: postgres
-- A new thread and its first run, which begins at once: what thread_insert, run_insert and thread_begin
-- leave, each row written once. The head is the first, for it clears what another runtime has left of
-- such a thread. $1 thread, $2 owner, $3 metadata, $4 config, $5 now, $6 and $7 what ends it, and when,
-- $8 run, $9 assistant, $10 its metadata, $11 kwargs, $12 strategy, $13 attempt, $14 its time,
-- $15 worker, $16 entries, $17 checkpoint
WITH state AS (
  INSERT INTO holdfast.run_states (run_id, thread_id, created_at, status, live, attempt, first_seq,
                                   worker)
  VALUES ($8, $1, $14, 'running', true, $13, 0, $15)
), thread AS (
  INSERT INTO langgraph_server.threads (id, metadata, config, status, interrupts, created_at,
                                        updated_at)
  SELECT CASE WHEN EXISTS (SELECT 1 FROM langgraph_server.threads
                           WHERE id = replace($1::uuid::text, '-', ''))
         THEN holdfast.other_spelling() ELSE $1::uuid::text END,
         CASE WHEN $2::text = '' THEN $3::jsonb - 'owner'
         ELSE $3::jsonb || jsonb_build_object('owner', $2::text) END,
         $4::jsonb, 'busy', '{}', $5, $5
), run AS (
  INSERT INTO langgraph_server.runs (id, thread_id, assistant_id, status, metadata, kwargs,
                                     multitask_strategy, created_at, updated_at)
  SELECT $8::uuid::text, $1::uuid::text,
         coalesce((SELECT a.id FROM langgraph_server.assistants a
                   WHERE a.id IN ($9::uuid::text, replace($9::uuid::text, '-', ''))),
                  $9::uuid::text),
         'running', CASE WHEN $2::text = '' THEN $10::jsonb - 'owner'
                    ELSE $10::jsonb || jsonb_build_object('owner', $2::text) END,
         $11::jsonb, $12, $14, $14
)
INSERT INTO holdfast.thread_heads (thread_id, seq, checkpoint_id, run_id, attempt, worker,
                                   state_updated_at, ttl_strategy, ttl_us, ttl_check_at)
SELECT $1, $16, $17, $8, $13, $15, $5, $6::text, $7::int8,
       $5::timestamptz + $7::int8 * interval '1 microsecond'
WHERE CASE WHEN EXISTS (SELECT 1 FROM holdfast.thread_heads WHERE thread_id = $1)
      THEN holdfast.thread_clear($1) ELSE true END
RETURNING seq;

-- arrays: run_first 1 8
WITH args AS (
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::jsonb[], $5::timestamptz[],
                       $6::text[], $7::int8[], $8::uuid[], $9::uuid[], $10::jsonb[], $11::jsonb[],
                       $12::text[], $13::int8[], $14::timestamptz[], $15::uuid[], $16::int8[],
                       $17::uuid[]) WITH ORDINALITY
    AS a(thread, owner, metadata, config, now, ends, ttl, run, assistant, run_metadata, kwargs,
         strategy, attempt, at, worker, entries, checkpoint, number)
), head AS (
  INSERT INTO holdfast.thread_heads (thread_id, seq, checkpoint_id, run_id, attempt, worker,
                                     state_updated_at, ttl_strategy, ttl_us, ttl_check_at)
  SELECT a.thread, a.entries, a.checkpoint, a.run, a.attempt, a.worker, a.now, a.ends, a.ttl,
         a.now + a.ttl * interval '1 microsecond'
  FROM args a
  WHERE @thread_cleared
  RETURNING thread_id, seq
), state AS (
  INSERT INTO holdfast.run_states (run_id, thread_id, created_at, status, live, attempt, first_seq,
                                   worker)
  SELECT a.run, a.thread, a.at, 'running', true, a.attempt, 0, a.worker FROM args a
), thread AS (
  INSERT INTO langgraph_server.threads (id, metadata, config, status, interrupts, created_at,
                                        updated_at)
  SELECT @thread_values 'busy', '{}', a.now, a.now
  FROM args a
), run AS (
  INSERT INTO langgraph_server.runs (id, thread_id, assistant_id, status, metadata, kwargs,
                                     multitask_strategy, created_at, updated_at)
  SELECT a.run::text, a.thread::text,
         coalesce((SELECT s.id FROM langgraph_server.assistants s
                   WHERE s.id IN (a.assistant::text, replace(a.assistant::text, '-', ''))),
                  a.assistant::text),
         'running', CASE WHEN a.owner = '' THEN a.run_metadata - 'owner'
                    ELSE a.run_metadata || jsonb_build_object('owner', a.owner) END,
         a.kwargs, a.strategy, a.at, a.at
  FROM args a
)
SELECT a.number, h.seq FROM args a JOIN head h ON h.thread_id = a.thread;

-- name: run_claim
-- $1 id, $2 attempt, $3 the attempt that begins, $4 now, $5 worker
-- A running run is claimed when its worker died: it was given to this one meanwhile.
WITH state AS (
  UPDATE holdfast.run_states s SET
    status = 'running', attempt = $3,
    first_seq = CASE WHEN $2 = 0
                THEN coalesce((SELECT h.seq FROM holdfast.thread_heads h
                               WHERE h.thread_id = s.thread_id), s.first_seq)
                ELSE s.first_seq END
  WHERE run_id = $1 AND attempt = $2 AND worker = $5 AND live
  RETURNING 1
), mirror AS (
  UPDATE langgraph_server.runs SET status = 'running', updated_at = $4 FROM state
  WHERE id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
)
SELECT FROM state;

-- name: run_finish
-- $1 id, $2 attempt, $3 status, $4 error, $5 reason, $6 now
WITH state AS (
  UPDATE holdfast.run_states SET
    status = $3, live = false, error = $4, cancel_reason = coalesce($5, cancel_reason),
    cancel_action = NULL
  WHERE run_id = $1 AND attempt = $2 AND live
  RETURNING 1
), mirror AS (
  UPDATE langgraph_server.runs SET status = $3, updated_at = $6 FROM state
  WHERE id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
)
SELECT FROM state;

-- arrays: run_finish
-- The live states are not looked through by their index.
WITH state AS (
  UPDATE holdfast.run_states s SET
    status = a.status, live = false, error = a.error,
    cancel_reason = coalesce(a.reason, s.cancel_reason), cancel_action = NULL
  FROM unnest($1::uuid[], $2::int8[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    WITH ORDINALITY AS a(run, attempt, status, error, reason, now, number)
  WHERE s.run_id = ANY (ARRAY[a.run]) AND s.attempt = a.attempt
    AND coalesce(s.live, false)
  RETURNING a.number, a.run, a.status, a.now
), mirror AS (
  UPDATE langgraph_server.runs r SET status = s.status, updated_at = s.now FROM state s
  WHERE r.id IN (s.run::text, replace(s.run::text, '-', ''))
)
SELECT number FROM state;

-- name: run_still
-- Holds a run as it was read, against whoever claims or ends it. $1 id, $2 attempt, $3 status
SELECT FROM holdfast.run_states
WHERE run_id = $1 AND attempt = $2 AND status = $3 FOR NO KEY UPDATE;

-- name: run_hand_back
-- Only who has begun the attempt: one that adopted the run and did not claim it yet gives back what
-- another worker has spent. $1 id, $2 attempt, $3 now, $4 worker, $5 thread
WITH state AS (
  UPDATE holdfast.run_states SET status = 'pending', attempt = -attempt, worker = NULL
  WHERE run_id = $1 AND attempt = $2 AND worker = $4 AND status = 'running'
    AND EXISTS (SELECT 1 FROM holdfast.thread_heads h
                WHERE h.thread_id = $5 AND h.run_id = $1 AND h.attempt = $2 AND h.worker = $4)
  RETURNING 1
), mirror AS (
  UPDATE langgraph_server.runs SET status = 'pending', updated_at = $3 FROM state
  WHERE id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
)
SELECT FROM state;

-- name: thread_hand_back
-- $1 thread, $2 run, $3 attempt, $4 worker
UPDATE holdfast.thread_heads SET run_id = NULL, attempt = NULL, worker = NULL
WHERE thread_id = $1 AND run_id = $2 AND attempt = $3 AND worker = $4;

-- name: run_place
-- together: uuid
-- Where a run is. $1 id
SELECT r.thread_id, r.status, coalesce(s.attempt, 0), s.worker, s.cancel_action, s.cancel_reason,
       s.error, coalesce(h.seq, 0), h.run_id
FROM langgraph_server.runs r
LEFT JOIN holdfast.run_states s ON s.run_id = $1
LEFT JOIN holdfast.thread_heads h
  ON h.thread_id = coalesce(s.thread_id, holdfast.to_uuid(r.thread_id))
WHERE r.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''));

-- name: run_ask_cancel
-- The first wish stands, but a rollback is more than an interrupt. $1 id, $2 action, $3 reason, $4 now
WITH state AS (
  UPDATE holdfast.run_states SET
    cancel_reason = coalesce($3, cancel_reason),
    cancel_action = CASE cancel_action WHEN 'rollback' THEN 'rollback' ELSE $2 END
  WHERE run_id = $1 AND live
  RETURNING 1
), mirror AS (
  UPDATE langgraph_server.runs SET updated_at = $4 FROM state
  WHERE id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
)
SELECT FROM state;

-- name: run_asked_cancels
-- $1 worker, $2 limit
SELECT run_id, cancel_action, cancel_reason FROM holdfast.run_states
WHERE worker = $1 AND live AND cancel_action IS NOT NULL LIMIT $2;

-- name: run_live_ids
-- point
-- Of a thread, newest first. $1 thread, $2 limit
SELECT run_id FROM holdfast.run_states
WHERE thread_id = $1 AND live ORDER BY created_at DESC LIMIT $2;

-- name: run_adopt
-- unused: 2
-- Runs of workers that are gone, oldest first. $1 worker, $3 limit
UPDATE holdfast.run_states SET worker = $1
WHERE run_id IN (SELECT r.run_id FROM holdfast.run_states r
                 WHERE r.live
                   AND (r.worker IS NULL
                        OR NOT EXISTS (SELECT 1 FROM holdfast.workers w
                                       WHERE w.id = r.worker
                                         AND (w.expires_at > clock_timestamp() OR w.id = $1)))
                 ORDER BY r.created_at LIMIT $3 FOR NO KEY UPDATE OF r SKIP LOCKED)
  AND @unused;

-- name: run_page_mine
-- What a worker has to execute. $1 worker, $2 after this id, $3 limit
SELECT r.id, r.thread_id, r.assistant_id, s.status, r.metadata - 'owner', r.kwargs,
       r.multitask_strategy, s.attempt, s.first_seq, s.cancel_reason, s.error, r.created_at,
       r.updated_at
FROM holdfast.run_states s
JOIN langgraph_server.runs r ON r.id = ANY (holdfast.spellings(s.run_id))
WHERE s.worker = $1 AND s.live AND s.run_id > $2
ORDER BY s.run_id LIMIT $3;

-- name: run_delete
WITH state AS (DELETE FROM holdfast.run_states WHERE run_id = $2)
DELETE FROM langgraph_server.runs
WHERE id IN ($2::uuid::text, replace($2::uuid::text, '-', ''))
  AND thread_id IN ($1::uuid::text, replace($1::uuid::text, '-', ''));

-- name: run_delete_events
DELETE FROM holdfast.events WHERE thread_id = $1 AND run_id = $2;

-- Each of these moves the thread's log counter on by as many entries as the batch appends, too.

-- shared: heads_of_turn
-- Heads as runs take them, each when no live one stands before it.
INSERT INTO holdfast.thread_heads AS h (thread_id, seq, checkpoint_id, run_id, attempt, worker,
                                          state_updated_at)
  SELECT a.thread, a.entries, a.checkpoint, a.run, a.attempt, a.worker, a.now
  FROM args a
  WHERE NOT EXISTS (SELECT 1 FROM holdfast.run_states r
                    WHERE r.thread_id = a.thread AND r.live
                      AND (r.created_at, r.run_id) < (a.at, a.run)
                    OFFSET 0) -- of this thread, never of all

-- shared: head_taken
seq = h.seq + excluded.seq, checkpoint_id = coalesce(excluded.checkpoint_id, h.checkpoint_id),
    state_updated_at = CASE WHEN excluded.checkpoint_id IS NULL THEN h.state_updated_at
                       ELSE excluded.state_updated_at END,
    run_id = excluded.run_id, attempt = excluded.attempt, worker = excluded.worker
  WHERE (h.run_id IS NULL OR h.run_id = excluded.run_id)

-- name: thread_begin
-- unused: 3
-- A run takes the thread, when no other has it and none waits before it; or it has it already, from
-- an attempt that was cut off.
-- $2 is NULL when the metadata stays, $8 and $9 what is put under and over it; $4 now, $5
-- checkpoint, $6 entries, $7 config, $10 run, $11 attempt, $12 worker, $13 time of the run, $14 the
-- checkpoint from which it begins: if the head names another one by now, the run was prepared from a
-- state that is no longer the newest
WITH head AS (
  INSERT INTO holdfast.thread_heads AS h (thread_id, seq, checkpoint_id, run_id, attempt, worker,
                                          state_updated_at)
  SELECT $1, $6, $5, $10, $11, $12, $4
  WHERE NOT EXISTS (SELECT 1 FROM holdfast.run_states r
                    WHERE r.thread_id = $1 AND r.live AND (r.created_at, r.run_id) < ($13, $10))
     OR EXISTS (SELECT 1 FROM holdfast.thread_heads o WHERE o.thread_id = $1 AND o.run_id = $10)
  ON CONFLICT (thread_id) DO UPDATE SET
    @head_taken
    AND h.checkpoint_id IS NOT DISTINCT FROM $14::uuid
  RETURNING seq
)
UPDATE langgraph_server.threads t SET
  status = 'busy', config = coalesce($7::jsonb, t.config), updated_at = $4,
  metadata = CASE WHEN $2::text IS NULL THEN t.metadata
             ELSE coalesce($8::jsonb - 'owner', '{}') || t.metadata
                  || coalesce($9::jsonb - 'owner', '{}') END
FROM head
WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', '')) AND @unused
RETURNING head.seq;

-- arrays: thread_begin 1 10
WITH args AS (
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::uuid[],
                       $6::int8[], $7::jsonb[], $8::jsonb[], $9::jsonb[], $10::uuid[], $11::int8[],
                       $12::uuid[], $13::timestamptz[], $14::uuid[]) WITH ORDINALITY
    AS a(thread, read, metadata, now, checkpoint, entries, config, under, over, run, attempt, worker,
         at, origin, number)
), head AS (
  @heads_of_turn
     OR EXISTS (SELECT 1 FROM holdfast.thread_heads o
                WHERE o.thread_id = a.thread AND o.run_id = a.run OFFSET 0)
  ON CONFLICT (thread_id) DO UPDATE SET
    @head_taken
    AND h.checkpoint_id IS NOT DISTINCT FROM
        (SELECT a.origin FROM args a WHERE a.thread = excluded.thread_id)
  RETURNING thread_id, seq
)
UPDATE langgraph_server.threads t SET
  status = 'busy', config = coalesce(a.config, t.config), updated_at = a.now,
  metadata = CASE WHEN a.read IS NULL THEN t.metadata
             ELSE coalesce(a.under - 'owner', '{}') || t.metadata
                  || coalesce(a.over - 'owner', '{}') END
FROM head h JOIN args a ON a.thread = h.thread_id
WHERE t.id IN (a.thread::text, replace(a.thread::text, '-', ''))
RETURNING a.number, h.seq;

-- name: run_begin
-- only: postgres
-- A new run takes its thread at once: run_insert and thread_begin in one, under the same conditions.
-- $1 thread, $2 now, $3 checkpoint, $4 entries, $5 config, $6 under and $7 over the metadata, $8 run,
-- $9 attempt, $10 worker, $11 time of the run, $12 the checkpoint from which it begins,
-- $13 assistant, $14 metadata of the run, $15 kwargs, $16 strategy
WITH head AS (
  INSERT INTO holdfast.thread_heads AS h (thread_id, seq, checkpoint_id, run_id, attempt, worker,
                                          state_updated_at)
  SELECT $1, $4, $3, $8, $9, $10, $2
  WHERE NOT EXISTS (SELECT 1 FROM holdfast.run_states r
                    WHERE r.thread_id = $1 AND r.live AND (r.created_at, r.run_id) < ($11, $8))
  ON CONFLICT (thread_id) DO UPDATE SET
    @head_taken
    AND h.checkpoint_id IS NOT DISTINCT FROM $12::uuid
  RETURNING seq
), thread AS (
  UPDATE langgraph_server.threads t SET
    status = 'busy', config = coalesce($5::jsonb, t.config), updated_at = $2,
    metadata = coalesce($6::jsonb - 'owner', '{}') || t.metadata
               || coalesce($7::jsonb - 'owner', '{}')
  FROM head
  WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  RETURNING t.id, t.metadata -> 'owner' AS owner, head.seq
), state AS (
  INSERT INTO holdfast.run_states (run_id, thread_id, created_at, status, live, attempt, first_seq,
                                   worker)
  SELECT $8, $1, $11, 'running', true, $9, t.seq - $4, $10 FROM thread t
), run AS (
  INSERT INTO langgraph_server.runs (id, thread_id, assistant_id, status, metadata, kwargs,
                                     multitask_strategy, created_at, updated_at)
  SELECT $8::uuid::text, t.id,
         coalesce((SELECT a.id FROM langgraph_server.assistants a
                   WHERE a.id IN ($13::uuid::text, replace($13::uuid::text, '-', ''))),
                  $13::uuid::text),
         'running',
         CASE WHEN t.owner IS NULL THEN $14::jsonb - 'owner'
         ELSE $14::jsonb || jsonb_build_object('owner', t.owner) END,
         $15::jsonb, $16, $11, $11
  FROM thread t
)
SELECT seq FROM thread;

-- arrays: run_begin 1 8
WITH args AS (
  SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::int8[], $5::jsonb[],
                       $6::jsonb[], $7::jsonb[], $8::uuid[], $9::int8[], $10::uuid[],
                       $11::timestamptz[], $12::uuid[], $13::uuid[], $14::jsonb[], $15::jsonb[],
                       $16::text[]) WITH ORDINALITY
    AS a(thread, now, checkpoint, entries, config, under, over, run, attempt, worker, at, origin,
         assistant, metadata, kwargs, strategy, number)
), head AS (
  @heads_of_turn
  ON CONFLICT (thread_id) DO UPDATE SET
    @head_taken
    AND h.checkpoint_id IS NOT DISTINCT FROM
        (SELECT a.origin FROM args a WHERE a.thread = excluded.thread_id)
  RETURNING thread_id, seq
), thread AS (
  UPDATE langgraph_server.threads t SET
    status = 'busy', config = coalesce(a.config, t.config), updated_at = a.now,
    metadata = coalesce(a.under - 'owner', '{}') || t.metadata || coalesce(a.over - 'owner', '{}')
  FROM head h JOIN args a ON a.thread = h.thread_id
  WHERE t.id IN (a.thread::text, replace(a.thread::text, '-', ''))
  RETURNING a.number, t.id, t.metadata -> 'owner' AS owner, h.seq
), state AS (
  INSERT INTO holdfast.run_states (run_id, thread_id, created_at, status, live, attempt, first_seq,
                                   worker)
  SELECT a.run, a.thread, a.at, 'running', true, a.attempt, t.seq - a.entries, a.worker
  FROM thread t JOIN args a ON a.number = t.number
), run AS (
  INSERT INTO langgraph_server.runs (id, thread_id, assistant_id, status, metadata, kwargs,
                                     multitask_strategy, created_at, updated_at)
  SELECT a.run::text, t.id,
         coalesce((SELECT s.id FROM langgraph_server.assistants s
                   WHERE s.id IN (a.assistant::text, replace(a.assistant::text, '-', ''))),
                  a.assistant::text),
         'running',
         CASE WHEN t.owner IS NULL THEN a.metadata - 'owner'
         ELSE a.metadata || jsonb_build_object('owner', t.owner) END,
         a.kwargs, a.strategy, a.at, a.at
  FROM thread t JOIN args a ON a.number = t.number
)
SELECT number, seq FROM thread;

-- name: thread_queue
-- unused: 2 3
-- A run waits for the thread. $4 now, $5 entries, $6 config, $7 under, $8 over the metadata
WITH head AS (
  INSERT INTO holdfast.thread_heads AS h (thread_id, seq, state_updated_at) VALUES ($1, $5, $4)
  ON CONFLICT (thread_id) DO UPDATE SET seq = h.seq + excluded.seq
  RETURNING seq
)
UPDATE langgraph_server.threads t SET
  status = 'busy', config = coalesce($6::jsonb, t.config), updated_at = $4,
  metadata = coalesce($7::jsonb - 'owner', '{}') || t.metadata
             || coalesce($8::jsonb - 'owner', '{}')
FROM head
WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', '')) AND @unused
RETURNING head.seq;

-- name: thread_settle
-- The run that has the thread leaves it. $1 thread, $2 status, $3 interrupts, $4 error,
-- $5 checkpoint, $6 now, $7 entries, $8 run, $9 attempt, $10 worker
WITH head AS (
  UPDATE holdfast.thread_heads SET
    error = $4, checkpoint_id = coalesce($5, checkpoint_id), seq = seq + $7,
    state_updated_at = CASE WHEN $5::uuid IS NULL THEN state_updated_at ELSE $6 END,
    run_id = NULL, attempt = NULL, worker = NULL
  WHERE thread_id = $1 AND run_id = $8 AND attempt = $9 AND worker = $10
  RETURNING seq
), thread AS (
  UPDATE langgraph_server.threads t SET
    status = CASE WHEN holdfast.thread_has_live_runs($1) THEN 'busy' ELSE $2 END,
    interrupts = $3::jsonb, updated_at = $6
  FROM head
  WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
)
SELECT seq FROM head;

-- arrays: thread_settle 1 8
WITH head AS (
  UPDATE holdfast.thread_heads h SET
    error = a.error, checkpoint_id = coalesce(a.checkpoint, h.checkpoint_id),
    seq = h.seq + a.entries,
    state_updated_at = CASE WHEN a.checkpoint IS NULL THEN h.state_updated_at ELSE a.now END,
    run_id = NULL, attempt = NULL, worker = NULL
  FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::text[], $5::uuid[], $6::timestamptz[],
              $7::int8[], $8::uuid[], $9::int8[], $10::uuid[]) WITH ORDINALITY
    AS a(thread, status, interrupts, error, checkpoint, now, entries, run, attempt, worker, number)
  WHERE h.thread_id = ANY (ARRAY[a.thread]) AND h.run_id = a.run
    AND h.attempt = a.attempt AND h.worker = a.worker
  RETURNING a.number, a.thread, a.status, a.interrupts, a.now, h.seq
), thread AS (
  UPDATE langgraph_server.threads t SET
    status = CASE WHEN holdfast.thread_has_live_runs(h.thread) THEN 'busy' ELSE h.status END,
    interrupts = h.interrupts, updated_at = h.now
  FROM head h
  WHERE t.id IN (h.thread::text, replace(h.thread::text, '-', ''))
)
SELECT number, seq FROM head;

-- name: run_settle
-- only: postgres
-- A run ends and leaves its thread: run_finish and thread_settle in one. $1 to $10 as the latter's,
-- $11 status of the run, $12 its error, $13 reason. The head waits for the state, the thread for the
-- head: the function sees the run that is over.
WITH state AS (
  UPDATE holdfast.run_states SET
    status = $11, live = false, error = $12, cancel_reason = coalesce($13, cancel_reason),
    cancel_action = NULL
  WHERE run_id = $8 AND attempt = $9 AND live
  RETURNING 1
), head AS (
  UPDATE holdfast.thread_heads h SET
    error = $4, checkpoint_id = coalesce($5, h.checkpoint_id), seq = h.seq + $7,
    state_updated_at = CASE WHEN $5::uuid IS NULL THEN h.state_updated_at ELSE $6 END,
    run_id = NULL, attempt = NULL, worker = NULL
  FROM state
  WHERE h.thread_id = $1 AND h.run_id = $8 AND h.attempt = $9 AND h.worker = $10
  RETURNING h.seq
), thread AS (
  UPDATE langgraph_server.threads t SET
    status = CASE WHEN holdfast.thread_has_live_runs($1) THEN 'busy' ELSE $2 END,
    interrupts = $3::jsonb, updated_at = $6
  FROM head
  WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
), mirror AS (
  UPDATE langgraph_server.runs r SET status = $11, updated_at = $6 FROM head
  WHERE r.id IN ($8::uuid::text, replace($8::uuid::text, '-', ''))
)
SELECT seq FROM head;

-- arrays: run_settle 1 8
WITH args AS (
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::text[], $5::uuid[],
                       $6::timestamptz[], $7::int8[], $8::uuid[], $9::int8[], $10::uuid[],
                       $11::text[], $12::text[], $13::text[]) WITH ORDINALITY
    AS a(thread, otherwise, interrupts, error, checkpoint, now, entries, run, attempt, worker,
         status, run_error, reason, number)
), state AS (
  UPDATE holdfast.run_states s SET
    status = a.status, live = false, error = a.run_error,
    cancel_reason = coalesce(a.reason, s.cancel_reason), cancel_action = NULL
  FROM args a
  WHERE s.run_id = ANY (ARRAY[a.run]) AND s.attempt = a.attempt AND coalesce(s.live, false)
  RETURNING a.number
), head AS (
  UPDATE holdfast.thread_heads h SET
    error = a.error, checkpoint_id = coalesce(a.checkpoint, h.checkpoint_id),
    seq = h.seq + a.entries,
    state_updated_at = CASE WHEN a.checkpoint IS NULL THEN h.state_updated_at ELSE a.now END,
    run_id = NULL, attempt = NULL, worker = NULL
  FROM state s JOIN args a ON a.number = s.number
  WHERE h.thread_id = ANY (ARRAY[a.thread]) AND h.run_id = a.run
    AND h.attempt = a.attempt AND h.worker = a.worker
  RETURNING a.number, h.seq
), thread AS (
  UPDATE langgraph_server.threads t SET
    status = CASE WHEN holdfast.thread_has_live_runs(a.thread) THEN 'busy' ELSE a.otherwise END,
    interrupts = a.interrupts, updated_at = a.now
  FROM head h JOIN args a ON a.number = h.number
  WHERE t.id IN (a.thread::text, replace(a.thread::text, '-', ''))
), mirror AS (
  UPDATE langgraph_server.runs r SET status = a.status, updated_at = a.now
  FROM head h JOIN args a ON a.number = h.number
  WHERE r.id IN (a.run::text, replace(a.run::text, '-', ''))
)
SELECT number, seq FROM head;

-- name: thread_leave
-- A run that waited goes, also one that waited for its next attempt: the thread is again what it was,
-- unless what it asked is void. $1 thread, $2 run, $3 now, $4 entries, $5 void: 1
WITH head AS (
  UPDATE holdfast.thread_heads SET
    attempt = CASE WHEN run_id = $2 THEN NULL ELSE attempt END,
    worker = CASE WHEN run_id = $2 THEN NULL ELSE worker END,
    run_id = CASE WHEN run_id = $2 THEN NULL ELSE run_id END,
    seq = seq + $4
  WHERE thread_id = $1
  RETURNING seq, error
), thread AS (
  UPDATE langgraph_server.threads t SET
    status = CASE WHEN holdfast.thread_has_live_runs($1) THEN 'busy'
                  WHEN head.error IS NOT NULL THEN 'error'
                  WHEN $5::int8 = 0 AND t.interrupts <> '{}'::jsonb THEN 'interrupted'
                  ELSE 'idle' END,
    interrupts = CASE WHEN $5::int8 = 0 THEN t.interrupts ELSE '{}'::jsonb END,
    updated_at = $3
  FROM head
  WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
)
SELECT seq FROM head;

-- name: thread_update_state
-- A state that no run made: only while none is live, and the thread has not moved on, nor back (a
-- run that began and was rolled back leaves its end in the log). $1 thread, $2 checkpoint as it was
-- read, $3 the new one (NULL: of a subgraph), $4 status, $5 now, $6 end of the log as it was read
WITH head AS (
  INSERT INTO holdfast.thread_heads AS h (thread_id, seq, checkpoint_id, state_updated_at)
  SELECT $1, 0, $3, $5
  WHERE NOT EXISTS (SELECT 1 FROM holdfast.run_states r WHERE r.thread_id = $1 AND r.live)
  ON CONFLICT (thread_id) DO UPDATE SET
    checkpoint_id = coalesce(excluded.checkpoint_id, h.checkpoint_id),
    state_updated_at = excluded.state_updated_at,
    error = CASE WHEN excluded.checkpoint_id IS NULL THEN h.error END
  WHERE h.run_id IS NULL AND (h.checkpoint_id IS NULL OR h.checkpoint_id <= $2::uuid)
    AND h.seq = $6
  RETURNING h.thread_id
)
UPDATE langgraph_server.threads t SET
  updated_at = $5, status = CASE WHEN $3::uuid IS NULL THEN t.status ELSE $4 END,
  interrupts = CASE WHEN $3::uuid IS NULL THEN t.interrupts ELSE '{}' END
FROM head
WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''));

-- name: thread_checkpoint
-- $1 thread, $2 checkpoint, $3 now, $4 entries, $5 run, $6 attempt, $7 worker
UPDATE holdfast.thread_heads SET checkpoint_id = $2, state_updated_at = $3, seq = seq + $4
WHERE thread_id = $1 AND run_id = $5 AND attempt = $6 AND worker = $7 RETURNING seq;

-- name: thread_hold
-- Does the run still have the thread? $1 thread, $2 run, $3 attempt, $4 worker
SELECT FROM holdfast.thread_heads
WHERE thread_id = $1 AND run_id = $2 AND attempt = $3 AND worker = $4 FOR NO KEY UPDATE;

-- arrays: thread_hold 1 2
SELECT a.number
FROM unnest($1::uuid[], $2::uuid[], $3::int8[], $4::uuid[]) WITH ORDINALITY
  AS a(thread, run, attempt, worker, number)
JOIN holdfast.thread_heads h
  ON h.thread_id = ANY (ARRAY[a.thread]) AND h.run_id = a.run AND h.attempt = a.attempt
  AND h.worker = a.worker
FOR NO KEY UPDATE OF h;

-- name: run_live_page
-- $1 and $2 bounds of the owner, $3 and $4 of the status, $5 after this id, $6 limit
SELECT s.run_id FROM holdfast.run_states s
JOIN langgraph_server.threads t ON t.id = ANY (holdfast.spellings(s.thread_id))
WHERE s.live AND s.status >= $3 AND s.status <= $4 AND s.run_id > $5
  AND (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $1 AND $2
ORDER BY s.run_id LIMIT $6;

-- name: run_live_page_thread
-- The same of the thread $7.
SELECT s.run_id FROM holdfast.run_states s
JOIN langgraph_server.threads t ON t.id = ANY (holdfast.spellings(s.thread_id))
WHERE s.live AND s.status >= $3 AND s.status <= $4 AND s.run_id > $5 AND s.thread_id = $7
  AND (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $1 AND $2
ORDER BY s.run_id LIMIT $6;
