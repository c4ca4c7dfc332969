-- The thread log.

-- name: log_bump
UPDATE threads SET seq = seq + $2 WHERE id = $1 RETURNING seq;

-- name: log_insert
INSERT INTO events (thread_id, seq, run_id, kind, at, data)
SELECT $1, seq - $2, $3, $4, $5, $6 FROM threads WHERE id = $1;

-- name: log_page
-- point
SELECT seq, run_id, kind, at, data FROM events
WHERE thread_id = $1 AND seq > $2 ORDER BY seq LIMIT $3;

-- name: log_last_of_kind
SELECT seq FROM events WHERE thread_id = $1 AND seq <= $2 AND kind = $3 ORDER BY seq DESC LIMIT 1;
