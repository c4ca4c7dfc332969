-- What was answered to requests with an Idempotency-Key. body '' with a run: the answer is what the
-- run makes (a stream, or its values).
CREATE TABLE idempotency_keys (
  owner      TEXT NOT NULL,
  key        TEXT NOT NULL,
  request    TEXT NOT NULL,
  body       TEXT NOT NULL,
  thread_id  TEXT,
  run_id     TEXT,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);
