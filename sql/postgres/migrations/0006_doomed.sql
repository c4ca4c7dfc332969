-- Threads that go after a while: those of temporary runs that were read from other processes.

-- migrate:up
CREATE TABLE IF NOT EXISTS holdfast.doomed_threads (
  thread_id uuid PRIMARY KEY,
  due_at    timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS doomed_threads_due ON holdfast.doomed_threads (due_at);

-- migrate:down
DROP TABLE holdfast.doomed_threads;
