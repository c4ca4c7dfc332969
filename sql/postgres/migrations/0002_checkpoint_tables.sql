-- LangGraph's checkpoint tables, versions 0 to 5 of its own migrations, which the JavaScript and the
-- Python library share by the counter checkpoint_migrations. Each part is only done when it is
-- missing, so that a library may have been first, or may come later. The name of the schema stands
-- in place of the mark before the dot.

-- migrate:up
DO $$ BEGIN
  IF to_regnamespace('lg_checkpoints_schema') IS NULL THEN
    CREATE SCHEMA lg_checkpoints_schema;
  END IF;
END $$;

CREATE TABLE IF NOT EXISTS lg_checkpoints.checkpoint_migrations (v integer PRIMARY KEY);

CREATE TABLE IF NOT EXISTS lg_checkpoints.checkpoints (
  thread_id            text NOT NULL,
  checkpoint_ns        text NOT NULL DEFAULT '',
  checkpoint_id        text NOT NULL,
  parent_checkpoint_id text,
  type                 text,
  checkpoint           jsonb NOT NULL,
  metadata             jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
);

CREATE TABLE IF NOT EXISTS lg_checkpoints.checkpoint_blobs (
  thread_id     text NOT NULL,
  checkpoint_ns text NOT NULL DEFAULT '',
  channel       text NOT NULL,
  version       text NOT NULL,
  type          text NOT NULL,
  blob          bytea,
  PRIMARY KEY (thread_id, checkpoint_ns, channel, version)
);

CREATE TABLE IF NOT EXISTS lg_checkpoints.checkpoint_writes (
  thread_id     text NOT NULL,
  checkpoint_ns text NOT NULL DEFAULT '',
  checkpoint_id text NOT NULL,
  task_id       text NOT NULL,
  idx           integer NOT NULL,
  channel       text NOT NULL,
  type          text,
  blob          bytea NOT NULL,
  PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
);

-- An ALTER TABLE would lock out all others even when there is nothing to do.
DO $$ BEGIN
  IF (SELECT attnotnull FROM pg_catalog.pg_attribute
      WHERE attrelid = 'lg_checkpoints.checkpoint_blobs'::regclass AND attname = 'blob') THEN
    ALTER TABLE lg_checkpoints.checkpoint_blobs ALTER COLUMN blob DROP NOT NULL;
  END IF;
END $$;

INSERT INTO lg_checkpoints.checkpoint_migrations (v) SELECT generate_series(0, 5)
ON CONFLICT (v) DO NOTHING;

-- migrate:down
-- The tables stay: others use them, and they hold the users' conversations.
