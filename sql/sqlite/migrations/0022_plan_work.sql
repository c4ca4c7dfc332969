-- Steps of plans that somebody outside does. `token` counts the leases: who had an older one is told
-- so. What came of a lease is kept (`done_token`, `done_as`), so that telling it twice is telling it
-- once. Rows go with their plan.
CREATE TABLE plan_work (
  plan_id     TEXT NOT NULL,
  position    INTEGER NOT NULL,
  owner       TEXT NOT NULL,
  queue       TEXT NOT NULL,
  rank        INTEGER NOT NULL,
  status      TEXT NOT NULL CHECK (status IN ('ready', 'leased', 'done', 'over')),
  token       INTEGER NOT NULL,
  attempt     INTEGER NOT NULL,
  lost        INTEGER NOT NULL,
  timeout_us  INTEGER NOT NULL,
  progress    INTEGER NOT NULL,
  worker      TEXT,
  ready_at    INTEGER NOT NULL,
  claimed_at  INTEGER,
  lease_until INTEGER,
  deadline_at INTEGER,
  done_token  INTEGER,
  done_as     TEXT,
  outcome     TEXT,
  output      TEXT,
  error       TEXT,
  PRIMARY KEY (plan_id, position)
) WITHOUT ROWID;
CREATE INDEX plan_work_ready ON plan_work (owner, queue, rank, ready_at) WHERE status = 'ready';
CREATE INDEX plan_work_queue ON plan_work (queue, rank, ready_at) WHERE status = 'ready';
CREATE INDEX plan_work_age ON plan_work (ready_at) WHERE status = 'ready';
CREATE INDEX plan_work_leases ON plan_work (lease_until) WHERE status = 'leased';
CREATE INDEX plan_work_done ON plan_work (plan_id, position) WHERE status = 'done';

CREATE TRIGGER plan_work_go AFTER DELETE ON plans BEGIN
  DELETE FROM plan_work WHERE plan_id = old.id;
END;
