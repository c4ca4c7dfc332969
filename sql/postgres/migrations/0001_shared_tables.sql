-- The resource tables that other LangGraph runtimes read and write at the same time. They are made
-- as those make them, when nobody has yet; nobody's columns are changed, here or later.

-- migrate:up
DO $$ BEGIN
  IF to_regnamespace('langgraph_server') IS NULL THEN CREATE SCHEMA langgraph_server; END IF;
END $$;

CREATE TABLE IF NOT EXISTS langgraph_server.assistants (
  id          text PRIMARY KEY,
  graph_id    text NOT NULL,
  config      jsonb NOT NULL DEFAULT '{}',
  context     jsonb NOT NULL DEFAULT '{}',
  metadata    jsonb NOT NULL DEFAULT '{}',
  name        text,
  description text,
  version     integer NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS langgraph_server.threads (
  id         text PRIMARY KEY,
  metadata   jsonb NOT NULL DEFAULT '{}',
  config     jsonb NOT NULL DEFAULT '{}',
  status     text NOT NULL DEFAULT 'idle',
  values     jsonb NOT NULL DEFAULT '{}',
  interrupts jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS langgraph_server.thread_states (
  id                serial PRIMARY KEY,
  thread_id         text NOT NULL REFERENCES langgraph_server.threads (id) ON DELETE CASCADE,
  values            jsonb NOT NULL DEFAULT '{}',
  metadata          jsonb NOT NULL DEFAULT '{}',
  next              text[] NOT NULL DEFAULT '{}',
  tasks             jsonb NOT NULL DEFAULT '[]',
  checkpoint_id     text NOT NULL,
  parent_checkpoint jsonb,
  interrupts        jsonb NOT NULL DEFAULT '[]',
  created_at        timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS langgraph_server.runs (
  id                 text PRIMARY KEY,
  thread_id          text NOT NULL,
  assistant_id       text NOT NULL,
  status             text NOT NULL DEFAULT 'pending',
  metadata           jsonb NOT NULL DEFAULT '{}',
  kwargs             jsonb NOT NULL DEFAULT '{}',
  multitask_strategy text NOT NULL DEFAULT 'reject',
  created_at         timestamptz NOT NULL DEFAULT now(),
  updated_at         timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS langgraph_server.store_items (
  namespace  text NOT NULL,
  key        text NOT NULL,
  value      jsonb NOT NULL DEFAULT '{}',
  owner_id   text NOT NULL,
  metadata   jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (namespace, key, owner_id)
);

CREATE TABLE IF NOT EXISTS langgraph_server.crons (
  id            text PRIMARY KEY,
  assistant_id  text,
  thread_id     text,
  end_time      timestamptz,
  schedule      text NOT NULL,
  user_id       text,
  payload       jsonb NOT NULL DEFAULT '{}',
  next_run_date timestamptz,
  metadata      jsonb NOT NULL DEFAULT '{}',
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL DEFAULT now()
);

-- migrate:down
-- The tables stay: others use them, and they hold the users' data.
