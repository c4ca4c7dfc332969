-- What agents write down of their work, by session; see docs/internals/agent-logs.md. Each index is
-- for one way of asking, newest first; the one of the owner has the sizes, too, the one of tiers is
-- for the job that moves them on.
CREATE TABLE agent_logs (
  id         TEXT NOT NULL PRIMARY KEY,
  session_id TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  level      TEXT NOT NULL,
  category   TEXT NOT NULL,
  content    TEXT NOT NULL,
  tier       TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  data       TEXT,
  bytes      INTEGER NOT NULL
);
CREATE INDEX agent_logs_session ON agent_logs (session_id, tier, user_id, created_at, id);
CREATE INDEX agent_logs_user ON agent_logs (user_id, tier, created_at, id, bytes);
CREATE INDEX agent_logs_level ON agent_logs (user_id, level, created_at, id);
CREATE INDEX agent_logs_category ON agent_logs (user_id, category, created_at, id);
CREATE INDEX agent_logs_tier ON agent_logs (tier, created_at);
