-- LangGraph's checkpoint tables, versions 6 to 9.
-- transaction: no

-- migrate:up
CREATE INDEX CONCURRENTLY IF NOT EXISTS checkpoints_thread_id_idx
  ON lg_checkpoints.checkpoints (thread_id);

INSERT INTO lg_checkpoints.checkpoint_migrations (v) VALUES (6) ON CONFLICT (v) DO NOTHING;

CREATE INDEX CONCURRENTLY IF NOT EXISTS checkpoint_blobs_thread_id_idx
  ON lg_checkpoints.checkpoint_blobs (thread_id);

INSERT INTO lg_checkpoints.checkpoint_migrations (v) VALUES (7) ON CONFLICT (v) DO NOTHING;

CREATE INDEX CONCURRENTLY IF NOT EXISTS checkpoint_writes_thread_id_idx
  ON lg_checkpoints.checkpoint_writes (thread_id);

INSERT INTO lg_checkpoints.checkpoint_migrations (v) VALUES (8) ON CONFLICT (v) DO NOTHING;

DO $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute
                 WHERE attrelid = 'lg_checkpoints.checkpoint_writes'::regclass
                   AND attname = 'task_path') THEN
    ALTER TABLE lg_checkpoints.checkpoint_writes ADD COLUMN task_path text NOT NULL DEFAULT '';
  END IF;
END $$;

INSERT INTO lg_checkpoints.checkpoint_migrations (v) VALUES (9) ON CONFLICT (v) DO NOTHING;

-- migrate:down
-- They stay, as the tables do.
