-- What stands in for preferences of owners in one thread for a while; the preferences' own table is
-- there since 0007. See docs/internals/preferences.md.

-- migrate:up
CREATE TABLE holdfast.preference_overrides (
  thread_id  uuid NOT NULL,
  user_id    text COLLATE "C" NOT NULL,
  key        text COLLATE "C" NOT NULL,
  value      jsonb NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (thread_id, user_id, key)
);
CREATE INDEX preference_overrides_expiry ON holdfast.preference_overrides (expires_at);

-- migrate:down
DROP TABLE holdfast.preference_overrides;
