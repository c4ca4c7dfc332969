-- Checkpoints that a saver of another process wrote, in the native layout: `saved` is the checkpoint
-- as it gave it, without values. Its channels are {"channel": {"h": hash, "t": type}}; the text of a
-- value whose type is not json is base64 of its bytes, and so it is with such writes.
ALTER TABLE checkpoints ADD COLUMN saved TEXT;

-- Threads in which savers wrote for a run, in whatever layout, to delete that.
CREATE TABLE saved_runs (
  run       TEXT NOT NULL,
  thread_id TEXT NOT NULL,
  PRIMARY KEY (thread_id, run)
) WITHOUT ROWID;
CREATE INDEX saved_runs_run ON saved_runs (run);

CREATE TRIGGER saved_runs_go AFTER DELETE ON threads BEGIN
  DELETE FROM saved_runs WHERE thread_id = old.id;
END;
