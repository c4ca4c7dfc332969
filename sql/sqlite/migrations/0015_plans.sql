-- Plans: a run's goal with its steps, and the decisions that steps wait for. A plan belongs to the
-- thread of its run and goes with it. `version` counts its writes: who writes names the one that it
-- has seen. `wish` is what somebody asks of a step whose run is under way.
CREATE TABLE plans (
  id          TEXT NOT NULL PRIMARY KEY,
  thread_id   TEXT NOT NULL UNIQUE,
  run_id      TEXT NOT NULL,
  owner       TEXT NOT NULL,
  project_id  TEXT NOT NULL,
  goal        TEXT NOT NULL,
  hash        TEXT NOT NULL,
  metadata    TEXT NOT NULL,
  concurrency INTEGER NOT NULL,
  status      TEXT NOT NULL,
  version     INTEGER NOT NULL,
  step_count  INTEGER NOT NULL,
  fault_count INTEGER NOT NULL,
  succeeded   INTEGER NOT NULL,
  failed      INTEGER NOT NULL,
  cancelled   INTEGER NOT NULL,
  timed_out   INTEGER NOT NULL,
  error       TEXT,
  created_at  INTEGER NOT NULL,
  started_at  INTEGER,
  ended_at    INTEGER,
  updated_at  INTEGER NOT NULL
);
CREATE INDEX plans_owner ON plans (owner, id);
CREATE INDEX plans_project ON plans (owner, project_id, id);
CREATE INDEX plans_status ON plans (owner, status, id);

CREATE TABLE plan_steps (
  plan_id    TEXT NOT NULL,
  position   INTEGER NOT NULL,
  name       TEXT NOT NULL,
  tool       TEXT NOT NULL,
  inputs     TEXT NOT NULL,
  spec       TEXT NOT NULL,
  key        TEXT NOT NULL,
  status     TEXT NOT NULL,
  attempt    INTEGER NOT NULL,
  wish       TEXT,
  output     TEXT,
  error      TEXT,
  started_at INTEGER,
  ended_at   INTEGER,
  PRIMARY KEY (plan_id, position)
) WITHOUT ROWID;

CREATE TABLE plan_gates (
  plan_id    TEXT NOT NULL,
  position   INTEGER NOT NULL,
  owner      TEXT NOT NULL,
  kind       TEXT NOT NULL,
  prompt     TEXT NOT NULL,
  status     TEXT NOT NULL CHECK (status IN ('pending', 'passed', 'failed', 'waived')),
  actor      TEXT,
  reason     TEXT,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  decided_at INTEGER,
  PRIMARY KEY (plan_id, position)
) WITHOUT ROWID;
CREATE INDEX plan_gates_pending ON plan_gates (owner, plan_id, position) WHERE status = 'pending';
CREATE INDEX plan_gates_expiry ON plan_gates (expires_at)
  WHERE status = 'pending' AND expires_at IS NOT NULL;

CREATE TRIGGER plans_go AFTER DELETE ON threads BEGIN
  DELETE FROM plans WHERE thread_id = old.id;
END;

CREATE TRIGGER plan_parts_go AFTER DELETE ON plans BEGIN
  DELETE FROM plan_steps WHERE plan_id = old.id;
  DELETE FROM plan_gates WHERE plan_id = old.id;
END;
