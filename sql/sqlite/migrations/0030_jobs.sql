-- Background jobs: how far they have come and who asked for them; see docs/internals/jobs.md. Like
-- what can be computed anew it does not count when databases are compared: it tells when something
-- was done, not what is there.
-- derived: jobs
CREATE TABLE jobs (
  name        TEXT NOT NULL PRIMARY KEY,
  worker      TEXT,
  due_at      INTEGER,
  started_at  INTEGER,
  finished_at INTEGER,
  updated_at  INTEGER NOT NULL,
  passes      INTEGER NOT NULL,
  row_count   INTEGER NOT NULL,
  rows_last   INTEGER NOT NULL,
  failures    INTEGER NOT NULL,
  failed_last INTEGER NOT NULL,
  error       TEXT,
  wanted      INTEGER NOT NULL,
  served      INTEGER NOT NULL
) WITHOUT ROWID;
