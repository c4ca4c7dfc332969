-- Runs, and the thread's side of their start and end. sql shared by src/store/runs.c.

-- name: run_get
-- point
SELECT r.id, r.thread_id, r.assistant_id, r.status, r.metadata, r.kwargs, r.multitask_strategy,
       r.attempt, r.first_seq, r.cancel_reason, r.error, r.created_at, r.updated_at
FROM runs r JOIN threads t ON t.id = r.thread_id
WHERE r.id = $1 AND t.owner BETWEEN $2 AND $3;

-- name: run_page
SELECT id, thread_id, assistant_id, status, metadata, kwargs, multitask_strategy,
       attempt, first_seq, cancel_reason, error, created_at, updated_at
FROM runs
WHERE thread_id = $1 AND status >= $2 AND status <= $3
ORDER BY created_at DESC LIMIT $4 OFFSET $5;

-- name: run_thread_visible
-- point
SELECT 1 FROM threads WHERE id = $1 AND owner BETWEEN $2 AND $3;

-- name: run_context
-- point
-- $1 assistant, $2 thread, $3 and $4 bounds of the owner, $5 and $6 time and id of a run: are there
-- live ones before it? The last three columns: the owner's preferences, those of the thread, and the
-- first time at which one of these is over.
SELECT a.id, a.owner, a.graph_id, a.name, a.description, a.config, a.context, a.metadata, a.version,
       a.created_at, a.updated_at,
       t.id, t.owner, t.status, t.metadata, t.config, t.interrupts, t.error, t.seq, t.checkpoint_id,
       t.created_at, t.updated_at, t.state_updated_at,
       t.run_id,
       EXISTS (SELECT 1 FROM runs r WHERE r.thread_id = t.id AND r.status IN ('pending', 'running')
                                      AND (r.created_at, r.id) < ($5, $6)),
       t.checkpoint_id,
       (SELECT json_group_object(p.key, json(p.value)) FROM preferences p WHERE p.user_id = $3),
       (SELECT json_group_object(v.key, json(v.value)) FROM preference_overrides v
        WHERE v.thread_id = $2 AND v.user_id = $3 AND v.expires_at > $5),
       (SELECT min(v.expires_at) FROM preference_overrides v
        WHERE v.thread_id = $2 AND v.user_id = $3 AND v.expires_at > $5)
FROM (SELECT 1)
LEFT JOIN assistants a ON a.id = $1
  AND (a.owner BETWEEN $3 AND $4
       OR (a.owner = '' AND hf_contains(a.metadata, '{"created_by":"system"}')))
LEFT JOIN threads t ON t.id = $2 AND t.owner BETWEEN $3 AND $4;

-- name: run_insert
-- $1 id, $2 thread, $3 assistant, $4 status, $5 metadata, $6 kwargs, $7 strategy, $8 attempt, $9 now,
-- $10 worker. Nothing, when the thread is gone: what changes the thread says so.
INSERT INTO runs (id, thread_id, assistant_id, status, metadata, kwargs, multitask_strategy,
                  attempt, first_seq, created_at, updated_at, worker)
SELECT $1, t.id, $3, $4, $5, $6, $7, $8, t.seq, $9, $9, $10 FROM threads t WHERE t.id = $2;

-- name: run_claim
-- $1 id, $2 attempt, $3 the attempt that begins, $4 now, $5 worker
-- A running run is claimed when its worker died: it was given to this one meanwhile.
UPDATE runs SET status = 'running', updated_at = $4, attempt = $3,
                first_seq = CASE $2 WHEN 0 THEN (SELECT seq FROM threads WHERE id = thread_id)
                            ELSE first_seq END
WHERE id = $1 AND attempt = $2 AND worker = $5 AND status IN ('pending', 'running');

-- name: run_finish
-- $1 id, $2 attempt, $3 status, $4 error, $5 reason, $6 now
UPDATE runs SET status = $3, error = $4, cancel_reason = coalesce($5, cancel_reason),
                cancel_action = NULL, updated_at = $6
WHERE id = $1 AND attempt = $2 AND status IN ('pending', 'running');

-- name: run_still
-- Holds a run as it was read, against whoever claims or ends it. $1 id, $2 attempt, $3 status
UPDATE runs SET attempt = attempt WHERE id = $1 AND attempt = $2 AND status = $3;

