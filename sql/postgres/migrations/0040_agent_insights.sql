-- What a model makes of logs of agents that leave the tier hot; see docs/internals/agent-logs.md.
-- pending: a log that no insight covers yet. What insights are searched by is a row of its own. The
-- index of those past their age begins with what no other question asks, so that no plan takes it
-- for one.
-- transaction: no

-- migrate:up
ALTER TABLE holdfast.agent_logs ADD COLUMN IF NOT EXISTS pending boolean NOT NULL DEFAULT false;

CREATE INDEX CONCURRENTLY IF NOT EXISTS agent_logs_pending ON holdfast.agent_logs
  (user_id, session_id, created_at, id) WHERE pending;

CREATE TABLE IF NOT EXISTS holdfast.agent_insights (
  id         uuid PRIMARY KEY,
  session_id uuid NOT NULL,
  user_id    text NOT NULL,
  category   text,
  content    text NOT NULL,
  logs       int8 NOT NULL,
  first_at   timestamptz NOT NULL,
  last_at    timestamptz NOT NULL,
  model      text NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE INDEX CONCURRENTLY IF NOT EXISTS agent_insights_user ON holdfast.agent_insights
  ((user_id || ''), created_at, id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS agent_insights_session ON holdfast.agent_insights
  (session_id, user_id, created_at, id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS agent_insights_age ON holdfast.agent_insights
  ((logs > 0), created_at);

CREATE TABLE IF NOT EXISTS holdfast.agent_insight_texts (
  insight_id uuid PRIMARY KEY REFERENCES holdfast.agent_insights ON DELETE CASCADE,
  size       integer NOT NULL,
  words      tsvector NOT NULL,
  embedder   text,
  vector     bytea
);

CREATE INDEX CONCURRENTLY IF NOT EXISTS agent_insight_texts_words
  ON holdfast.agent_insight_texts USING gin (words);

-- migrate:down
DROP TABLE IF EXISTS holdfast.agent_insight_texts;

DROP TABLE IF EXISTS holdfast.agent_insights;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.agent_logs_pending;

ALTER TABLE holdfast.agent_logs DROP COLUMN IF EXISTS pending;
