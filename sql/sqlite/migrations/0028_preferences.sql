-- Preferences of owners, and what stands in for them in one thread for a while; see
-- docs/internals/preferences.md. `mutable` is set when a row is made.
CREATE TABLE preferences (
  id         TEXT NOT NULL PRIMARY KEY,
  user_id    TEXT NOT NULL,
  key        TEXT NOT NULL,
  value      TEXT NOT NULL,
  mutable    INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX preferences_user ON preferences (user_id, key);

CREATE TABLE preference_overrides (
  thread_id  TEXT NOT NULL,
  user_id    TEXT NOT NULL,
  key        TEXT NOT NULL,
  value      TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (thread_id, user_id, key)
);
CREATE INDEX preference_overrides_expiry ON preference_overrides (expires_at);

CREATE TRIGGER preference_overrides_go AFTER DELETE ON threads BEGIN
  DELETE FROM preference_overrides WHERE thread_id = old.id;
END;
