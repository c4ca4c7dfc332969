-- Who is told of the end of a run that a client of A2A began. They go with their run, and with them
-- what is still due to them: of such a delivery `webhook_id` is the run.
CREATE TABLE push_configs (
  run_id      TEXT NOT NULL,
  id          TEXT NOT NULL,
  thread_id   TEXT NOT NULL,
  owner       TEXT NOT NULL,
  version     TEXT NOT NULL CHECK (version IN ('0.3', '1.0')),
  url         TEXT NOT NULL,
  token       TEXT NOT NULL,
  scheme      TEXT NOT NULL,
  credentials TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (run_id, id)
) WITHOUT ROWID;

CREATE TRIGGER push_configs_go AFTER DELETE ON runs BEGIN
  DELETE FROM push_configs WHERE run_id = old.id;
  DELETE FROM deliveries WHERE webhook_id = old.id;
END;
