-- Everything of a kind goes, whosever it is: for developers who begin anew. Each statement deletes
-- a bounded number of rows, or reads a page; what runs meanwhile stays. Rows of other runtimes go
-- as well, also those whose ids are no UUIDs.

-- name: truncate_threads
-- A page of threads: id, is it busy? $1 after this id, $2 limit
SELECT t.id, t.busy
FROM (SELECT holdfast.to_uuid(id) AS id, status = 'busy' AS busy FROM langgraph_server.threads) t
WHERE t.id > $1 ORDER BY t.id LIMIT $2;

-- name: truncate_state
-- A thread forgets its states, unless a run is live. $1 id. Heads are locked before threads,
-- everywhere.
WITH head AS (
  SELECT 1 FROM holdfast.thread_heads WHERE thread_id = $1 FOR NO KEY UPDATE
), thread AS (
  UPDATE langgraph_server.threads SET status = 'idle', values = '{}', interrupts = '{}'
  WHERE id IN ($1::uuid::text, replace($1::uuid::text, '-', ''))
    AND (SELECT count(*) FROM head) >= 0 AND NOT holdfast.thread_has_live_runs($1)
  RETURNING 1
), forgotten AS (
  UPDATE holdfast.thread_heads SET checkpoint_id = NULL, error = NULL
  WHERE thread_id = $1 AND EXISTS (SELECT 1 FROM thread)
)
SELECT 1 FROM thread;

-- name: truncate_plans
-- $1 limit
DELETE FROM holdfast.plans
WHERE id = ANY (ARRAY(
  SELECT p.id FROM holdfast.plans p
  WHERE NOT EXISTS (SELECT 1 FROM holdfast.run_states s WHERE s.run_id = p.run_id AND s.live)
  LIMIT $1));

-- name: truncate_events
-- $1 limit
DELETE FROM holdfast.events
WHERE ctid = ANY (ARRAY(
  SELECT e.ctid FROM holdfast.events e
  WHERE NOT EXISTS (SELECT 1 FROM holdfast.run_states s WHERE s.run_id = e.run_id AND s.live)
  LIMIT $1));

-- name: truncate_runs
-- $1 limit
DELETE FROM langgraph_server.runs
WHERE id = ANY (ARRAY(
  SELECT r.id FROM langgraph_server.runs r
  WHERE NOT EXISTS (SELECT 1 FROM holdfast.run_states s
                    WHERE s.run_id = holdfast.to_uuid(r.id) AND s.live)
  LIMIT $1));

-- name: truncate_run_states
-- only: postgres
-- $1 limit
DELETE FROM holdfast.run_states
WHERE run_id = ANY (ARRAY(SELECT run_id FROM holdfast.run_states WHERE NOT live LIMIT $1));

-- name: truncate_strange_threads
-- only: postgres
-- Those that have no UUID. $1 limit
DELETE FROM langgraph_server.threads
WHERE id = ANY (ARRAY(SELECT id FROM langgraph_server.threads
                      WHERE holdfast.to_uuid(id) IS NULL LIMIT $1));

-- States whose thread has no row here: LangGraph's libraries need none.

-- shared: truncate_threadless
NOT EXISTS (SELECT 1 FROM langgraph_server.threads t
            WHERE t.id = ANY (holdfast.spellings(holdfast.to_uuid(x.thread_id))))

-- name: truncate_thread_states
-- only: postgres
-- $1 limit
DELETE FROM langgraph_server.thread_states
WHERE id = ANY (ARRAY(
  SELECT x.id FROM langgraph_server.thread_states x
  WHERE @truncate_threadless
  LIMIT $1));

-- name: truncate_lg_writes
-- only: postgres
-- $1 limit
DELETE FROM lg_checkpoints.checkpoint_writes
WHERE ctid = ANY (ARRAY(
  SELECT x.ctid FROM lg_checkpoints.checkpoint_writes x
  WHERE @truncate_threadless
  LIMIT $1));

-- name: truncate_lg_blobs
-- only: postgres
-- $1 limit
DELETE FROM lg_checkpoints.checkpoint_blobs
WHERE ctid = ANY (ARRAY(
  SELECT x.ctid FROM lg_checkpoints.checkpoint_blobs x
  WHERE @truncate_threadless
  LIMIT $1));

-- name: truncate_lg_checkpoints
-- only: postgres
-- $1 limit
DELETE FROM lg_checkpoints.checkpoints
WHERE ctid = ANY (ARRAY(
  SELECT x.ctid FROM lg_checkpoints.checkpoints x
  WHERE @truncate_threadless
  LIMIT $1));

-- name: truncate_assistants
-- A page of those that no server made itself. $1 after this id, $2 limit
SELECT a.id FROM (
  SELECT holdfast.to_uuid(id) AS id FROM langgraph_server.assistants
  WHERE NOT (coalesce(metadata ->> 'owner', '') = 'system'
             OR (coalesce(metadata ->> 'owner', '') = ''
                 AND metadata @> '{"created_by": "system"}'))) a
WHERE a.id > $1 ORDER BY a.id LIMIT $2;

-- name: truncate_items
-- A page: owner, namespace, key. $1 $2 $3 after this one, $4 limit
SELECT i.owner, i.namespace, i.key FROM (
  SELECT owner_id COLLATE "C" AS owner, holdfast.labels(namespace) COLLATE "C" AS namespace,
         key COLLATE "C" AS key
  FROM langgraph_server.store_items) i
WHERE (i.owner, i.namespace, i.key) > ($1, $2, $3) ORDER BY i.owner, i.namespace, i.key LIMIT $4;

-- name: truncate_all
-- vary: table = agent_insights agent_logs conversation_owners deliveries history_checkpoints history_events history_sessions inbox inbox_sources plan_templates preference_overrides preferences projects settings webhooks
-- $1 limit
DELETE FROM holdfast.@table
WHERE ctid = ANY (ARRAY(SELECT t.ctid FROM holdfast.@table t LIMIT $1));

-- name: truncate_history_consumers
-- $1 limit
DELETE FROM holdfast.history_consumers
WHERE ctid = ANY (ARRAY(SELECT c.ctid FROM holdfast.history_consumers c LIMIT $1));

-- name: truncate_history_retention
-- $1 limit
DELETE FROM holdfast.history_retention
WHERE ctid = ANY (ARRAY(SELECT r.ctid FROM holdfast.history_retention r LIMIT $1));
