-- Who executes what. A worker is a process: it is alive while its row has not expired. A thread
-- names the run that executes on it, with attempt and worker: whoever writes for a run names all
-- three. A run names the worker that will execute it; NULL: whoever comes first. cancel_action is
-- a wish of another process, until the run has ended.
ALTER TABLE threads ADD COLUMN run_id TEXT;
ALTER TABLE threads ADD COLUMN attempt INTEGER;
ALTER TABLE threads ADD COLUMN worker TEXT;

ALTER TABLE runs ADD COLUMN worker TEXT;
ALTER TABLE runs ADD COLUMN cancel_action TEXT;
DROP INDEX runs_live;
CREATE INDEX runs_live ON runs (thread_id, created_at, id) WHERE status IN ('pending', 'running');
CREATE INDEX runs_cancel ON runs (worker) WHERE cancel_action IS NOT NULL;

CREATE TABLE workers (
  id         TEXT NOT NULL PRIMARY KEY,
  host       TEXT NOT NULL,
  pid        INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  seen_at    INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE leaders (
  name       TEXT NOT NULL PRIMARY KEY,
  worker     TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;
