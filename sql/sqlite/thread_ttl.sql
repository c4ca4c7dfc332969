-- The end of threads: ttl_us after updated_at. ttl_check_at is when to look next, never later than
-- the end by more than a day.

-- name: thread_ttl_get
-- point
SELECT ttl_strategy, ttl_us FROM threads WHERE id = $1;

-- name: thread_ttl_set
-- $1 id, $2 and $3 bounds of the owner, $4 strategy, $5 time or NULL: no end, $6 now
UPDATE threads SET ttl_strategy = $4, ttl_us = $5, ttl_check_at = $6 + $5
WHERE id = $1 AND owner BETWEEN $2 AND $3;

-- name: thread_ttl_due
-- $1 now, $2 limit
SELECT id, ttl_strategy, ttl_us, updated_at FROM threads
WHERE ttl_check_at <= $1 ORDER BY ttl_check_at LIMIT $2;

-- name: thread_ttl_later
-- $1 id, $2 when to look next
UPDATE threads SET ttl_check_at = $2 WHERE id = $1 AND ttl_check_at IS NOT NULL;

-- name: thread_hold_idle
-- Against runs that would begin: does the thread exist, without live runs, and was it not used after
-- $2? $1 id
UPDATE threads SET attempt = attempt
WHERE id = $1 AND updated_at <= $2 AND status <> 'busy' AND run_id IS NULL
  AND NOT EXISTS (SELECT 1 FROM runs r
                  WHERE r.thread_id = $1 AND r.status IN ('pending', 'running'));
