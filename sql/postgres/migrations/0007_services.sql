-- Tables of the services around runs: plans with their steps, gates and artifacts, exactly-once in
-- both directions, sessions and accounts, conversations, preferences, logs of agents, histories.
-- user_id is the owner; rows of nobody have ''.

-- migrate:up
CREATE TABLE holdfast.plans (
  run_id       uuid PRIMARY KEY,
  thread_id    uuid NOT NULL,
  user_id      text NOT NULL DEFAULT '',
  project_id   text NOT NULL DEFAULT 'default',
  status       text NOT NULL DEFAULT 'queued',
  plan         jsonb NOT NULL,
  metadata     jsonb NOT NULL DEFAULT '{}',
  started_at   timestamptz,
  completed_at timestamptz,
  created_at   timestamptz NOT NULL,
  updated_at   timestamptz NOT NULL
);

CREATE TABLE holdfast.steps (
  id              uuid PRIMARY KEY,
  run_id          uuid NOT NULL,
  name            text NOT NULL,
  tool            text NOT NULL,
  inputs          jsonb NOT NULL DEFAULT '{}',
  outputs         jsonb,
  status          text NOT NULL DEFAULT 'queued',
  error           text,
  idempotency_key text,
  started_at      timestamptz,
  completed_at    timestamptz,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL
);

CREATE TABLE holdfast.gates (
  id           uuid PRIMARY KEY,
  run_id       uuid NOT NULL,
  step_id      uuid,
  gate_type    text NOT NULL,
  status       text NOT NULL DEFAULT 'pending'
               CHECK (status IN ('pending', 'passed', 'failed', 'waived')),
  evidence_uri text,
  approved_by  text,
  approved_at  timestamptz,
  created_at   timestamptz NOT NULL
);

CREATE TABLE holdfast.artifacts (
  id         uuid PRIMARY KEY,
  step_id    uuid NOT NULL,
  type       text NOT NULL,
  path       text NOT NULL,
  metadata   jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL
);

CREATE TABLE holdfast.outbox (
  id         uuid PRIMARY KEY,
  topic      text NOT NULL,
  payload    jsonb NOT NULL,
  sent       boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL,
  sent_at    timestamptz
);

CREATE TABLE holdfast.inbox (
  key        text NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE holdfast.sessions (
  id         uuid PRIMARY KEY,
  user_id    text NOT NULL,
  metadata   jsonb NOT NULL DEFAULT '{}',
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE holdfast.accounts (
  id          uuid PRIMARY KEY,
  user_id     text NOT NULL,
  provider_id text NOT NULL,
  account_id  text NOT NULL,
  metadata    jsonb NOT NULL DEFAULT '{}',
  created_at  timestamptz NOT NULL
);

CREATE TABLE holdfast.conversations (
  id         uuid PRIMARY KEY,
  user_id    text NOT NULL,
  title      text,
  archived   boolean NOT NULL DEFAULT false,
  metadata   jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE holdfast.agent_logs (
  id         uuid PRIMARY KEY,
  session_id uuid NOT NULL,
  user_id    text NOT NULL DEFAULT '',
  level      text NOT NULL,
  category   text NOT NULL,
  content    text NOT NULL,
  tier       text NOT NULL DEFAULT 'hot' CHECK (tier IN ('hot', 'warm', 'cold')),
  created_at timestamptz NOT NULL
);

CREATE TABLE holdfast.preferences (
  id         uuid PRIMARY KEY,
  user_id    text NOT NULL,
  key        text NOT NULL,
  value      jsonb NOT NULL,
  mutable    boolean NOT NULL DEFAULT true,
  updated_at timestamptz NOT NULL
);

-- position orders what has the same time.
CREATE TABLE holdfast.history_events (
  id          text PRIMARY KEY,
  session_id  text NOT NULL,
  occurred_at timestamptz NOT NULL,
  position    bigint NOT NULL,
  envelope    text NOT NULL,
  expires_at  timestamptz
);

CREATE TABLE holdfast.history_checkpoints (
  id         uuid PRIMARY KEY,
  session_id text NOT NULL,
  parent_id  uuid,
  payload    text NOT NULL,
  created_at timestamptz NOT NULL
);

-- migrate:down
DROP TABLE holdfast.history_checkpoints, holdfast.history_events, holdfast.preferences,
  holdfast.agent_logs, holdfast.conversations, holdfast.accounts, holdfast.sessions, holdfast.inbox,
  holdfast.outbox, holdfast.artifacts, holdfast.gates, holdfast.steps, holdfast.plans;
