-- The end of threads: ttl_us after the thread's updated_at, which all runtimes keep. ttl_check_at is
-- when to look next, never later than the end by more than a day.

-- name: thread_ttl_get
SELECT ttl_strategy, ttl_us FROM holdfast.thread_heads WHERE thread_id = $1;

-- name: thread_ttl_set
-- Also for a thread that another runtime made.
-- $1 id, $2 and $3 bounds of the owner, $4 strategy, $5 time or NULL: no end, $6 now
INSERT INTO holdfast.thread_heads (thread_id, seq, state_updated_at, ttl_strategy, ttl_us,
                                   ttl_check_at)
SELECT $1::uuid, 0, t.updated_at, $4::text, $5::int8,
       $6::timestamptz + $5::int8 * interval '1 microsecond'
FROM langgraph_server.threads t
WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
  AND (coalesce(t.metadata ->> 'owner', '') || '') COLLATE "C" BETWEEN $2 AND $3
ON CONFLICT (thread_id) DO UPDATE SET
  ttl_strategy = excluded.ttl_strategy, ttl_us = excluded.ttl_us,
  ttl_check_at = excluded.ttl_check_at;

-- name: thread_ttl_due
-- A thread that is gone has no time of its last use. $1 now, $2 limit
SELECT h.thread_id, h.ttl_strategy, h.ttl_us, t.updated_at
FROM holdfast.thread_heads h
LEFT JOIN langgraph_server.threads t
  ON t.id IN (h.thread_id::text, replace(h.thread_id::text, '-', ''))
WHERE h.ttl_check_at <= $1 ORDER BY h.ttl_check_at LIMIT $2;

-- name: thread_ttl_later
-- $1 id, $2 when to look next
UPDATE holdfast.thread_heads SET ttl_check_at = $2
WHERE thread_id = $1 AND ttl_check_at IS NOT NULL;

-- name: thread_hold_idle
-- Against runs that would begin: does the thread exist, without live runs, and was it not used after
-- $2? $1 id. Heads are locked before threads, everywhere.
WITH head AS (
  SELECT 1 FROM holdfast.thread_heads WHERE thread_id = $1 FOR NO KEY UPDATE
)
SELECT 1 FROM langgraph_server.threads t
WHERE (SELECT count(*) FROM head) >= 0
  AND t.id IN ($1::uuid::text, replace($1::uuid::text, '-', '')) AND t.updated_at <= $2
  AND t.status <> 'busy' AND NOT holdfast.thread_has_live_runs($1)
FOR NO KEY UPDATE OF t;
