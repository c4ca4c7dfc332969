-- The history store: sessions of events, checkpoints and consumers; see docs/internals/history.md.
-- A session's key is a digest of its owner and name; one that is deleted has another until its events
-- are gone. The tables that were reserved for this, and never written, go.
-- Sessions are updated by every append, in pages with room for it; events are only inserted and
-- deleted, and stay in their page up to 8 kB.

-- migrate:up
DROP TABLE holdfast.history_events, holdfast.history_checkpoints;

CREATE TABLE holdfast.history_sessions (
  number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key         uuid NOT NULL,
  owner       text COLLATE "C" NOT NULL,
  name        text COLLATE "C" NOT NULL,
  last_seq    bigint NOT NULL CHECK (last_seq < 4294967296),
  low_seq     bigint NOT NULL,
  events      bigint NOT NULL,
  bytes       bigint NOT NULL,
  bytes_max   bigint NOT NULL,
  oldest_at   timestamptz NOT NULL,
  expires_at  timestamptz,
  checkpoints bigint NOT NULL,
  latest      bigint,
  deleted     boolean NOT NULL,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, vacuum_truncate = false);
CREATE UNIQUE INDEX history_sessions_key ON holdfast.history_sessions (key);
CREATE INDEX history_sessions_name ON holdfast.history_sessions (owner, name) WHERE NOT deleted;
CREATE INDEX history_sessions_age ON holdfast.history_sessions (owner, oldest_at) WHERE NOT deleted;
CREATE INDEX history_sessions_expiry ON holdfast.history_sessions (expires_at)
  WHERE expires_at IS NOT NULL;
CREATE INDEX history_sessions_deleted ON holdfast.history_sessions (number) WHERE deleted;

CREATE TABLE holdfast.history_events (
  session     bigint NOT NULL,
  seq         bigint NOT NULL,
  occurred_at timestamptz NOT NULL,
  stored_at   timestamptz NOT NULL,
  expires_at  timestamptz,
  ttl_ms      bigint NOT NULL,
  bytes       integer NOT NULL,
  kind        smallint NOT NULL,
  digest      bytea NOT NULL,
  id          text COLLATE "C" NOT NULL,
  type        text NOT NULL,
  source      text,
  trace_id    text,
  headers     text,
  payload     bytea NOT NULL,
  PRIMARY KEY (session, seq)
) WITH (toast_tuple_target = 8160, autovacuum_vacuum_insert_scale_factor = 0.05,
        autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05,
        vacuum_truncate = false);
CREATE UNIQUE INDEX history_events_id ON holdfast.history_events (session, id);
CREATE INDEX history_events_time ON holdfast.history_events (session, occurred_at, seq);
CREATE INDEX history_events_expiry ON holdfast.history_events (session, expires_at)
  WHERE expires_at IS NOT NULL;

CREATE TABLE holdfast.history_checkpoints (
  session    bigint NOT NULL,
  number     bigint NOT NULL,
  id         uuid NOT NULL,
  parent     uuid,
  label      text,
  seq        bigint NOT NULL,
  kind       smallint NOT NULL,
  digest     bytea NOT NULL,
  created_at timestamptz NOT NULL,
  payload    bytea NOT NULL,
  PRIMARY KEY (session, number)
) WITH (vacuum_truncate = false);
CREATE UNIQUE INDEX history_checkpoints_id ON holdfast.history_checkpoints (session, id);

CREATE TABLE holdfast.history_consumers (
  session    bigint NOT NULL,
  name       text COLLATE "C" NOT NULL,
  acked_seq  bigint NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (session, name)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, vacuum_truncate = false);

CREATE TABLE holdfast.history_retention (
  owner     text COLLATE "C" PRIMARY KEY,
  age_us    bigint NOT NULL,
  count_max bigint NOT NULL
);

-- migrate:down
DROP TABLE holdfast.history_retention, holdfast.history_consumers, holdfast.history_checkpoints,
  holdfast.history_events, holdfast.history_sessions;

CREATE TABLE holdfast.history_events (
  id          text PRIMARY KEY,
  session_id  text NOT NULL,
  occurred_at timestamptz NOT NULL,
  position    bigint NOT NULL,
  envelope    text NOT NULL,
  expires_at  timestamptz
);
CREATE INDEX history_events_session
  ON holdfast.history_events (session_id, occurred_at, position);
CREATE TABLE holdfast.history_checkpoints (
  id         uuid PRIMARY KEY,
  session_id text NOT NULL,
  parent_id  uuid,
  payload    text NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE INDEX history_checkpoints_session
  ON holdfast.history_checkpoints (session_id, created_at DESC);
