-- What tasks wrote of a step that is not over, in the native layout: as LangGraph's table of that
-- name. The rows go with their checkpoint, whatever removes it.

-- migrate:up
CREATE TABLE holdfast.checkpoint_writes (
  thread_id     uuid NOT NULL,
  checkpoint_ns text NOT NULL,
  checkpoint_id uuid NOT NULL,
  task_id       uuid NOT NULL,
  idx           integer NOT NULL,
  channel       text NOT NULL,
  type          text NOT NULL,
  value         text NOT NULL,
  task_path     text NOT NULL,
  PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
) WITH (vacuum_truncate = false);

CREATE FUNCTION holdfast.checkpoint_writes_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM holdfast.checkpoint_writes
  WHERE thread_id = old.thread_id AND checkpoint_ns = old.checkpoint_ns
    AND checkpoint_id = old.checkpoint_id;
  RETURN NULL;
END $$;

CREATE TRIGGER checkpoint_writes_go AFTER DELETE ON holdfast.checkpoints
FOR EACH ROW EXECUTE FUNCTION holdfast.checkpoint_writes_go();

-- migrate:down
DROP TRIGGER checkpoint_writes_go ON holdfast.checkpoints;
DROP FUNCTION holdfast.checkpoint_writes_go();
DROP TABLE holdfast.checkpoint_writes;
