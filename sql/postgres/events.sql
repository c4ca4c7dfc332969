-- The thread log. Its counter is the thread's head, so that taking a number touches no index.

-- name: log_bump
-- Also for a thread that another runtime made.
INSERT INTO holdfast.thread_heads AS h (thread_id, seq, state_updated_at)
SELECT $1::uuid, $2, t.updated_at FROM langgraph_server.threads t
WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
ON CONFLICT (thread_id) DO UPDATE SET seq = h.seq + excluded.seq
RETURNING seq;

-- name: log_bump_run
-- Only while a run has the thread. $1 thread, $2 entries, $3 run, $4 attempt, $5 worker
UPDATE holdfast.thread_heads SET seq = seq + $2
WHERE thread_id = $1 AND run_id = $3 AND attempt = $4 AND worker = $5 RETURNING seq;

-- name: log_insert
-- many
INSERT INTO holdfast.events (thread_id, seq, run_id, kind, at, data)
SELECT e.thread_id,
       (SELECT h.seq FROM holdfast.thread_heads h WHERE h.thread_id = e.thread_id) - e.back,
       e.run_id, e.kind, e.at, e.data
FROM unnest($1::uuid[], $2::int8[], $3::uuid[], $4::int2[], $5::timestamptz[], $6::text[])
  AS e(thread_id, back, run_id, kind, at, data);

-- name: log_page
SELECT seq, run_id, kind, at, data FROM holdfast.events
WHERE thread_id = $1 AND seq > $2 ORDER BY seq LIMIT $3;

-- name: log_last_of_kind
SELECT seq FROM holdfast.events
WHERE thread_id = $1 AND seq <= $2 AND kind = $3 ORDER BY seq DESC LIMIT 1;

-- name: log_newest
-- $1 thread, $2 limit
SELECT seq, run_id, kind, at, data FROM holdfast.events
WHERE thread_id = $1 ORDER BY seq DESC LIMIT $2;

-- name: log_heads
-- The last numbers of threads that exist. $1 JSON array of ids
SELECT i.id, coalesce((SELECT h.seq FROM holdfast.thread_heads h WHERE h.thread_id = i.id), 0)
FROM (SELECT j::uuid AS id FROM jsonb_array_elements_text($1::jsonb) AS j) i
WHERE EXISTS (SELECT 1 FROM langgraph_server.threads t
              WHERE t.id = ANY (holdfast.spellings(i.id)));
