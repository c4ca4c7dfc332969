-- The thread log.

-- name: log_bump
UPDATE threads SET seq = seq + $2 WHERE id = $1 RETURNING seq;

-- name: log_bump_run
-- Only while a run has the thread. $1 thread, $2 entries, $3 run, $4 attempt, $5 worker
UPDATE threads SET seq = seq + $2
WHERE id = $1 AND run_id = $3 AND attempt = $4 AND worker = $5 RETURNING seq;

-- name: log_insert
INSERT INTO events (thread_id, seq, run_id, kind, at, data)
SELECT $1, seq - $2, $3, $4, $5, $6 FROM threads WHERE id = $1;

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
