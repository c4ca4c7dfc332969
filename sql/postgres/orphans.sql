-- What other runtimes leave of threads and runs that they delete from the shared tables.

-- name: orphan_threads
-- only: postgres
-- A page of heads: id, is its thread gone? $1 after this id, $2 limit
SELECT h.thread_id, NOT EXISTS (SELECT 1 FROM langgraph_server.threads t
                                WHERE t.id IN (h.thread_id::text,
                                               replace(h.thread_id::text, '-', '')))
FROM holdfast.thread_heads h WHERE h.thread_id > $1 ORDER BY h.thread_id LIMIT $2;

-- name: orphan_thread_delete
-- only: postgres
DELETE FROM holdfast.thread_heads
WHERE thread_id = $1 AND NOT holdfast.thread_has_live_runs($1)
  AND NOT EXISTS (SELECT 1 FROM langgraph_server.threads t
                  WHERE t.id IN ($1::uuid::text, replace($1::uuid::text, '-', '')));

-- name: orphan_runs
-- only: postgres
-- A page of runs: id, is it over and its row gone? $1 after this id, $2 limit
SELECT s.run_id, NOT s.live AND NOT EXISTS (SELECT 1 FROM langgraph_server.runs r
                                            WHERE r.id IN (s.run_id::text,
                                                           replace(s.run_id::text, '-', '')))
FROM holdfast.run_states s WHERE s.run_id > $1 ORDER BY s.run_id LIMIT $2;

-- name: orphan_run_delete
-- only: postgres
DELETE FROM holdfast.run_states WHERE run_id = $1 AND NOT live;
