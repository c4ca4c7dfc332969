-- The inbox: what other programs deliver. A source says who may deliver, how that is proved and what is
-- done with it; a delivery has a key, and what comes again under the same key is the same delivery. The
-- table that was reserved for this, and never written, goes.

-- migrate:up
DROP TABLE holdfast.inbox;

CREATE TABLE holdfast.inbox_sources (
  id           uuid PRIMARY KEY,
  owner        text COLLATE "C" NOT NULL,
  name         text COLLATE "C" NOT NULL,
  scheme       text NOT NULL CHECK (scheme IN ('standard', 'github', 'stripe', 'hmac', 'token')),
  header       text,
  key_header   text,
  secret       text NOT NULL,
  action       text NOT NULL,
  retention_us bigint NOT NULL,
  version      bigint NOT NULL,
  created_at   timestamptz NOT NULL,
  updated_at   timestamptz NOT NULL
);
CREATE UNIQUE INDEX inbox_sources_name ON holdfast.inbox_sources (owner, name);

CREATE TABLE holdfast.inbox (
  id          uuid PRIMARY KEY,
  source_id   uuid NOT NULL,
  owner       text COLLATE "C" NOT NULL,
  key         text COLLATE "C" NOT NULL,
  digest      text NOT NULL,
  event       text NOT NULL,
  status      text NOT NULL CHECK (status IN ('kept', 'started', 'failed')),
  thread_id   uuid,
  run_id      uuid,
  error       text,
  received_at timestamptz NOT NULL,
  expires_at  timestamptz NOT NULL
);
CREATE UNIQUE INDEX inbox_once ON holdfast.inbox (source_id, key);
CREATE INDEX inbox_source ON holdfast.inbox (source_id, id);
CREATE INDEX inbox_owner ON holdfast.inbox (owner, id);
CREATE INDEX inbox_failed ON holdfast.inbox (owner, id) WHERE status = 'failed';
CREATE INDEX inbox_expiry ON holdfast.inbox (expires_at);

-- migrate:down
DROP TABLE holdfast.inbox;
DROP TABLE holdfast.inbox_sources;
CREATE TABLE holdfast.inbox (
  key        text NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX inbox_key ON holdfast.inbox (key);
