-- Indexes of the shared tables: lists and counts of one owner, runs that are not over.
-- transaction: no

-- migrate:up
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_thread_states_thread_id
  ON langgraph_server.thread_states (thread_id, created_at DESC);

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_runs_thread_id
  ON langgraph_server.runs (thread_id, created_at DESC);

CREATE INDEX CONCURRENTLY IF NOT EXISTS holdfast_threads_updated ON langgraph_server.threads
  ((coalesce(metadata ->> 'owner', '') COLLATE "C"), updated_at);

CREATE INDEX CONCURRENTLY IF NOT EXISTS holdfast_threads_created ON langgraph_server.threads
  ((coalesce(metadata ->> 'owner', '') COLLATE "C"), created_at);

CREATE INDEX CONCURRENTLY IF NOT EXISTS holdfast_threads_active ON langgraph_server.threads
  ((coalesce(metadata ->> 'owner', '') COLLATE "C"), status, updated_at) WHERE status <> 'idle';

CREATE INDEX CONCURRENTLY IF NOT EXISTS holdfast_assistants_created ON langgraph_server.assistants
  ((coalesce(metadata ->> 'owner', '') COLLATE "C"), created_at);

CREATE INDEX CONCURRENTLY IF NOT EXISTS holdfast_assistants_graph ON langgraph_server.assistants
  (graph_id, created_at);

CREATE INDEX CONCURRENTLY IF NOT EXISTS holdfast_items_labels ON langgraph_server.store_items
  (owner_id, (holdfast.labels(namespace) COLLATE "C"), key);

CREATE INDEX CONCURRENTLY IF NOT EXISTS holdfast_items_updated ON langgraph_server.store_items
  (owner_id, updated_at);

CREATE INDEX CONCURRENTLY IF NOT EXISTS holdfast_crons_owner ON langgraph_server.crons
  ((coalesce(user_id, '') COLLATE "C"), created_at);

CREATE INDEX CONCURRENTLY IF NOT EXISTS holdfast_crons_due ON langgraph_server.crons
  (next_run_date) WHERE next_run_date IS NOT NULL;

-- migrate:down
DROP INDEX CONCURRENTLY IF EXISTS langgraph_server.holdfast_threads_updated;

DROP INDEX CONCURRENTLY IF EXISTS langgraph_server.holdfast_threads_created;

DROP INDEX CONCURRENTLY IF EXISTS langgraph_server.holdfast_threads_active;

DROP INDEX CONCURRENTLY IF EXISTS langgraph_server.holdfast_assistants_created;

DROP INDEX CONCURRENTLY IF EXISTS langgraph_server.holdfast_assistants_graph;

DROP INDEX CONCURRENTLY IF EXISTS langgraph_server.holdfast_items_labels;

DROP INDEX CONCURRENTLY IF EXISTS langgraph_server.holdfast_items_updated;

DROP INDEX CONCURRENTLY IF EXISTS langgraph_server.holdfast_crons_owner;

DROP INDEX CONCURRENTLY IF EXISTS langgraph_server.holdfast_crons_due;
