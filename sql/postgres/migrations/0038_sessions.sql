-- Sessions of who has logged in, accounts at providers of identities, logins that are under way; see
-- docs/internals/sessions.md. The tables that were reserved for this, and never written, go. Of tokens
-- and states there are digests only. A session's row is updated once a minute while it is used.

-- migrate:up
DROP TABLE holdfast.sessions, holdfast.accounts;

CREATE TABLE holdfast.accounts (
  id          uuid PRIMARY KEY,
  user_id     text COLLATE "C" NOT NULL,
  provider_id text COLLATE "C" NOT NULL,
  account_id  text COLLATE "C" NOT NULL,
  profile     text NOT NULL,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL
);
CREATE UNIQUE INDEX accounts_provider ON holdfast.accounts (provider_id, account_id);
CREATE INDEX accounts_user ON holdfast.accounts (user_id, id);

CREATE TABLE holdfast.sessions (
  id           uuid PRIMARY KEY,
  user_id      text COLLATE "C" NOT NULL,
  digest       bytea NOT NULL CHECK (length(digest) = 32),
  scope        smallint NOT NULL,
  account_id   uuid,
  label        text,
  address      text NOT NULL,
  user_agent   text,
  created_at   timestamptz NOT NULL,
  last_used_at timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  ends_at      timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX sessions_digest ON holdfast.sessions (digest);
CREATE INDEX sessions_user ON holdfast.sessions (user_id, id);
CREATE INDEX sessions_expires ON holdfast.sessions (expires_at);
CREATE INDEX sessions_account ON holdfast.sessions (account_id) WHERE account_id IS NOT NULL;

CREATE TABLE holdfast.logins (
  digest      bytea PRIMARY KEY CHECK (length(digest) = 32),
  provider_id text COLLATE "C" NOT NULL,
  return_to   text NOT NULL,
  expires_at  timestamptz NOT NULL
);
CREATE INDEX logins_expires ON holdfast.logins (expires_at);

-- migrate:down
DROP TABLE holdfast.logins, holdfast.sessions, holdfast.accounts;

CREATE TABLE holdfast.sessions (
  id         uuid PRIMARY KEY,
  user_id    text NOT NULL,
  metadata   jsonb NOT NULL DEFAULT '{}',
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX sessions_user ON holdfast.sessions (user_id);
CREATE INDEX sessions_expires ON holdfast.sessions (expires_at);

CREATE TABLE holdfast.accounts (
  id          uuid PRIMARY KEY,
  user_id     text NOT NULL,
  provider_id text NOT NULL,
  account_id  text NOT NULL,
  metadata    jsonb NOT NULL DEFAULT '{}',
  created_at  timestamptz NOT NULL
);
CREATE INDEX accounts_provider ON holdfast.accounts (provider_id, account_id);
CREATE INDEX accounts_user ON holdfast.accounts (user_id);
