-- Threads that go after a while: those of temporary runs that were read from other processes.
CREATE TABLE doomed_threads (
  thread_id TEXT NOT NULL PRIMARY KEY,
  due_at    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX doomed_threads_due ON doomed_threads (due_at);
