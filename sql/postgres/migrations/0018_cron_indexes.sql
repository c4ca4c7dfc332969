-- Indexes of the shared table of crons, for what goes with a thread or an assistant.
-- transaction: no

-- migrate:up
CREATE INDEX CONCURRENTLY IF NOT EXISTS holdfast_crons_thread ON langgraph_server.crons
  (thread_id) WHERE thread_id IS NOT NULL;

CREATE INDEX CONCURRENTLY IF NOT EXISTS holdfast_crons_assistant ON langgraph_server.crons
  (assistant_id);

-- migrate:down
DROP INDEX CONCURRENTLY IF EXISTS langgraph_server.holdfast_crons_thread;

DROP INDEX CONCURRENTLY IF EXISTS langgraph_server.holdfast_crons_assistant;
