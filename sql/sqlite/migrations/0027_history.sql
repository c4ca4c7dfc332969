-- The history store: sessions of events, checkpoints and consumers; see docs/internals/history.md.
-- `at` is the session's number in the upper and the event's in the lower 32 bits, so that a session's
-- events lie together, in order, and need no further index by number. A session's key is a digest of
-- its owner and name; one that is deleted has another until its events are gone.
CREATE TABLE history_sessions (
  number      INTEGER PRIMARY KEY CHECK (number < 2147483648),
  key         TEXT NOT NULL,
  owner       TEXT NOT NULL,
  name        TEXT NOT NULL,
  last_seq    INTEGER NOT NULL CHECK (last_seq < 4294967296),
  low_seq     INTEGER NOT NULL,
  events      INTEGER NOT NULL,
  bytes       INTEGER NOT NULL,
  bytes_max   INTEGER NOT NULL,
  oldest_at   INTEGER NOT NULL,
  expires_at  INTEGER,
  checkpoints INTEGER NOT NULL,
  latest      INTEGER,
  deleted     INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL
);
CREATE UNIQUE INDEX history_sessions_key ON history_sessions (key);
CREATE INDEX history_sessions_name ON history_sessions (owner, name) WHERE deleted = 0;
CREATE INDEX history_sessions_age ON history_sessions (owner, oldest_at) WHERE deleted = 0;
CREATE INDEX history_sessions_expiry ON history_sessions (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX history_sessions_deleted ON history_sessions (number) WHERE deleted = 1;

CREATE TABLE history_events (
  at          INTEGER PRIMARY KEY,
  session     INTEGER GENERATED ALWAYS AS (at >> 32) VIRTUAL,
  id          TEXT NOT NULL,
  type        TEXT NOT NULL,
  occurred_at INTEGER NOT NULL,
  stored_at   INTEGER NOT NULL,
  expires_at  INTEGER,
  source      TEXT,
  trace_id    TEXT,
  ttl_ms      INTEGER NOT NULL,
  headers     TEXT,
  kind        INTEGER NOT NULL,
  digest      BLOB NOT NULL,
  bytes       INTEGER NOT NULL,
  payload     BLOB NOT NULL
);
CREATE UNIQUE INDEX history_events_id ON history_events (session, id);
CREATE INDEX history_events_time ON history_events (session, occurred_at);
CREATE INDEX history_events_expiry ON history_events (session, expires_at)
  WHERE expires_at IS NOT NULL;

CREATE TABLE history_checkpoints (
  session    INTEGER NOT NULL,
  number     INTEGER NOT NULL,
  id         TEXT NOT NULL,
  parent     TEXT,
  label      TEXT,
  seq        INTEGER NOT NULL,
  kind       INTEGER NOT NULL,
  digest     BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  payload    BLOB NOT NULL,
  PRIMARY KEY (session, number)
);
CREATE UNIQUE INDEX history_checkpoints_id ON history_checkpoints (session, id);

CREATE TABLE history_consumers (
  session    INTEGER NOT NULL,
  name       TEXT NOT NULL,
  acked_seq  INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (session, name)
) WITHOUT ROWID;

CREATE TABLE history_retention (
  owner     TEXT NOT NULL PRIMARY KEY,
  age_us    INTEGER NOT NULL,
  count_max INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TRIGGER history_events_go AFTER DELETE ON history_events BEGIN
  UPDATE history_sessions SET events = events - 1, bytes = bytes - old.bytes
  WHERE number = old.session;
END;
