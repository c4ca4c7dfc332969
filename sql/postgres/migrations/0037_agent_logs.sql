-- What agents write down of their work, by session; see docs/internals/agent-logs.md. The table is
-- there since 0007. Each index is for one way of asking, newest first; the one of the owner has the
-- sizes, too. That of tiers (0008) is for the job that moves them on. Those of an owner are over
-- user_id || '', so that no plan takes them, or that of tiers, for another question.
-- transaction: no

-- migrate:up
ALTER TABLE holdfast.agent_logs ADD COLUMN IF NOT EXISTS data jsonb,
  ADD COLUMN IF NOT EXISTS bytes int8 NOT NULL DEFAULT 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS agent_logs_session_time ON holdfast.agent_logs
  (session_id, tier, user_id, created_at, id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS agent_logs_user ON holdfast.agent_logs
  ((user_id || ''), (tier || ''), created_at, id) INCLUDE (bytes, user_id, tier);

CREATE INDEX CONCURRENTLY IF NOT EXISTS agent_logs_level ON holdfast.agent_logs
  ((user_id || ''), level, created_at, id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS agent_logs_category ON holdfast.agent_logs
  ((user_id || ''), category, created_at, id);

DROP INDEX CONCURRENTLY IF EXISTS holdfast.agent_logs_session;

-- migrate:down
CREATE INDEX CONCURRENTLY IF NOT EXISTS agent_logs_session ON holdfast.agent_logs
  (session_id, tier);

DROP INDEX CONCURRENTLY IF EXISTS holdfast.agent_logs_category;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.agent_logs_level;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.agent_logs_user;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.agent_logs_session_time;

ALTER TABLE holdfast.agent_logs DROP COLUMN IF EXISTS bytes, DROP COLUMN IF EXISTS data;
