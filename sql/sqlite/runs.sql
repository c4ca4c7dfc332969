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

-- name: run_page_live
SELECT id, thread_id, assistant_id, status, metadata, kwargs, multitask_strategy,
       attempt, first_seq, cancel_reason, error, created_at, updated_at
FROM runs
WHERE status IN ('pending', 'running') AND id > $1
ORDER BY id LIMIT $2;

-- name: run_thread_visible
-- point
SELECT 1 FROM threads WHERE id = $1 AND owner BETWEEN $2 AND $3;

-- name: run_context
-- point
SELECT a.id, a.owner, a.graph_id, a.name, a.description, a.config, a.context, a.metadata, a.version,
       a.created_at, a.updated_at,
       t.id, t.owner, t.status, t.metadata, t.config, t.interrupts, t.error, t.seq, t.checkpoint_id,
       t.created_at, t.updated_at, t.state_updated_at,
       (SELECT count(*) FROM runs r WHERE r.thread_id = t.id AND r.status IN ('pending', 'running'))
FROM (SELECT 1)
LEFT JOIN assistants a ON a.id = $1
  AND (a.owner BETWEEN $3 AND $4
       OR (a.owner = '' AND hf_contains(a.metadata, '{"created_by":"system"}')))
LEFT JOIN threads t ON t.id = $2 AND t.owner BETWEEN $3 AND $4;

-- name: run_insert
INSERT INTO runs (id, thread_id, assistant_id, status, metadata, kwargs, multitask_strategy,
                  attempt, first_seq, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8,
        (SELECT seq FROM threads WHERE id = $2), $9, $9);

-- name: run_claim
-- a negative attempt was handed back: it goes on and is not a new one
UPDATE runs SET status = 'running', updated_at = $3,
                attempt = CASE WHEN attempt < 0 THEN -attempt ELSE attempt + 1 END,
                first_seq = CASE attempt WHEN 0 THEN (SELECT seq FROM threads WHERE id = thread_id)
                            ELSE first_seq END
WHERE id = $1 AND attempt = $2 AND status = 'pending';

-- name: run_finish
UPDATE runs SET status = $3, error = $4, cancel_reason = coalesce($5, cancel_reason), updated_at = $6
WHERE id = $1 AND attempt = $2 AND status IN ('pending', 'running');

-- name: run_requeue
UPDATE runs SET status = 'pending', updated_at = $3
WHERE id = $1 AND attempt = $2 AND status = 'running';

-- name: run_hand_back
UPDATE runs SET status = 'pending', attempt = -attempt, updated_at = $3
WHERE id = $1 AND attempt = $2 AND status = 'running';

-- name: run_delete
DELETE FROM runs WHERE id = $2 AND thread_id = $1;

-- name: run_delete_events
DELETE FROM events WHERE thread_id = $1 AND run_id = $2;

-- These three move the thread's log counter on by as many entries as the batch appends, too.

-- name: thread_begin
-- $2 metadata as it was read, $3 what it became by merging, $8 and $9 what was put under and over
-- it; $7 config. A change of the metadata since it was read is kept.
UPDATE threads SET
  status = 'busy', config = coalesce($7, config), updated_at = $4,
  metadata = CASE WHEN $2 IS NULL THEN metadata WHEN metadata = $2 THEN $3
             ELSE hf_merge(hf_merge($8, metadata), $9) END,
  checkpoint_id = coalesce($5, checkpoint_id),
  state_updated_at = CASE WHEN $5 IS NULL THEN state_updated_at ELSE $4 END,
  seq = seq + $6
WHERE id = $1 RETURNING seq;

-- name: thread_settle
UPDATE threads SET
  status = CASE WHEN EXISTS (SELECT 1 FROM runs WHERE thread_id = $1
                             AND status IN ('pending', 'running')) THEN 'busy' ELSE $2 END,
  interrupts = $3, error = $4, checkpoint_id = coalesce($5, checkpoint_id),
  updated_at = $6, state_updated_at = CASE WHEN $5 IS NULL THEN state_updated_at ELSE $6 END,
  seq = seq + $7
WHERE id = $1 RETURNING seq;

-- name: thread_checkpoint
UPDATE threads SET checkpoint_id = $2, state_updated_at = $3, seq = seq + $4
WHERE id = $1 RETURNING seq;
