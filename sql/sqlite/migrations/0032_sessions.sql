-- Sessions of who has logged in, accounts at providers of identities, logins that are under way; see
-- docs/internals/sessions.md. Of tokens and states there are digests only.
CREATE TABLE accounts (
  id          TEXT NOT NULL PRIMARY KEY,
  user_id     TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  account_id  TEXT NOT NULL,
  profile     TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL
);
CREATE UNIQUE INDEX accounts_provider ON accounts (provider_id, account_id);
CREATE INDEX accounts_user ON accounts (user_id, id);

CREATE TABLE sessions (
  id           TEXT NOT NULL PRIMARY KEY,
  user_id      TEXT NOT NULL,
  digest       BLOB NOT NULL CHECK (length(digest) = 32),
  scope        INTEGER NOT NULL,
  account_id   TEXT,
  label        TEXT,
  address      TEXT NOT NULL,
  user_agent   TEXT,
  created_at   INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  ends_at      INTEGER NOT NULL
);
CREATE UNIQUE INDEX sessions_digest ON sessions (digest);
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_expires ON sessions (expires_at);
CREATE INDEX sessions_account ON sessions (account_id) WHERE account_id IS NOT NULL;

CREATE TABLE logins (
  digest      BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
  provider_id TEXT NOT NULL,
  return_to   TEXT NOT NULL,
  expires_at  INTEGER NOT NULL
);
CREATE INDEX logins_expires ON logins (expires_at);
