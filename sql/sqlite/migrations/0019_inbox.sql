-- The inbox: what other programs deliver. A source says who may deliver, how that is proved and what is
-- done with it; a delivery has a key, and what comes again under the same key is the same delivery.
CREATE TABLE inbox_sources (
  id           TEXT NOT NULL PRIMARY KEY,
  owner        TEXT NOT NULL,
  name         TEXT NOT NULL,
  scheme       TEXT NOT NULL CHECK (scheme IN ('standard', 'github', 'stripe', 'hmac', 'token')),
  header       TEXT,
  key_header   TEXT,
  secret       TEXT NOT NULL,
  action       TEXT NOT NULL,
  retention_us INTEGER NOT NULL,
  version      INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL
);
CREATE UNIQUE INDEX inbox_sources_name ON inbox_sources (owner, name);

CREATE TABLE inbox (
  id          TEXT NOT NULL PRIMARY KEY,
  source_id   TEXT NOT NULL,
  owner       TEXT NOT NULL,
  key         TEXT NOT NULL,
  digest      TEXT NOT NULL,
  event       TEXT NOT NULL,
  status      TEXT NOT NULL CHECK (status IN ('kept', 'started', 'failed')),
  thread_id   TEXT,
  run_id      TEXT,
  error       TEXT,
  received_at INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL
);
CREATE UNIQUE INDEX inbox_once ON inbox (source_id, key);
CREATE INDEX inbox_source ON inbox (source_id, id);
CREATE INDEX inbox_owner ON inbox (owner, id);
CREATE INDEX inbox_failed ON inbox (owner, id) WHERE status = 'failed';
CREATE INDEX inbox_expiry ON inbox (expires_at);
