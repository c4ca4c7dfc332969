-- Indexes of the services' tables, and of those events that are looked for by run or by kind (from
-- 64 on: those of plans). Built one by one beside the writers; they go the same way.
-- transaction: no

-- migrate:up
CREATE INDEX CONCURRENTLY IF NOT EXISTS steps_run
  ON holdfast.steps (run_id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS steps_idempotency
  ON holdfast.steps (idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE INDEX CONCURRENTLY IF NOT EXISTS steps_run_idempotency
  ON holdfast.steps (run_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE INDEX CONCURRENTLY IF NOT EXISTS steps_run_status
  ON holdfast.steps (run_id, status);

CREATE INDEX CONCURRENTLY IF NOT EXISTS steps_created
  ON holdfast.steps (created_at DESC);

CREATE INDEX CONCURRENTLY IF NOT EXISTS events_run
  ON holdfast.events (run_id, at DESC) WHERE kind >= 64;

CREATE INDEX CONCURRENTLY IF NOT EXISTS events_kind
  ON holdfast.events (kind) WHERE kind >= 64;

CREATE INDEX CONCURRENTLY IF NOT EXISTS artifacts_step
  ON holdfast.artifacts (step_id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS artifacts_created
  ON holdfast.artifacts (created_at DESC);

CREATE INDEX CONCURRENTLY IF NOT EXISTS gates_run_step
  ON holdfast.gates (run_id, step_id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS gates_pending
  ON holdfast.gates (status) WHERE status = 'pending';

CREATE INDEX CONCURRENTLY IF NOT EXISTS plans_project
  ON holdfast.plans (project_id, created_at DESC);

CREATE INDEX CONCURRENTLY IF NOT EXISTS plans_status
  ON holdfast.plans (status);

CREATE INDEX CONCURRENTLY IF NOT EXISTS plans_user
  ON holdfast.plans (user_id, project_id, created_at DESC) WHERE user_id <> '';

CREATE INDEX CONCURRENTLY IF NOT EXISTS outbox_unsent
  ON holdfast.outbox (sent, created_at) WHERE NOT sent;

CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS inbox_key
  ON holdfast.inbox (key);

CREATE INDEX CONCURRENTLY IF NOT EXISTS sessions_user
  ON holdfast.sessions (user_id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS sessions_expires
  ON holdfast.sessions (expires_at);

CREATE INDEX CONCURRENTLY IF NOT EXISTS accounts_provider
  ON holdfast.accounts (provider_id, account_id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS accounts_user
  ON holdfast.accounts (user_id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS conversations_user
  ON holdfast.conversations (user_id, archived, updated_at DESC);

CREATE INDEX CONCURRENTLY IF NOT EXISTS agent_logs_session
  ON holdfast.agent_logs (session_id, tier);

CREATE INDEX CONCURRENTLY IF NOT EXISTS agent_logs_tier
  ON holdfast.agent_logs (tier, created_at);

CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS preferences_user
  ON holdfast.preferences (user_id, key);

CREATE INDEX CONCURRENTLY IF NOT EXISTS history_events_session
  ON holdfast.history_events (session_id, occurred_at, position);

CREATE INDEX CONCURRENTLY IF NOT EXISTS history_checkpoints_session
  ON holdfast.history_checkpoints (session_id, created_at DESC);

-- migrate:down
DROP INDEX CONCURRENTLY IF EXISTS holdfast.history_checkpoints_session;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.history_events_session;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.preferences_user;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.agent_logs_tier;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.agent_logs_session;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.conversations_user;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.accounts_user;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.accounts_provider;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.sessions_expires;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.sessions_user;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.inbox_key;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.outbox_unsent;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.plans_user;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.plans_status;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.plans_project;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.gates_pending;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.gates_run_step;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.artifacts_created;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.artifacts_step;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.events_kind;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.events_run;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.steps_created;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.steps_run_status;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.steps_run_idempotency;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.steps_idempotency;

DROP INDEX CONCURRENTLY IF EXISTS holdfast.steps_run;