-- name: run_hand_back
-- Only who has begun the attempt: one that adopted the run and did not claim it yet gives back what
-- another worker has spent. $1 id, $2 attempt, $3 now, $4 worker, $5 thread
UPDATE runs SET status = 'pending', attempt = -attempt, worker = NULL, updated_at = $3
WHERE id = $1 AND attempt = $2 AND worker = $4 AND status = 'running'
  AND EXISTS (SELECT 1 FROM threads t
              WHERE t.id = $5 AND t.run_id = $1 AND t.attempt = $2 AND t.worker = $4);

-- name: thread_hand_back
-- $1 thread, $2 run, $3 attempt, $4 worker
UPDATE threads SET run_id = NULL, attempt = NULL, worker = NULL
WHERE id = $1 AND run_id = $2 AND attempt = $3 AND worker = $4;

-- name: run_place
-- Where a run is. $1 id
-- point
SELECT r.thread_id, r.status, r.attempt, r.worker, r.cancel_action, r.cancel_reason, r.error,
       t.seq, t.run_id
FROM runs r JOIN threads t ON t.id = r.thread_id
WHERE r.id = $1;

-- name: run_ask_cancel
-- The first wish stands, but a rollback is more than an interrupt. $1 id, $2 action, $3 reason, $4 now
UPDATE runs SET cancel_reason = coalesce($3, cancel_reason), updated_at = $4,
                cancel_action = CASE cancel_action WHEN 'rollback' THEN 'rollback' ELSE $2 END
WHERE id = $1 AND status IN ('pending', 'running');

-- name: run_asked_cancels
-- $1 worker, $2 limit
SELECT id, cancel_action, cancel_reason FROM runs
WHERE worker = $1 AND cancel_action IS NOT NULL AND status IN ('pending', 'running') LIMIT $2;

-- name: run_live_ids
-- Of a thread, newest first. $1 thread, $2 limit
SELECT id FROM runs
WHERE thread_id = $1 AND status IN ('pending', 'running')
ORDER BY created_at DESC LIMIT $2;

-- name: run_adopt
-- Runs of workers that are gone, oldest first. $1 worker, $2 now, $3 limit
UPDATE runs SET worker = $1
WHERE id IN (SELECT r.id FROM runs r
             WHERE r.status IN ('pending', 'running')
               AND (r.worker IS NULL
                    OR NOT EXISTS (SELECT 1 FROM workers w
                                   WHERE w.id = r.worker AND (w.expires_at > $2 OR w.id = $1)))
             ORDER BY r.created_at LIMIT $3);

-- name: run_page_mine
-- What a worker has to execute. $1 worker, $2 after this id, $3 limit
SELECT id, thread_id, assistant_id, status, metadata, kwargs, multitask_strategy,
       attempt, first_seq, cancel_reason, error, created_at, updated_at
FROM runs
WHERE status IN ('pending', 'running') AND worker = $1 AND id > $2
ORDER BY id LIMIT $3;

-- name: run_delete
DELETE FROM runs WHERE id = $2 AND thread_id = $1;

-- name: run_delete_events
DELETE FROM events WHERE thread_id = $1 AND run_id = $2;

-- Each of these moves the thread's log counter on by as many entries as the batch appends, too.

-- name: thread_begin
-- A run takes the thread, when no other has it and none waits before it; or it has it already, from
-- an attempt that was cut off.
-- $2 metadata as it was read, $3 what it became by merging, $8 and $9 what was put under and over
-- it; $7 config. A change of the metadata since it was read is kept.
-- $10 run, $11 attempt, $12 worker, $13 time of the run, $14 checkpoint from which it begins: if the
-- thread has another one by now, the run was prepared from a state that is no longer the newest
UPDATE threads SET
  status = 'busy', config = coalesce($7, config), updated_at = $4,
  metadata = CASE WHEN $2 IS NULL THEN metadata WHEN metadata = $2 THEN $3
             ELSE hf_merge(hf_merge($8, metadata), $9) END,
  checkpoint_id = coalesce($5, checkpoint_id),
  state_updated_at = CASE WHEN $5 IS NULL THEN state_updated_at ELSE $4 END,
  seq = hf_returning(seq + $6), run_id = $10, attempt = $11, worker = $12
WHERE id = $1 AND checkpoint_id IS $14
  AND (run_id = $10
       OR (run_id IS NULL
           AND NOT EXISTS (SELECT 1 FROM runs r
                           WHERE r.thread_id = $1 AND r.status IN ('pending', 'running')
                             AND (r.created_at, r.id) < ($13, $10))));

