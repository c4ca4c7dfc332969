-- Checkpoints that a saver of another process wrote, in the native layout: `saved` is the checkpoint
-- as it gave it, without values. Its channels are {"channel": {"h": hash, "t": type}}; the text of a
-- value whose type is not json is base64 of its bytes, and so it is with such writes. Their tasks
-- have names of any kind.

-- migrate:up
ALTER TABLE holdfast.checkpoints ADD COLUMN saved text;

ALTER TABLE holdfast.checkpoint_writes ALTER COLUMN task_id TYPE text COLLATE "C";

-- Threads in which savers wrote for a run, in whatever layout, to delete that.
CREATE TABLE holdfast.saved_runs (
  run       text COLLATE "C" NOT NULL,
  thread_id uuid NOT NULL,
  PRIMARY KEY (thread_id, run)
) WITH (vacuum_truncate = false);
CREATE INDEX saved_runs_run ON holdfast.saved_runs (run);

CREATE FUNCTION holdfast.saved_runs_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM holdfast.saved_runs WHERE thread_id = old.thread_id;
  RETURN NULL;
END $$;

CREATE TRIGGER saved_runs_go AFTER DELETE ON holdfast.thread_heads
FOR EACH ROW EXECUTE FUNCTION holdfast.saved_runs_go();

-- migrate:down
DROP TRIGGER saved_runs_go ON holdfast.thread_heads;

DROP FUNCTION holdfast.saved_runs_go();

DROP TABLE holdfast.saved_runs;

DELETE FROM holdfast.checkpoints WHERE saved IS NOT NULL;

DELETE FROM holdfast.checkpoint_writes WHERE holdfast.to_uuid(task_id) IS NULL;

ALTER TABLE holdfast.checkpoint_writes ALTER COLUMN task_id TYPE uuid USING holdfast.to_uuid(task_id);

ALTER TABLE holdfast.checkpoints DROP COLUMN saved;
