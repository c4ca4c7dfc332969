-- What tasks wrote of a step that is not over: those that have ended need not run again. Numbers
-- below zero are special, as in LangGraph: -1 an error, -3 interrupts, -4 answers to them.
CREATE TABLE checkpoint_writes (
  thread_id     TEXT NOT NULL,
  checkpoint_ns TEXT NOT NULL,
  checkpoint_id TEXT NOT NULL,
  task_id       TEXT NOT NULL,
  idx           INTEGER NOT NULL,
  channel       TEXT NOT NULL,
  type          TEXT NOT NULL,
  value         TEXT NOT NULL,
  task_path     TEXT NOT NULL,
  PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
) WITHOUT ROWID;

-- They go with their checkpoint, whatever removes it.
CREATE TRIGGER checkpoint_writes_go AFTER DELETE ON checkpoints BEGIN
  DELETE FROM checkpoint_writes
  WHERE thread_id = old.thread_id AND checkpoint_ns = old.checkpoint_ns
    AND checkpoint_id = old.checkpoint_id;
END;
