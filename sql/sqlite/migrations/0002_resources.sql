-- The resources of the API, the thread log and the checkpoints, in the names that PostgreSQL uses
-- too. Ids are 32 hex digits, times are microseconds UTC, JSON is text as it goes over the wire.
-- owner is the principal's; every read and write of owned data names it.

CREATE TABLE assistants (
  id          TEXT NOT NULL PRIMARY KEY,
  owner       TEXT NOT NULL,
  graph_id    TEXT NOT NULL,
  name        TEXT NOT NULL,
  description TEXT,
  config      TEXT NOT NULL,
  context     TEXT NOT NULL,
  metadata    TEXT NOT NULL,
  version     INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX assistants_created ON assistants (owner, created_at);
CREATE INDEX assistants_graph ON assistants (graph_id, created_at);

CREATE TABLE assistant_versions (
  assistant_id TEXT NOT NULL,
  version      INTEGER NOT NULL,
  graph_id     TEXT NOT NULL,
  name         TEXT NOT NULL,
  description  TEXT,
  config       TEXT NOT NULL,
  context      TEXT NOT NULL,
  metadata     TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  PRIMARY KEY (assistant_id, version)
) WITHOUT ROWID;

-- seq counts the thread's log; checkpoint_id is the newest root checkpoint, NULL before the first.
CREATE TABLE threads (
  id               TEXT NOT NULL PRIMARY KEY,
  owner            TEXT NOT NULL,
  status           TEXT NOT NULL,
  metadata         TEXT NOT NULL,
  config           TEXT NOT NULL,
  interrupts       TEXT NOT NULL,
  error            TEXT,
  seq              INTEGER NOT NULL,
  checkpoint_id    TEXT,
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL,
  state_updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX threads_updated ON threads (owner, updated_at);
CREATE INDEX threads_created ON threads (owner, created_at);
CREATE INDEX threads_status ON threads (owner, status, updated_at) WHERE status <> 'idle';

-- attempt counts the executions and fences them: a writer names the attempt that it belongs to.
-- first_seq is the log position before the run's first event.
CREATE TABLE runs (
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
  updated_at         INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX runs_thread ON runs (thread_id, created_at);
CREATE INDEX runs_live ON runs (created_at) WHERE status IN ('pending', 'running');

-- The thread's log: what streams, replays and audits read.
CREATE TABLE events (
  thread_id TEXT NOT NULL,
  seq       INTEGER NOT NULL,
  run_id    TEXT NOT NULL,
  kind      INTEGER NOT NULL,
  at        INTEGER NOT NULL,
  data      TEXT NOT NULL,
  PRIMARY KEY (thread_id, seq)
) WITHOUT ROWID;

-- A checkpoint names values: {"channel": {"h": hash of checkpoint_values}} or, for lists,
-- {"channel": {"l": list, "n": length}}: the first n items of a list of checkpoint_lists.
CREATE TABLE checkpoints (
  thread_id            TEXT NOT NULL,
  checkpoint_ns        TEXT NOT NULL,
  checkpoint_id        TEXT NOT NULL,
  parent_checkpoint_id TEXT,
  run_id               TEXT,
  step                 INTEGER NOT NULL,
  source               TEXT NOT NULL,
  channels             TEXT NOT NULL,
  next                 TEXT NOT NULL,
  tasks                TEXT NOT NULL,
  metadata             TEXT NOT NULL,
  created_at           INTEGER NOT NULL,
  PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
) WITHOUT ROWID;

CREATE TABLE checkpoint_values (
  thread_id TEXT NOT NULL,
  hash      TEXT NOT NULL,
  value     TEXT NOT NULL,
  PRIMARY KEY (thread_id, hash)
) WITHOUT ROWID;

-- Lists grow by segments: items start … start+count-1 as a comma-separated run of JSON texts.
CREATE TABLE checkpoint_lists (
  thread_id TEXT NOT NULL,
  list_id   INTEGER NOT NULL,
  start     INTEGER NOT NULL,
  count     INTEGER NOT NULL,
  items     TEXT NOT NULL,
  PRIMARY KEY (thread_id, list_id, start)
) WITHOUT ROWID;

-- namespace: labels joined by '.', which no label contains.
CREATE TABLE store_items (
  owner       TEXT NOT NULL,
  namespace   TEXT NOT NULL,
  key         TEXT NOT NULL,
  value       TEXT NOT NULL,
  ttl_minutes INTEGER,
  expires_at  INTEGER,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  PRIMARY KEY (owner, namespace, key)
) WITHOUT ROWID;
CREATE INDEX store_items_expires ON store_items (expires_at) WHERE expires_at IS NOT NULL;
