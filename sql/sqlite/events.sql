-- The thread log.

-- name: log_bump
UPDATE threads SET seq = hf_returning(seq + $2) WHERE id = $1;

-- name: log_bump_run
-- Only while a run has the thread. $1 thread, $2 entries, $3 run, $4 attempt, $5 worker
UPDATE threads SET seq = hf_returning(seq + $2)
WHERE id = $1 AND run_id = $3 AND attempt = $4 AND worker = $5;

-- name: log_insert
-- The counter was moved on in the same batch, so the thread is there. VALUES is one row, for which
-- SQLite keeps no journal of the statement; SELECT could be many.
INSERT INTO events (thread_id, seq, run_id, kind, at, data)
VALUES ($1, (SELECT seq FROM threads WHERE id = $1) - $2, $3, $4, $5, $6);

-- name: log_page
-- point
SELECT seq, run_id, kind, at, data FROM events
WHERE thread_id = $1 AND seq > $2 ORDER BY seq LIMIT $3;

-- name: log_last_of_kind
SELECT seq FROM events WHERE thread_id = $1 AND seq <= $2 AND kind = $3 ORDER BY seq DESC LIMIT 1;

-- name: log_newest
-- $1 thread, $2 limit
SELECT seq, run_id, kind, at, data FROM events
WHERE thread_id = $1 ORDER BY seq DESC LIMIT $2;

-- name: log_heads
-- The last numbers of threads. $1 JSON array of ids
SELECT id, seq FROM threads WHERE id IN (SELECT value FROM json_each($1));
