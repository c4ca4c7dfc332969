-- Rows with texts of a kilobyte and more stand in tables with rowids: without one, SQLite gives each
-- row above a quarter of a page at least one page of its own.

CREATE TABLE events_new (
  thread_id TEXT NOT NULL,
  seq       INTEGER NOT NULL,
  run_id    TEXT NOT NULL,
  kind      INTEGER NOT NULL,
  at        INTEGER NOT NULL,
  data      TEXT NOT NULL,
  PRIMARY KEY (thread_id, seq)
);
INSERT INTO events_new SELECT thread_id, seq, run_id, kind, at, data FROM events;
DROP TABLE events;
ALTER TABLE events_new RENAME TO events;

CREATE TABLE checkpoint_values_new (
  thread_id TEXT NOT NULL,
  hash      TEXT NOT NULL,
  value     TEXT NOT NULL,
  PRIMARY KEY (thread_id, hash)
);
INSERT INTO checkpoint_values_new SELECT thread_id, hash, value FROM checkpoint_values;
DROP TABLE checkpoint_values;
ALTER TABLE checkpoint_values_new RENAME TO checkpoint_values;

CREATE TABLE checkpoint_lists_new (
  thread_id TEXT NOT NULL,
  list_id   INTEGER NOT NULL,
  start     INTEGER NOT NULL,
  count     INTEGER NOT NULL,
  items     TEXT NOT NULL,
  PRIMARY KEY (thread_id, list_id, start)
);
INSERT INTO checkpoint_lists_new SELECT thread_id, list_id, start, count, items
FROM checkpoint_lists;
DROP TABLE checkpoint_lists;
ALTER TABLE checkpoint_lists_new RENAME TO checkpoint_lists;

CREATE TABLE runs_new (
  id                 TEXT NOT NULL PRIMARY KEY,
  thread_id          TEXT NOT NULL,
  assistant_id       TEXT NOT NULL,
  status             TEXT NOT NULL,
  metadata           TEXT NOT NULL,
  kwargs             TEXT NOT NULL,
  multitask_strategy TEXT NOT NULL,
  attempt            INTEGER NOT NULL,
  first_seq          INTEGER NOT NULL,
  cancel_reason      TEXT,
  error              TEXT,
  created_at         INTEGER NOT NULL,
  updated_at         INTEGER NOT NULL,
  worker             TEXT,
  cancel_action      TEXT
);
INSERT INTO runs_new
SELECT id, thread_id, assistant_id, status, metadata, kwargs, multitask_strategy, attempt,
       first_seq, cancel_reason, error, created_at, updated_at, worker, cancel_action
FROM runs;
DROP TABLE runs;
ALTER TABLE runs_new RENAME TO runs;
CREATE INDEX runs_thread ON runs (thread_id, created_at);
CREATE INDEX runs_live ON runs (thread_id, created_at, id) WHERE status IN ('pending', 'running');
CREATE INDEX runs_cancel ON runs (worker) WHERE cancel_action IS NOT NULL;