-- name: thread_queue
-- A run waits for the thread. $1 to $4 as thread_begin, $5 entries, $6 config, $7 under, $8 over
UPDATE threads SET
  status = 'busy', config = coalesce($6, config), updated_at = $4,
  metadata = CASE WHEN metadata = $2 THEN $3 ELSE hf_merge(hf_merge($7, metadata), $8) END,
  seq = hf_returning(seq + $5)
WHERE id = $1;

-- name: thread_settle
-- The run that has the thread leaves it. $8 run, $9 attempt, $10 worker
UPDATE threads SET
  status = CASE WHEN EXISTS (SELECT 1 FROM runs WHERE thread_id = $1
                             AND status IN ('pending', 'running')) THEN 'busy' ELSE $2 END,
  interrupts = $3, error = $4, checkpoint_id = coalesce($5, checkpoint_id),
  updated_at = $6, state_updated_at = CASE WHEN $5 IS NULL THEN state_updated_at ELSE $6 END,
  seq = hf_returning(seq + $7), run_id = NULL, attempt = NULL, worker = NULL
WHERE id = $1 AND run_id = $8 AND attempt = $9 AND worker = $10;

-- name: thread_leave
-- A run that waited goes, also one that waited for its next attempt: the thread is again what it was,
-- unless what it asked is void. $1 thread, $2 run, $3 now, $4 entries, $5 void: 1
UPDATE threads SET
  status = CASE WHEN EXISTS (SELECT 1 FROM runs WHERE thread_id = $1
                             AND status IN ('pending', 'running')) THEN 'busy'
                WHEN error IS NOT NULL THEN 'error'
                WHEN $5 = 0 AND interrupts <> '{}' THEN 'interrupted' ELSE 'idle' END,
  interrupts = CASE WHEN $5 = 0 THEN interrupts ELSE '{}' END,
  attempt = CASE WHEN run_id = $2 THEN NULL ELSE attempt END,
  worker = CASE WHEN run_id = $2 THEN NULL ELSE worker END,
  run_id = CASE WHEN run_id = $2 THEN NULL ELSE run_id END,
  updated_at = $3, seq = hf_returning(seq + $4)
WHERE id = $1;

-- name: thread_update_state
-- A state that no run made: only while none is live, and the thread has not moved on, nor back (a
-- run that began and was rolled back leaves its end in the log). $1 thread, $2 checkpoint as it was
-- read, $3 the new one (NULL: of a subgraph), $4 status, $5 now, $6 end of the log as it was read
UPDATE threads SET
  checkpoint_id = coalesce($3, checkpoint_id), updated_at = $5, state_updated_at = $5,
  status = CASE WHEN $3 IS NULL THEN status ELSE $4 END,
  interrupts = CASE WHEN $3 IS NULL THEN interrupts ELSE '{}' END,
  error = CASE WHEN $3 IS NULL THEN error END
WHERE id = $1 AND run_id IS NULL AND (checkpoint_id IS NULL OR checkpoint_id <= $2) AND seq = $6
  AND NOT EXISTS (SELECT 1 FROM runs WHERE thread_id = $1 AND status IN ('pending', 'running'));

-- name: thread_checkpoint
-- $1 thread, $2 checkpoint, $3 now, $4 entries, $5 run, $6 attempt, $7 worker
UPDATE threads SET checkpoint_id = $2, state_updated_at = $3, seq = hf_returning(seq + $4)
WHERE id = $1 AND run_id = $5 AND attempt = $6 AND worker = $7;

-- name: thread_hold
-- Does the run still have the thread? $1 thread, $2 run, $3 attempt, $4 worker
UPDATE threads SET attempt = attempt
WHERE id = $1 AND run_id = $2 AND attempt = $3 AND worker = $4;

-- name: run_live_page
-- $1 and $2 bounds of the owner, $3 and $4 of the status, $5 after this id, $6 limit
SELECT r.id FROM runs r JOIN threads t ON t.id = r.thread_id
WHERE r.status IN ('pending', 'running') AND r.status >= $3 AND r.status <= $4 AND r.id > $5
  AND t.owner BETWEEN $1 AND $2
ORDER BY r.id LIMIT $6;

-- name: run_live_page_thread
-- The same of the thread $7.
SELECT r.id FROM runs r JOIN threads t ON t.id = r.thread_id
WHERE r.status IN ('pending', 'running') AND r.status >= $3 AND r.status <= $4 AND r.id > $5
  AND t.owner BETWEEN $1 AND $2 AND r.thread_id = $7
ORDER BY r.id LIMIT $6;
