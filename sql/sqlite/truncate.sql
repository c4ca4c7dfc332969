-- Everything of a kind goes, whosever it is: for developers who begin anew. Each statement deletes
-- a bounded number of rows, or reads a page; what runs meanwhile stays.

-- name: truncate_threads
-- A page of threads: id, is it busy? $1 after this id, $2 limit
SELECT id, status = 'busy' FROM threads WHERE id > $1 ORDER BY id LIMIT $2;

-- name: truncate_state
-- A thread forgets its states, unless a run is live. $1 id
UPDATE threads SET checkpoint_id = NULL, status = 'idle', interrupts = '{}', error = NULL
WHERE id = $1 AND run_id IS NULL
  AND NOT EXISTS (SELECT 1 FROM runs r
                  WHERE r.thread_id = $1 AND r.status IN ('pending', 'running'));

-- name: truncate_plans
-- $1 limit
DELETE FROM plans
WHERE id IN (SELECT p.id FROM plans p
             WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = p.run_id
                                                      AND r.status IN ('pending', 'running'))
             LIMIT $1);

-- name: truncate_events
-- $1 limit
DELETE FROM events
WHERE (thread_id, seq) IN (
  SELECT e.thread_id, e.seq FROM events e
  WHERE e.run_id NOT IN (SELECT r.id FROM runs r WHERE r.status IN ('pending', 'running'))
  LIMIT $1);

-- name: truncate_runs
-- $1 limit
DELETE FROM runs
WHERE id IN (SELECT id FROM runs WHERE status NOT IN ('pending', 'running') LIMIT $1);

-- name: truncate_assistants
-- A page of those that the server did not make itself. $1 after this id, $2 limit
SELECT id FROM assistants
WHERE id > $1 AND NOT (owner = '' AND json_extract(metadata, '$.created_by') IS 'system')
ORDER BY id LIMIT $2;

-- name: truncate_items
-- A page: owner, namespace, key. $1 $2 $3 after this one, $4 limit
SELECT owner, namespace, key FROM store_items
WHERE (owner, namespace, key) > ($1, $2, $3) ORDER BY owner, namespace, key LIMIT $4;

-- name: truncate_all
-- vary: table = agent_insights agent_logs conversation_owners deliveries history_checkpoints history_events history_sessions inbox inbox_sources plan_templates preference_overrides preferences projects settings webhooks
-- $1 limit
DELETE FROM @table WHERE rowid IN (SELECT t.rowid FROM @table t LIMIT $1);

-- name: truncate_history_consumers
-- $1 limit
DELETE FROM history_consumers
WHERE (session, name) IN (SELECT c.session, c.name FROM history_consumers c LIMIT $1);

-- name: truncate_history_retention
-- $1 limit
DELETE FROM history_retention WHERE owner IN (SELECT r.owner FROM history_retention r LIMIT $1);
