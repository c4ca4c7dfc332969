-- The tables as another runtime on the same database creates them at each of its starts.
CREATE SCHEMA IF NOT EXISTS langgraph_server;

CREATE TABLE IF NOT EXISTS langgraph_server.assistants (
    id TEXT PRIMARY KEY,
    graph_id TEXT NOT NULL,
    config JSONB NOT NULL DEFAULT '{}',
    context JSONB NOT NULL DEFAULT '{}',
    metadata JSONB NOT NULL DEFAULT '{}',
    name TEXT,
    description TEXT,
    version INTEGER NOT NULL DEFAULT 1,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS langgraph_server.threads (
    id TEXT PRIMARY KEY,
    metadata JSONB NOT NULL DEFAULT '{}',
    config JSONB NOT NULL DEFAULT '{}',
    status TEXT NOT NULL DEFAULT 'idle',
    values JSONB NOT NULL DEFAULT '{}',
    interrupts JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS langgraph_server.thread_states (
    id SERIAL PRIMARY KEY,
    thread_id TEXT NOT NULL REFERENCES langgraph_server.threads(id) ON DELETE CASCADE,
    values JSONB NOT NULL DEFAULT '{}',
    metadata JSONB NOT NULL DEFAULT '{}',
    next TEXT[] NOT NULL DEFAULT '{}',
    tasks JSONB NOT NULL DEFAULT '[]',
    checkpoint_id TEXT NOT NULL,
    parent_checkpoint JSONB,
    interrupts JSONB NOT NULL DEFAULT '[]',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS idx_thread_states_thread_id
    ON langgraph_server.thread_states(thread_id, created_at DESC);

CREATE TABLE IF NOT EXISTS langgraph_server.runs (
    id TEXT PRIMARY KEY,
    thread_id TEXT NOT NULL,
    assistant_id TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending',
    metadata JSONB NOT NULL DEFAULT '{}',
    kwargs JSONB NOT NULL DEFAULT '{}',
    multitask_strategy TEXT NOT NULL DEFAULT 'reject',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS idx_runs_thread_id
    ON langgraph_server.runs(thread_id, created_at DESC);

CREATE TABLE IF NOT EXISTS langgraph_server.store_items (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    value JSONB NOT NULL DEFAULT '{}',
    owner_id TEXT NOT NULL,
    metadata JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (namespace, key, owner_id)
);

CREATE TABLE IF NOT EXISTS langgraph_server.crons (
    id TEXT PRIMARY KEY,
    assistant_id TEXT,
    thread_id TEXT,
    end_time TIMESTAMPTZ,
    schedule TEXT NOT NULL,
    user_id TEXT,
    payload JSONB NOT NULL DEFAULT '{}',
    next_run_date TIMESTAMPTZ,
    metadata JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
